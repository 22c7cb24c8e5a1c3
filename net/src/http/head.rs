//! Message heads, and how the body behind them is framed.

use super::Fields;
use std::fmt;

/// Protocol version of a message, as it was on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// HTTP/1.0: no persistent connection by default, no chunked coding.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

/// A request method. Case matters (RFC 9110 section 9.1); an unknown one keeps its name.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token of at most 32 bytes.
    Other(Box<str>),
}

impl Method {
    /// Any token; the caller has checked that it is one.
    pub fn new(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            other => Self::Other(other.into()),
        }
    }

    /// The name as it goes on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other(name) => name,
        }
    }

    /// Idempotent by definition (RFC 9110 section 9.2.2): doing it twice is doing it once.
    pub fn is_idempotent(&self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace)
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Framing {
    /// No body follows.
    #[default]
    None,
    /// Exactly this many bytes.
    Length(u64),
    /// The coding says: chunked in HTTP/1.1, END_STREAM without a declared length in HTTP/2. Trailers may follow.
    Chunked,
    /// HTTP/1 response only: until the server closes.
    UntilClose,
    /// The connection stops being HTTP after this head: bytes both ways until both sides end (101, or 2xx to CONNECT).
    Tunnel,
}

impl Framing {
    /// Whether no body byte can follow.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// A request line with its fields.
///
/// `target` is what the request line or `:path` said, unchanged: origin form, absolute form or `*`.
/// `authority` is the host as this message names it: HTTP/2's `:authority`, HTTP/1.1's absolute-form authority, else the `Host`
/// field. Framing fields (`Content-Length`, `Transfer-Encoding`) stay in `fields` as they came; writers ignore them and
/// write `framing`.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    pub method: Method,
    pub target: String,
    pub authority: String,
    pub version: Version,
    pub fields: Fields,
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The client asked for this protocol in `Upgrade`, named it in `Connection`, and may speak it after a 101.
    pub upgrade: bool,
    /// Whether the connection may carry another request after this one.
    pub keep_alive: bool,
}

impl RequestHead {
    /// Empties the head and keeps its memory.
    pub fn clear(&mut self) {
        self.method = Method::Get;
        self.target.clear();
        self.authority.clear();
        self.version = Version::Http11;
        self.fields.clear();
        self.framing = Framing::None;
        (self.expect_continue, self.upgrade, self.keep_alive) = (false, false, false);
    }
}

/// A status line with its fields.
///
/// Where no body may follow (a response to HEAD, a 304), `framing` is `None` and a `Content-Length` in `fields` says what the body would
/// measure: the one case in which writers write that field on.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    pub status: u16,
    /// The reason phrase as the server wrote it; empty means the standard one.
    pub reason: String,
    pub version: Version,
    pub fields: Fields,
    pub framing: Framing,
    /// Whether the connection may carry another exchange after this one.
    pub keep_alive: bool,
}

impl ResponseHead {
    /// Empties the head and keeps its memory.
    pub fn clear(&mut self) {
        self.status = 0;
        self.reason.clear();
        self.version = Version::Http11;
        self.fields.clear();
        self.framing = Framing::None;
        self.keep_alive = false;
    }
}
