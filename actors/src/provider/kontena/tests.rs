use super::*;
use crate::provider::{
    Receiver, channel,
    fake::{Fake, Reply},
};
use fairlead_core::config::static_::Secret;
use fairlead_net::time::timeout;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

/// A store of version 2, as the tests turn it.
struct Store {
    keys: Vec<(String, String)>,
    index: u64,
    cluster: String,
    /// Answers every read with this status.
    broken: Option<u16>,
    watches: bool,
    events: watch::Sender<Vec<String>>,
}

type Shared = Arc<Mutex<Store>>;

fn store() -> Shared {
    let (keys, cluster) = (Vec::new(), "one".to_owned());
    Arc::new(Mutex::new(Store { keys, index: 10, cluster, broken: None, watches: true, events: watch::Sender::new(Vec::new()) }))
}

fn serve(store: &Shared) -> Fake {
    let store = store.clone();
    Fake::start(move |request| {
        assert_eq!((request.method.as_str(), request.path()), ("GET", "/v2/keys/kontena/haproxy/shop/lb"));
        let mut store = store.lock();
        if request.target.contains("wait=true") {
            let from =
                request.target.rsplit('=').next().and_then(|index| index.parse::<u64>().ok()).expect("a watch says from where");
            if from <= store.index {
                return Reply::ok("{}");
            }
            // A long poll of its own: what was told before is not told again.
            store.events = watch::Sender::new(Vec::new());
            return if store.watches { Reply::Follow(store.events.subscribe()) } else { Reply::status(503, "no") };
        }
        assert!(request.target.contains("recursive=true&quorum=true"));
        store.answer()
    })
}

impl Store {
    fn answer(&self) -> Reply {
        if let Some(status) = self.broken {
            return Reply::status(status, "broken");
        }
        let node = |(key, value): &(String, String)| serde_json::json!({ "key": format!("/kontena/haproxy/shop/lb/{key}"), "value": value });
        let body = match self.keys.is_empty() {
            true => serde_json::json!({ "errorCode": 100, "message": "Key not found", "index": self.index }),
            false => {
                let nodes: Vec<_> = self.keys.iter().map(node).collect();
                serde_json::json!({ "action": "get", "node": { "key": "/kontena/haproxy/shop/lb", "dir": true, "nodes": nodes } })
            }
        };
        let fields = vec![("X-Etcd-Index", self.index.to_string()), ("X-Etcd-Cluster-Id", self.cluster.clone())];
        Reply::Whole { status: if self.keys.is_empty() { 404 } else { 200 }, fields, body: body.to_string() }
    }

    fn put(&mut self, key: &str, value: &str) {
        self.keys.retain(|(other, _)| other != key);
        self.keys.push((key.to_owned(), value.to_owned()));
        self.index += 1;
        self.events.send_modify(|lines| lines.push("{}".to_owned()));
    }
}

fn options(endpoints: &[&Fake]) -> Options {
    Options {
        endpoints: endpoints.iter().map(|fake| fake.address.to_string()).collect(),
        load_balancer: "lb".to_owned(),
        stack: Some("shop".to_owned()),
        api: EtcdApi::V2,
        refresh: Duration::from_secs(1),
        username: String::new(),
        password: Secret::default(),
        tls: None,
        bundles: Vec::new(),
        ssl_ciphers: String::new(),
        http2: true,
        health_uri: None,
    }
}

/// A provider at work, and what it says.
struct Running {
    heard: Receiver,
    ended: Arc<Mutex<Vec<String>>>,
    _task: task::Owned<()>,
}

fn start(options: &Options) -> Running {
    let mut provider = KontenaProvider::new(options, Default::default());
    let (sender, heard) = channel();
    let ended: Arc<Mutex<Vec<String>>> = Arc::default();
    let endings = ended.clone();
    let run = async move {
        loop {
            let error = provider.run(&sender).await;
            endings.lock().push(error.message);
            sleep(Duration::from_millis(100)).await;
        }
    };
    Running { heard, ended, _task: task::spawn(run).owned() }
}

impl Running {
    async fn next(&mut self, what: &str) -> EventKind {
        timeout(Duration::from_secs(20), self.heard.recv()).await.unwrap_or_else(|_| panic!("never said: {what}"))
    }

    /// Waits for a configuration of these routers, and gives what is rejected.
    async fn routers(&mut self, wanted: &[&str]) -> Vec<Rejection> {
        loop {
            if let EventKind::Configuration { raw, rejections, .. } = self.next(&format!("{wanted:?}")).await
                && raw.routers().eq(wanted.iter().copied())
            {
                return rejections;
            }
        }
    }

    async fn failing(&mut self, words: &str) {
        loop {
            if let EventKind::Failing { message, .. } = self.next(words).await
                && message.contains(words)
            {
                return;
            }
        }
    }

    async fn healthy(&mut self) {
        while !matches!(self.next("well").await, EventKind::Healthy) {}
    }
}

macro_rules! both {
    ($($name:ident $body:block)*) => { $(
        #[cfg_attr(madsim, madsim::test)]
        #[cfg_attr(not(madsim), tokio::test)]
        async fn $name() {
            Fake::world();
            $body
        }
    )* };
}

both! {
    an_empty_store_is_an_answer_and_events_are_followed {
        let store = store();
        let fake = serve(&store);
        let mut running = start(&options(&[&fake]));
        running.routers(&[]).await;
        store.lock().put("services/web/virtual_hosts", "a.example");
        running.routers(&["web"]).await;
        store.lock().put("tcp-services/db/external_port", "3306");
        let rejections = running.routers(&["web"]).await;
        assert!(rejections.len() == 1 && rejections[0].key.starts_with("/kontena/haproxy/shop/lb/tcp-services/db"), "{rejections:?}");
    }

    without_a_watch_the_tree_is_read_at_its_pace {
        let store = store();
        store.lock().watches = false;
        let fake = serve(&store);
        let mut running = start(&options(&[&fake]));
        running.routers(&[]).await;
        store.lock().put("services/web/virtual_hosts", "a.example");
        running.routers(&["web"]).await;
        assert!(running.ended.lock().is_empty(), "a watch that fails ends nothing");
    }

    a_wiped_store_is_doubted_until_a_service_appears {
        let store = store();
        store.lock().put("services/web/virtual_hosts", "a.example");
        let fake = serve(&store);
        let mut running = start(&options(&[&fake]));
        running.routers(&["web"]).await;
        {
            let mut store = store.lock();
            (store.keys, store.index, store.cluster) = (Vec::new(), 3, "two".to_owned());
        }
        running.failing("suddenly holds no service").await;
        store.lock().put("services/new/virtual_hosts", "b.example");
        running.routers(&["new"]).await;
    }

    what_is_no_tree_is_an_error_and_another_endpoint_is_asked {
        let (broken, whole) = (store(), store());
        broken.lock().broken = Some(500);
        whole.lock().put("services/web/virtual_hosts", "a.example");
        let fakes = [serve(&broken), serve(&whole)];
        let mut running = start(&options(&[&fakes[0], &fakes[1]]));
        running.routers(&["web"]).await;
        assert!(running.ended.lock().is_empty());
        whole.lock().broken = Some(503);
        running.failing("the store answers 503").await;
        whole.lock().broken = None;
        running.healthy().await;
        assert!(running.ended.lock().iter().all(|why| why.contains("500")), "a round ended, and was begun again");
    }
}
