//! The closed list of reasons, as labels.

use fairlead_core::reason::Reason;

/// Every reason, in the order of its number.
pub(super) const ALL: [Reason; 33] = [
    Reason::MalformedRequest,
    Reason::InvalidHost,
    Reason::InvalidPath,
    Reason::NoRoute,
    Reason::MethodNotAllowed,
    Reason::RequestTimeout,
    Reason::BodyTooLarge,
    Reason::TargetTooLong,
    Reason::ExpectationFailed,
    Reason::Misdirected,
    Reason::FieldsTooLarge,
    Reason::NotImplemented,
    Reason::VersionNotSupported,
    Reason::LoopDetected,
    Reason::Unauthorized,
    Reason::Forbidden,
    Reason::RateLimited,
    Reason::Redirect,
    Reason::NoServer,
    Reason::NoHealthyServer,
    Reason::ConnectFailed,
    Reason::ConnectTimeout,
    Reason::UpstreamTls,
    Reason::UpstreamClosed,
    Reason::UpstreamProtocol,
    Reason::UpstreamTimeout,
    Reason::UpstreamTruncated,
    Reason::ClientClosed,
    Reason::Overloaded,
    Reason::Draining,
    Reason::Starting,
    Reason::Noop,
    Reason::Internal,
];

/// As a label, a log field and a span attribute.
pub(super) fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::MalformedRequest => "malformed_request",
        Reason::InvalidHost => "invalid_host",
        Reason::InvalidPath => "invalid_path",
        Reason::NoRoute => "no_route",
        Reason::MethodNotAllowed => "method_not_allowed",
        Reason::RequestTimeout => "request_timeout",
        Reason::BodyTooLarge => "body_too_large",
        Reason::TargetTooLong => "target_too_long",
        Reason::ExpectationFailed => "expectation_failed",
        Reason::Misdirected => "misdirected",
        Reason::FieldsTooLarge => "fields_too_large",
        Reason::NotImplemented => "not_implemented",
        Reason::VersionNotSupported => "version_not_supported",
        Reason::LoopDetected => "loop_detected",
        Reason::Unauthorized => "unauthorized",
        Reason::Forbidden => "forbidden",
        Reason::RateLimited => "rate_limited",
        Reason::Redirect => "redirect",
        Reason::NoServer => "no_server",
        Reason::NoHealthyServer => "no_healthy_server",
        Reason::ConnectFailed => "connect_failed",
        Reason::ConnectTimeout => "connect_timeout",
        Reason::UpstreamTls => "upstream_tls",
        Reason::UpstreamClosed => "upstream_closed",
        Reason::UpstreamProtocol => "upstream_protocol",
        Reason::UpstreamTimeout => "upstream_timeout",
        Reason::UpstreamTruncated => "upstream_truncated",
        Reason::ClientClosed => "client_closed",
        Reason::Overloaded => "overloaded",
        Reason::Draining => "draining",
        Reason::Starting => "starting",
        Reason::Noop => "noop",
        Reason::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        for (index, reason) in ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
        assert_eq!(Reason::Internal as usize + 1, ALL.len());
    }
}
