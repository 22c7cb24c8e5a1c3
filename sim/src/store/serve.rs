//! A member's side of the wire: etcd's calls over gRPC on simulated sockets.

use super::{Cluster, Member, mvcc::NotThere};
use bytes::Bytes;
use fairlead_actors::provider::etcd::proto::{
    AuthenticateRequest, AuthenticateResponse, RangeRequest, RequestUnion, WatchCreateRequest, WatchRequest, WatchResponse,
    method,
};
use fairlead_net::{
    grpc::{Call, Code, Responses, Status, serve_connection},
    http::Fields,
    task,
    tcp::{ListenOptions, Listener, Stream},
};
use prost::Message;
use std::{io, net::SocketAddr, sync::Arc};

impl Member {
    /// Serves clients at `addr` on the current node, until that node dies.
    ///
    /// # Errors
    /// The address cannot be listened at, or accepting fails.
    pub async fn serve(self, addr: SocketAddr) -> io::Result<()> {
        let listener = Listener::bind(addr, ListenOptions::default())?;
        loop {
            let (stream, _) = listener.accept().await?;
            task::spawn(self.clone().connection(stream));
        }
    }

    async fn connection(self, stream: Stream) {
        let _open = self.counted(|s| &mut s.connections);
        let mut cut = self.cut.subscribe();
        let member = self.clone();
        let served = serve_connection(
            stream,
            |call| {
                task::spawn(call);
            },
            move |call| member.clone().answer(call),
        );
        tokio::select! {
            biased;
            _ = cut.changed() => {}
            // How a client's connection ended is the client's to tell.
            _ = served => {}
        }
    }

    async fn answer(self, call: Call) {
        *self.state.lock().calls.entry(call.path.clone()).or_default() += 1;
        let mut cut = self.cut.subscribe();
        tokio::select! {
            biased;
            _ = cut.changed() => {}
            () = self.dispatch(call) => {}
        }
    }

    async fn dispatch(&self, mut call: Call) {
        if call.path == method::WATCH {
            let _open = self.counted(|s| &mut s.watches);
            // An error here is a client that went away.
            let _gone = self.watch(call).await;
            return;
        }
        let Ok(Some(request)) = call.requests.message().await else { return };
        while self.state.lock().faults.hang {
            self.moved().await;
        }
        let answer = match call.path.as_str() {
            method::RANGE => self.range(&call.metadata, request),
            method::AUTHENTICATE => self.authenticate(request),
            other => Err(Status::new(Code::Unimplemented, format!("unknown method {other}"))),
        };
        let sent = match &answer {
            Ok(message) => call.responses.send(message).await,
            Err(_) => Ok(()),
        };
        let _gone = sent.and_then(|()| call.responses.finish(answer.map(drop)));
    }

