//! A response that Fairlead makes by itself.
//!
//! Deliberately absent: everything that depends on the connection (`Date`, `Server`, framing, whether it closes).

use crate::reason::Reason;
use std::borrow::Cow;

/// What the client gets when no server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalResponse {
    pub status: u16,
    pub reason: Reason,
    /// Names in the case to be sent; without framing fields.
    pub fields: Vec<(Cow<'static, str>, Vec<u8>)>,
    pub body: Cow<'static, [u8]>,
}

impl LocalResponse {
    /// The reason's own status, text and `Retry-After`.
    pub fn of(reason: Reason) -> Self {
        let mut response = Self::text(reason, reason.status(), reason.body());
        if let Some(seconds) = reason.retry_after() {
            response = response.with("Retry-After", seconds.to_string());
        }
        response
    }

    /// No router matches, where the entry point answers that with `status`.
    pub fn unmatched(status: u16) -> Self {
        match status == Reason::NoRoute.status() {
            true => Self::of(Reason::NoRoute),
            false => Self::text(Reason::NoRoute, status, phrase(status)),
        }
    }

    /// A plain-text response.
    pub fn text(reason: Reason, status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self { status, reason, fields: Vec::new(), body }
            .with("Content-Type", "text/plain; charset=utf-8")
            .with("X-Content-Type-Options", "nosniff")
    }

    /// The same with one more field.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }
}

/// The reason phrase of a status code (IANA's registry, with nginx's 499); empty for a code without one.
pub fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_service_says_when_to_come_again() {
        let response = LocalResponse::of(Reason::NoServer);
        assert_eq!((response.status, &*response.body), (503, b"no available server\n".as_slice()));
        assert!(response.fields.iter().any(|(name, value)| name == "Retry-After" && value == b"1"));
    }

    #[test]
    fn a_missing_route_does_not() {
        let response = LocalResponse::of(Reason::NoRoute);
        assert_eq!((response.status, &*response.body), (404, b"404 page not found\n".as_slice()));
        assert!(response.fields.iter().all(|(name, _)| name != "Retry-After"));
    }
}
