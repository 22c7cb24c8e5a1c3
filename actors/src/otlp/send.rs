//! One batch to the collector: a POST over HTTP/1.1, or a unary call over gRPC.
//!
//! HTTP opens a connection for each batch; gRPC keeps its connection while it works.

use super::{Endpoint, OtlpOptions};
use bytes::Bytes;
use fairlead_net::{
    dns,
    grpc::{Channel, Code},
    http::{Frame, Framing, Method, RequestHead, ResponseHead, Sink, Source, Upstream},
    http1::{ClientConn, Limits},
    http2::client,
    task, tcp, tls,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::{fmt::Display, future::poll_fn, net::SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 << 10;

/// Why a batch did not arrive.
#[derive(Debug)]
pub(super) struct Failure {
    /// Trying again may help.
    pub(super) retry: bool,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn passing(message: impl Display) -> Self {
        Self { retry: true, message: message.to_string() }
    }

    pub(super) fn lasting(message: impl Display) -> Self {
        Self { retry: false, message: message.to_string() }
    }
}

/// The way to the collector.
pub(super) struct Connection<'a> {
    options: &'a OtlpOptions,
    channel: Option<(Channel, task::Owned<()>)>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(options: &'a OtlpOptions) -> Self {
        Self { options, channel: None }
    }

    /// After a failure: the next batch takes a new connection.
    pub(super) fn forget(&mut self) {
        self.channel = None;
    }

    /// Sends an encoded request and tells how many spans were refused.
    pub(super) async fn send(&mut self, body: &[u8]) -> Result<u64, Failure> {
        let endpoint = &self.options.endpoint;
        if endpoint.grpc {
            return self.call(body).await;
        }
        let stream = connect(endpoint).await?;
        if !endpoint.tls {
            return post(stream, self.options, body).await;
        }
        post(secure(stream, self.options).await?, self.options, body).await
    }

    async fn call(&mut self, body: &[u8]) -> Result<u64, Failure> {
        if self.channel.as_ref().is_none_or(|(channel, _)| channel.is_closed()) {
            self.channel = Some(open(self.options).await?);
        }
        let Some((channel, _)) = &self.channel else { return Err(Failure::passing("no connection")) };
        let metadata: Vec<_> = self.options.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match channel.call_unary(EXPORT, &metadata, body).await {
            Ok(answer) => Ok(refused(&answer)),
            Err(status) => {
                // The codes that OTLP's specification calls retryable.
                let retry = matches!(
                    status.code,
                    Code::Cancelled
                        | Code::DeadlineExceeded
                        | Code::Aborted
                        | Code::OutOfRange
                        | Code::Unavailable
                        | Code::DataLoss
                        | Code::ResourceExhausted
                );
                Err(Failure { retry, message: status.to_string() })
            }
        }
    }
}

async fn open(options: &OtlpOptions) -> Result<(Channel, task::Owned<()>), Failure> {
    let stream = connect(&options.endpoint).await?;
    if options.endpoint.tls {
        let stream = secure(stream, options).await?;
        return speak(stream, options, client::Settings { secure: true, ..client::Settings::default() }).await;
    }
    speak(stream, options, client::Settings::default()).await
}

async fn speak<S>(stream: S, options: &OtlpOptions, settings: client::Settings) -> Result<(Channel, task::Owned<()>), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, driver) = client::handshake(stream, &settings).await.map_err(Failure::passing)?;
    let driving = task::spawn(async move {
        if let Err(e) = driver.await {
            tracing::debug!("the connection to the collector ended: {e}");
        }
    });
    Ok((Channel::new(client, options.endpoint.authority()), driving.owned()))
}

async fn connect(endpoint: &Endpoint) -> Result<tcp::Stream, Failure> {
    let addresses = dns::resolve(&endpoint.host).await.map_err(|e| Failure::passing(format!("{}: {e}", endpoint.host)))?;
    let mut last = format!("{} has no address", endpoint.host);
    for address in addresses {
        let peer = SocketAddr::new(address, endpoint.port);
        match tcp::Stream::connect(peer).await {
            Ok(stream) => return Ok(stream),
            Err(e) => last = format!("{peer}: {e}"),
        }
    }
    Err(Failure::passing(last))
}

async fn secure<S>(stream: S, options: &OtlpOptions) -> Result<tls::ClientStream<S>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(config) = &options.tls else { return Err(Failure::lasting("the endpoint needs TLS, which is not configured")) };
    let connected = tls::connect(stream, config, &options.endpoint.host).await.map_err(Failure::passing)?;
    Ok(connected.stream)
}

async fn post<S>(stream: S, options: &OtlpOptions, body: &[u8]) -> Result<u64, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut connection = ClientConn::new(stream, Limits::default());
    let mut head = RequestHead {
        method: Method::Post,
        target: options.endpoint.path.clone(),
        authority: options.endpoint.authority(),
        framing: Framing::Length(body.len() as u64),
        ..RequestHead::default()
    };
    head.fields.append("Content-Type", b"application/x-protobuf");
    head.fields.append("User-Agent", concat!("fairlead/", env!("CARGO_PKG_VERSION")).as_bytes());
    for (name, value) in &options.headers {
        head.fields.set(name, value.as_bytes());
    }
    connection.send_head(&head).map_err(Failure::passing)?;
    let mut rest = body;
    while !rest.is_empty() {
        let taken = poll_fn(|cx| connection.poll_send(cx, rest)).await.map_err(Failure::passing)?;
        rest = &rest[taken..];
    }
    connection.send_end(None).map_err(Failure::passing)?;
    poll_fn(|cx| connection.poll_flush(cx)).await.map_err(Failure::passing)?;
    let mut answer = ResponseHead::default();
    while answer.status < 200 {
        poll_fn(|cx| connection.poll_head(cx, &mut answer)).await.map_err(Failure::passing)?;
    }
    match answer.status {
        200..=299 => Ok(refused(&read(&mut connection).await?)),
        status => {
            // The statuses that OTLP's specification calls retryable.
            let retry = matches!(status, 429 | 502 | 503 | 504);
            Err(Failure { retry, message: format!("the collector answered {status}") })
        }
    }
}

async fn read(source: &mut impl Source) -> Result<Bytes, Failure> {
    let mut body = Vec::new();
    loop {
        let taken = poll_fn(|cx| {
            source.poll_frame(cx).map(|frame| match frame {
                Ok(Frame::Data(data)) => {
                    body.extend_from_slice(&data[..data.len().min(MAX_ANSWER - body.len())]);
                    Ok(data.len())
                }
                Ok(Frame::End(_)) => Ok(0),
                Err(e) => Err(e),
            })
        });
        match taken.await.map_err(Failure::passing)? {
            0 => return Ok(body.into()),
            n => source.consume(n),
        }
        if body.len() >= MAX_ANSWER {
            return Ok(body.into());
        }
    }
}

/// Spans that the collector did not take. An answer that cannot be read is still an acceptance.
fn refused(answer: &[u8]) -> u64 {
    let partial = ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
    partial.map_or(0, |partial| {
        if partial.rejected_spans > 0 {
            tracing::warn!("the collector refused {} spans: {}", partial.rejected_spans, partial.error_message);
        }
        u64::try_from(partial.rejected_spans).unwrap_or(0)
    })
}
