//! How a call ended: the code and message of a trailer, or what stands for them when there was none.

use crate::http::{Error, Fields, Kind};
use std::fmt;

/// gRPC's status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

const CODES: [Code; 17] = [
    Code::Ok,
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: Code,
    pub message: String,
}

impl std::error::Error for Status {}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)
    }
}

impl Status {
    /// Builds a status.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The status that fields carry, if they carry one. `Ok(())` is success.
    pub(super) fn read(fields: &Fields) -> Option<Result<(), Self>> {
        let number: usize = fields.get_str("grpc-status")?.parse().unwrap_or(2);
        let code = CODES.get(number).copied().unwrap_or(Code::Unknown);
        if code == Code::Ok {
            return Some(Ok(()));
        }
        Some(Err(Self::new(code, unescape(fields.get("grpc-message").unwrap_or_default()))))
    }

    /// Writes a call's end into trailers.
    pub(super) fn write(ended: &Result<(), Self>) -> Fields {
        let mut fields = Fields::new();
        let (code, message) = match ended {
            Ok(()) => (Code::Ok, ""),
            Err(status) => (status.code, status.message.as_str()),
        };
        fields.append("grpc-status", (code as usize).to_string().as_bytes());
        if !message.is_empty() {
            fields.append("grpc-message", escape(message).as_bytes());
        }
        fields
    }

    /// What an HTTP status means where no gRPC status came with it.
    pub(super) fn from_http(status: u16) -> Self {
        let code = match status {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502..=504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        Self::new(code, format!("the server answered with HTTP status {status} and no gRPC status"))
    }
}

/// The transport's failures. `Unavailable` may be tried again elsewhere, as far as the call allows.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = match error.kind {
            Kind::Closed | Kind::Io(_) | Kind::Refused => Code::Unavailable,
            Kind::TimedOut => Code::DeadlineExceeded,
            Kind::Reset => Code::Cancelled,
            Kind::Malformed(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// Percent-encoding of everything but printable ASCII.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Takes escapes apart; what is none stays as it is.
fn unescape(text: &[u8]) -> String {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).map(|d| d as u8);
    let (mut out, mut i) = (Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = text.get(i) {
        match (byte, digit(text.get(i + 1)), digit(text.get(i + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                i += 3;
            }
            _ => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_message_survives_its_escapes(message in any::<String>()) {
            let escaped = escape(&message);
            prop_assert!(escaped.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(unescape(escaped.as_bytes()), message);
        }
    }

    #[test]
    fn every_code_survives_the_trailers() {
        for code in CODES {
            let ended = if code == Code::Ok { Ok(()) } else { Err(Status::new(code, "why: 100 %")) };
            assert_eq!(Status::read(&Status::write(&ended)), Some(ended));
        }
        let odd: Fields = [("grpc-status", &b"99"[..])].into_iter().collect();
        assert_eq!(Status::read(&odd), Some(Err(Status::new(Code::Unknown, ""))));
        assert_eq!(Status::read(&Fields::new()), None);
    }
}
