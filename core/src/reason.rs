//! Why Fairlead answered by itself. Closed: one variant per response that it can invent.

/// The cause of a response that no server gave. It stands in the access log, the metric, the span and, opt-in, in the
/// `X-Fairlead-Reason` response field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// 400: the message is not valid HTTP, or ambiguous in framing.
    MalformedRequest,
    /// 400: `Host` missing, repeated or not a host.
    InvalidHost,
    /// 400: the path holds what could be read in two ways.
    InvalidPath,
    /// 404: no router matches.
    NoRoute,
    /// 405: TRACE, or CONNECT where no route takes it.
    MethodNotAllowed,
    /// 408: the request head or body did not arrive in time.
    RequestTimeout,
    /// 413: the body is larger than the route allows.
    BodyTooLarge,
    /// 414: the request target is longer than the entry point allows.
    TargetTooLong,
    /// 417: an expectation other than `100-continue`.
    ExpectationFailed,
    /// 421: the certificate and TLS options of this connection are not those of the requested host.
    Misdirected,
    /// 431: the field section is larger than the entry point allows.
    FieldsTooLarge,
    /// 501: a transfer coding or method that Fairlead does not implement.
    NotImplemented,
    /// 505: a version that Fairlead does not speak.
    VersionNotSupported,
    /// 508: the request has already passed through this gateway.
    LoopDetected,
    /// 401: BasicAuth refused.
    Unauthorized,
    /// 403: IPAllowList refused.
    Forbidden,
    /// 429: RateLimit refused.
    RateLimited,
    /// 3xx: a redirect middleware answered.
    Redirect,
    /// 503: the service has no server at all.
    NoServer,
    /// 503: the service has servers, none of them usable now.
    NoHealthyServer,
    /// 502: no server accepted a connection.
    ConnectFailed,
    /// 504: no server accepted a connection in time.
    ConnectTimeout,
    /// 502: TLS to the server failed.
    UpstreamTls,
    /// 502: the server closed or reset before a response.
    UpstreamClosed,
    /// 502: the server's response breaks the protocol.
    UpstreamProtocol,
    /// 504: the server's response head did not arrive in time.
    UpstreamTimeout,
    /// Broken off: the server closed, reset or stalled in the middle of its response.
    UpstreamTruncated,
    /// 499: the client left before the response began. Never sent, only recorded.
    ClientClosed,
    /// 503: a limit of this gateway (connections, streams, memory) is reached.
    Overloaded,
    /// 503: this gateway is draining and takes no new work.
    Draining,
    /// 418: the internal `noop` service, which stands behind redirections.
    Noop,
    /// 500: a defect of Fairlead's own; the log holds its backtrace.
    Internal,
}
