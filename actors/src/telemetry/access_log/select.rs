//! Which fields and headers stand in a line. Decided once, when the options are known.

use super::AccessLogOptions;
use fairlead_net::http::Fields;

/// Whether a field stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldMode {
    Keep,
    Drop,
}

/// Whether a header stands in a line, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderMode {
    Keep,
    Drop,
    /// Its presence stands in the line, its value does not.
    Redact,
}

/// Statuses from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    pub first: u16,
    pub last: u16,
}

impl StatusRange {
    pub(super) fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// Headers whose value is a credential: never kept by a default mode, only by their own name.
const CREDENTIALS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "www-authenticate",
];

macro_rules! fields {
    ($($name:ident),* $(,)?) => {
        /// The fields of a line, in the order of their names' bytes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
        #[expect(non_camel_case_types, reason = "the names are those that operators write")]
        pub(super) enum Field { $($name),* }

        impl Field {
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// Its key in a JSON object, behind another one: `,"Attempts":`.
            pub(super) fn key(self) -> &'static str {
                match self { $(Self::$name => concat!(",\"", stringify!($name), "\":")),* }
            }
        }
    };
}

fields! {
    Attempts, ClientAddr, ClientClosed, ClientHost, ClientPort, ClientUsername, ConnectDuration, DownstreamContentSize, DownstreamStatus,
    Duration, FirstByteDuration, GzipRatio, OriginContentSize, OriginDuration, OriginStatus, Overhead, Reason, RequestAddr,
    RequestContentSize, RequestCount, RequestHost, RequestID, RequestMethod, RequestPath, RequestPort, RequestProtocol, RequestScheme,
    RetryAttempts, RouterName, RoutingDuration, ServiceAddr, ServiceInstance, ServiceName, ServiceNode, ServiceURL, SnapshotNumber, SpanId, StartLocal, StartUTC,
    TLSCipher, TLSClientSubject, TLSServerName, TLSVersion, TraceId, Truncated, entryPointName, span_id, trace_id,
}

impl Field {
    /// Means nothing where there is no request.
    pub(super) fn is_of_requests(self) -> bool {
        matches!(
            self,
            Self::ClientUsername
                | Self::DownstreamStatus
                | Self::FirstByteDuration
                | Self::GzipRatio
                | Self::OriginStatus
                | Self::RequestAddr
                | Self::RequestHost
                | Self::RequestID
                | Self::RequestMethod
                | Self::RequestPath
                | Self::RequestPort
                | Self::RequestScheme
        )
    }
}

/// The options' selection, compiled.
pub(super) struct Selection {
    kept: u64,
    header_default: HeaderMode,
    /// Lower-case names.
    headers: Vec<(Box<str>, HeaderMode)>,
    query: bool,
}

impl Selection {
    pub(super) fn new(options: &AccessLogOptions) -> Self {
        let mut kept = 0;
        for field in Field::ALL {
            let named = options.names.iter().find(|(name, _)| name.eq_ignore_ascii_case(field.name())).map(|(_, mode)| *mode);
            if named.unwrap_or(options.default_mode) == FieldMode::Keep {
                kept |= 1 << *field as u32;
            }
        }
        let mut headers: Vec<(Box<str>, HeaderMode)> =
            options.headers.iter().map(|(name, mode)| (name.to_ascii_lowercase().into(), *mode)).collect();
        for name in CREDENTIALS {
            if !headers.iter().any(|(n, _)| &**n == name) {
                let mode = if options.header_default_mode == HeaderMode::Drop { HeaderMode::Drop } else { HeaderMode::Redact };
                headers.push((name.into(), mode));
            }
        }
        Self { kept, header_default: options.header_default_mode, headers, query: options.query_parameters == FieldMode::Keep }
    }

    pub(super) fn keeps(&self, field: Field) -> bool {
        self.kept & 1 << field as u32 != 0
    }

    pub(super) fn keeps_query(&self) -> bool {
        self.query
    }

    pub(super) fn header(&self, name: &str) -> HeaderMode {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or(self.header_default, |(_, mode)| *mode)
    }

    /// Shows each header that stands in the line: its name as it came, and whether its value does.
    pub(super) fn each_header(&self, fields: &Fields, mut show: impl FnMut(&str, HeaderMode)) {
        if self.header_default == HeaderMode::Drop {
            // The usual case: only what was asked for is looked up.
            for (name, mode) in self.headers.iter().filter(|(name, mode)| *mode != HeaderMode::Drop && fields.contains(name)) {
                show(name, *mode);
            }
            return;
        }
        for (index, (name, _)) in fields.iter().enumerate() {
            let mode = self.header(name);
            let repeated = fields.iter().take(index).any(|(earlier, _)| earlier.eq_ignore_ascii_case(name));
            if mode != HeaderMode::Drop && !repeated {
                show(name, mode);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_in_the_order_of_their_names_and_fit_the_mask() {
        assert!(Field::ALL.windows(2).all(|w| w[0].name() < w[1].name()));
        assert!(Field::ALL.len() <= 64);
    }
}
