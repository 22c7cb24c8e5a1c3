//! A receiver of OpenTelemetry traces over OTLP/HTTP. The messages are declared here from the protocol's own definition,
//! as far as tests look at them, and share nothing with the exporter.

use crate::server::{After, Server};
use prost::Message;
use std::sync::{Arc, Mutex};

/// Collects what is sent to `/v1/traces`.
pub struct Receiver {
    server: Server,
    spans: Arc<Mutex<Vec<(String, Span)>>>,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::start()
    }
}

impl Receiver {
    /// A running one.
    pub fn start() -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let into = spans.clone();
        let server = Server::start(move |exchange| {
            let (body, _) = exchange.body()?;
            let is_protobuf = exchange.head.field("content-type") == Some("application/x-protobuf");
            let request = Export::decode(body.as_slice());
            match request {
                Ok(request) if is_protobuf && exchange.head.target() == "/v1/traces" => {
                    into.lock().expect("no test panics here").extend(request.spans());
                    exchange.reply(200, "Content-Type: application/x-protobuf\r\n", "")?;
                }
                _ => exchange.reply(400, "", "")?,
            }
            Ok(After::Keep)
        });
        Self { server, spans }
    }

    /// Where the exporter is to send to.
    pub fn endpoint(&self) -> String {
        format!("{}/v1/traces", self.server.url())
    }

    /// Every span so far, with the service's name from its resource.
    pub fn spans(&self) -> Vec<(String, Span)> {
        self.spans.lock().expect("no test panics here").clone()
    }
}

/// `ExportTraceServiceRequest`
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

impl Export {
    fn spans(self) -> Vec<(String, Span)> {
        let of = |resource: ResourceSpans| {
            let attributes = resource.resource.map(|r| r.attributes).unwrap_or_default();
            let service = text_of(&attributes, "service.name").unwrap_or_default();
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.map(move |span| (service.clone(), span)).collect::<Vec<_>>()
        };
        self.resource_spans.into_iter().flat_map(of).collect()
    }
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// One span.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub name: String,
    /// 2: server, 3: client.
    #[prost(int32, tag = "6")]
    pub kind: i32,
    #[prost(fixed64, tag = "7")]
    pub start: u64,
    #[prost(fixed64, tag = "8")]
    pub end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

impl Span {
    /// An attribute, numbers as text.
    pub fn attribute(&self, key: &str) -> Option<String> {
        text_of(&self.attributes, key)
    }

    /// Keys of all attributes.
    pub fn keys(&self) -> Vec<&str> {
        self.attributes.iter().map(|a| a.key.as_str()).collect()
    }
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    string: Option<String>,
    #[prost(bool, optional, tag = "2")]
    boolean: Option<bool>,
    #[prost(int64, optional, tag = "3")]
    integer: Option<i64>,
}

fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|a| a.key == key)?.value.as_ref()?;
    value.string.clone().or(value.integer.map(|n| n.to_string())).or(value.boolean.map(|b| b.to_string()))
}
