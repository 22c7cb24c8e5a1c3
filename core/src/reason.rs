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
    /// 404, or what the entry point says: no router matches.
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
    /// 503: this gateway has begun, and not every provider has spoken yet.
    Starting,
    /// 418: the internal `noop` service, which stands behind redirections.
    Noop,
    /// 500: a defect of Fairlead's own; the log holds its backtrace.
    Internal,
}

/// When a failed attempt may be made again, as far as its cause alone tells. [`crate::retry`] has the whole rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryRule {
    /// Not a failure of an attempt, or one that another attempt would meet again.
    Never,
    /// No byte of the request reached a server: any method may go elsewhere.
    Unsent,
    /// A server may have acted on it: idempotent methods only.
    Idempotent,
}

impl Reason {
    /// Every reason, in order of declaration.
    pub const ALL: [Self; 33] = [
        Self::MalformedRequest,
        Self::InvalidHost,
        Self::InvalidPath,
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::BodyTooLarge,
        Self::TargetTooLong,
        Self::ExpectationFailed,
        Self::Misdirected,
        Self::FieldsTooLarge,
        Self::NotImplemented,
        Self::VersionNotSupported,
        Self::LoopDetected,
        Self::Unauthorized,
        Self::Forbidden,
        Self::RateLimited,
        Self::Redirect,
        Self::NoServer,
        Self::NoHealthyServer,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::UpstreamTls,
        Self::UpstreamClosed,
        Self::UpstreamProtocol,
        Self::UpstreamTimeout,
        Self::UpstreamTruncated,
        Self::ClientClosed,
        Self::Overloaded,
        Self::Draining,
        Self::Starting,
        Self::Noop,
        Self::Internal,
    ];

    /// The reason for refusing a message that is owed this status.
    pub fn of_status(status: u16) -> Self {
        match status {
            408 => Self::RequestTimeout,
            413 => Self::BodyTooLarge,
            414 => Self::TargetTooLong,
            417 => Self::ExpectationFailed,
            431 => Self::FieldsTooLarge,
            501 => Self::NotImplemented,
            505 => Self::VersionNotSupported,
            _ => Self::MalformedRequest,
        }
    }

    /// The status code unless who answers has another: redirects choose among 301, 302, 307 and 308, and those of
    /// IPAllowList and of an entry point without a route are configured. What is only recorded (499, a response broken off) has the code of the record.
    pub fn status(self) -> u16 {
        match self {
            Self::Redirect => 302,
            Self::MalformedRequest | Self::InvalidHost | Self::InvalidPath => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NoRoute => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::ExpectationFailed => 417,
            Self::Noop => 418,
            Self::Misdirected => 421,
            Self::RateLimited => 429,
            Self::FieldsTooLarge => 431,
            Self::ClientClosed => 499,
            Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::ConnectFailed | Self::UpstreamTls | Self::UpstreamClosed | Self::UpstreamProtocol | Self::UpstreamTruncated => {
                502
            }
            Self::NoServer | Self::NoHealthyServer | Self::Overloaded | Self::Draining | Self::Starting => 503,
            Self::ConnectTimeout | Self::UpstreamTimeout => 504,
            Self::VersionNotSupported => 505,
            Self::LoopDetected => 508,
        }
    }

    /// The one name in log, metric, span and `X-Fairlead-Reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::InvalidHost => "invalid_host",
            Self::InvalidPath => "invalid_path",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::ExpectationFailed => "expectation_failed",
            Self::Misdirected => "misdirected",
            Self::FieldsTooLarge => "fields_too_large",
            Self::NotImplemented => "not_implemented",
            Self::VersionNotSupported => "version_not_supported",
            Self::LoopDetected => "loop_detected",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::Redirect => "redirect",
            Self::NoServer => "no_server",
            Self::NoHealthyServer => "no_healthy_server",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::UpstreamTls => "upstream_tls",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamTruncated => "upstream_truncated",
            Self::ClientClosed => "client_closed",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::Starting => "starting",
            Self::Noop => "noop",
            Self::Internal => "internal",
        }
    }

    /// Whether an attempt that ended so may be made again.
    pub fn retry(self) -> RetryRule {
        match self {
            Self::ConnectFailed | Self::ConnectTimeout | Self::UpstreamTls => RetryRule::Unsent,
            Self::UpstreamClosed | Self::UpstreamProtocol | Self::UpstreamTimeout => RetryRule::Idempotent,
            Self::MalformedRequest
            | Self::InvalidHost
            | Self::InvalidPath
            | Self::NoRoute
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::BodyTooLarge
            | Self::TargetTooLong
            | Self::ExpectationFailed
            | Self::Misdirected
            | Self::FieldsTooLarge
            | Self::NotImplemented
            | Self::VersionNotSupported
            | Self::LoopDetected
            | Self::Unauthorized
            | Self::Forbidden
            | Self::RateLimited
            | Self::Redirect
            | Self::NoServer
            | Self::NoHealthyServer
            | Self::UpstreamTruncated
            | Self::ClientClosed
            | Self::Overloaded
            | Self::Draining
            | Self::Starting
            | Self::Noop
            | Self::Internal => RetryRule::Never,
        }
    }

    /// Seconds for `Retry-After`, where a client does well to come again soon. RateLimit computes its own.
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Self::NoServer | Self::NoHealthyServer | Self::Overloaded | Self::Draining | Self::Starting => Some(1),
            _ => None,
        }
    }

    /// The plain-text body; Traefik's text where it has one. Never says more of the inside than the status does.
    pub fn body(self) -> &'static str {
        match self {
            Self::NoRoute => "404 page not found\n",
            Self::Unauthorized => "401 Unauthorized\n",
            Self::NoServer | Self::NoHealthyServer => "no available server\n",
            Self::InvalidHost => "Bad Request: invalid host\n",
            Self::InvalidPath => "Bad Request: invalid path\n",
            _ => crate::response::phrase(self.status()),
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_is_whole_and_in_order() {
        assert!(Reason::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index));
        assert_eq!(Reason::ALL.len(), Reason::Internal as usize + 1);
    }

    #[test]
    fn names_are_distinct_and_fit_for_a_metric_label() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }

    #[test]
    fn every_status_has_text_and_only_gateway_errors_are_retried() {
        for reason in Reason::ALL {
            assert!(!reason.body().is_empty(), "{reason}");
            assert_eq!(
                reason.retry() != RetryRule::Never,
                matches!(reason.status(), 502 | 504) && reason != Reason::UpstreamTruncated
            );
            assert!(reason.retry_after().is_none() || reason.status() == 503);
        }
    }
}