    fn range(&self, metadata: &Fields, request: Bytes) -> Result<Vec<u8>, Status> {
        let request = RangeRequest::decode(request).map_err(invalid)?;
        let cluster = self.store.cluster.lock();
        led(&cluster)?;
        allowed(&cluster, metadata)?;
        let mut response = cluster.mvcc.range(&request).map_err(|e| match e {
            NotThere::Compacted(_) => Status::new(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            NotThere::Future => Status::new(Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision"),
        })?;
        response.header = Some(cluster.mvcc.header(self.id, cluster.term));
        Ok(response.encode_to_vec())
    }

    fn authenticate(&self, request: Bytes) -> Result<Vec<u8>, Status> {
        let request = AuthenticateRequest::decode(request).map_err(invalid)?;
        let mut cluster = self.store.cluster.lock();
        led(&cluster)?;
        let header = Some(cluster.mvcc.header(self.id, cluster.term));
        let Some(auth) = &mut cluster.auth else {
            return Err(Status::new(Code::FailedPrecondition, "etcdserver: authentication is not enabled"));
        };
        if (&request.name, &request.password) != (&auth.user, &auth.password) {
            return Err(Status::new(Code::InvalidArgument, "etcdserver: authentication failed, invalid user ID or password"));
        }
        auth.issued += 1;
        let token = format!("token.{}", auth.issued);
        auth.tokens.insert(token.clone());
        Ok(AuthenticateResponse { header, token }.encode_to_vec())
    }

    async fn watch(&self, call: Call) -> Result<(), Status> {
        let Call { metadata, mut requests, mut responses, .. } = call;
        let mut moved = self.store.moved.subscribe();
        let mut watchers: Vec<Watcher> = Vec::new();
        let mut made = 0;
        loop {
            moved.borrow_and_update();
            if let Err(status) = led(&self.store.cluster.lock()) {
                // In `responses.finish` nothing is awaited, but the lock is gone by then all the same.
                return responses.finish(Err(status));
            }
            self.flush(&mut watchers, &mut responses).await?;
            let request = tokio::select! {
                biased;
                request = requests.message() => request?,
                _ = moved.changed() => continue,
            };
            let Some(request) = request else { return responses.finish(Ok(())) };
            while self.state.lock().faults.hang {
                self.moved().await;
            }
            match WatchRequest::decode(request).map_err(invalid)?.request_union {
                Some(RequestUnion::Create(create)) => {
                    let id = made;
                    made += 1;
                    let refused = allowed(&self.store.cluster.lock(), &metadata).err();
                    let canceled = refused.is_some();
                    let cancel_reason = refused.map(|s| s.to_string()).unwrap_or_default();
                    self.send(
                        &mut responses,
                        WatchResponse { watch_id: id, created: true, canceled, cancel_reason, ..Default::default() },
                    )
                    .await?;
                    if !canceled {
                        let next = if create.start_revision > 0 { create.start_revision } else { self.store.revision() + 1 };
                        watchers.push(Watcher { id, next, create });
                    }
                }
                Some(RequestUnion::Cancel(cancel)) => {
                    watchers.retain(|w| w.id != cancel.watch_id);
                    self.send(&mut responses, WatchResponse { watch_id: cancel.watch_id, canceled: true, ..Default::default() })
                        .await?;
                }
                Some(RequestUnion::Progress(_)) if !self.state.lock().faults.stall_watches => {
                    self.send(&mut responses, WatchResponse { watch_id: -1, ..Default::default() }).await?;
                }
                Some(RequestUnion::Progress(_)) | None => {}
            }
        }
    }

    /// Sends every watcher what happened.
    async fn flush(&self, watchers: &mut Vec<Watcher>, responses: &mut Responses) -> Result<(), Status> {
        let mut n = 0;
        while let Some(w) = watchers.get_mut(n) {
            let (faults, cuts) = {
                let state = self.state.lock();
                (state.faults, state.cuts)
            };
            if faults.stall_watches || faults.withhold_events || faults.hang {
                return Ok(());
            }
            let found = self.store.cluster.lock().mvcc.events(w.next, &w.create.key, &w.create.range_end, cuts.revisions);
            let (events, next) = match found {
                Ok(found) => found,
                Err(NotThere::Compacted(compact_revision)) => {
                    let over = WatchResponse { watch_id: w.id, canceled: true, compact_revision, ..Default::default() };
                    watchers.remove(n);
                    self.send(responses, over).await?;
                    continue;
                }
                Err(NotThere::Future) => (Vec::new(), w.next),
            };
            if events.is_empty() {
                w.next = next;
                n += 1;
                continue;
            }
            w.next = next;
            let (id, part) = (w.id, if w.create.fragment { cuts.events } else { usize::MAX });
            let mut parts = events.chunks(part).peekable();
            while let Some(events) = parts.next() {
                let response = WatchResponse {
                    watch_id: id,
                    fragment: parts.peek().is_some(),
                    events: events.to_vec(),
                    ..Default::default()
                };
                self.send(responses, response).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, responses: &mut Responses, mut response: WatchResponse) -> Result<(), Status> {
        response.header = Some({
            let cluster = self.store.cluster.lock();
            cluster.mvcc.header(self.id, cluster.term)
        });
        responses.send(&response.encode_to_vec()).await
    }

    async fn moved(&self) {
        // The sender lives as long as this member.
        let _alive = self.store.moved.subscribe().changed().await;
    }

    fn counted(&self, field: fn(&mut super::MemberState) -> &mut usize) -> Counted {
        *field(&mut self.state.lock()) += 1;
        Counted { state: self.state.clone(), field }
    }
}

struct Watcher {
    id: i64,
    /// The first revision that was not told of.
    next: i64,
    create: WatchCreateRequest,
}

/// Counts one thing for as long as it lives.
struct Counted {
    state: Arc<parking_lot::Mutex<super::MemberState>>,
    field: fn(&mut super::MemberState) -> &mut usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        *(self.field)(&mut self.state.lock()) -= 1;
    }
}

fn led(cluster: &Cluster) -> Result<(), Status> {
    if cluster.leader { Ok(()) } else { Err(Status::new(Code::Unavailable, "etcdserver: no leader")) }
}

fn allowed(cluster: &Cluster, metadata: &Fields) -> Result<(), Status> {
    let Some(auth) = &cluster.auth else { return Ok(()) };
    match metadata.get_str("token") {
        None => Err(Status::new(Code::InvalidArgument, "etcdserver: user name is empty")),
        Some(token) if auth.tokens.contains(token) => Ok(()),
        Some(_) => Err(Status::new(Code::Unauthenticated, "etcdserver: invalid auth token")),
    }
}

fn invalid(error: prost::DecodeError) -> Status {
    Status::new(Code::InvalidArgument, error.to_string())
}
