//! Traefik's common format:
//!
//! ```text
//! <client> - <user> [<time>] "<method> <path> <protocol>" <status> <size> "<referer>" "<agent>" <count> "<router>" "<server>" <ms>ms
//! ```

use super::{
    escape,
    select::{Field, HeaderMode, Selection},
    stamp,
};
use crate::telemetry::Record;

/// Writes a line. Without `count` it ends behind the user agent.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, selection: &Selection, count: Option<u64>) {
    let kept = |field, value| if selection.keeps(field) { value } else { "" };
    let client = record.client_host();
    escape::bare(out, kept(Field::ClientHost, &client).as_bytes());
    out.extend_from_slice(b" - ");
    escape::bare(out, kept(Field::ClientUsername, record.user.unwrap_or_default()).as_bytes());
    out.extend_from_slice(b" [");
    stamp::clf(out, record.started);
    out.extend_from_slice(b"] \"");
    let method = if record.tcp { "" } else { record.method.as_str() };
    escape::bare(out, kept(Field::RequestMethod, method).as_bytes());
    out.push(b' ');
    if record.tcp {
        // What stands for it is the name that the client asked for in its hello.
        escape::bare(out, kept(Field::TLSServerName, record.path).as_bytes());
    } else if selection.keeps(Field::RequestPath) {
        escape::quoted(out, record.path.as_bytes());
        if let Some(query) = record.query.filter(|_| selection.keeps_query()) {
            out.push(b'?');
            escape::quoted(out, query.as_bytes());
        }
    } else {
        out.push(b'-');
    }
    out.push(b' ');
    escape::bare(out, kept(Field::RequestProtocol, record.protocol_name()).as_bytes());
    out.extend_from_slice(b"\" ");
    number(out, (selection.keeps(Field::DownstreamStatus) && !record.tcp).then_some(u64::from(record.status)));
    out.push(b' ');
    number(out, selection.keeps(Field::DownstreamContentSize).then_some(record.response_bytes));
    for name in ["referer", "user-agent"] {
        let value = match selection.header(name) {
            HeaderMode::Drop => None,
            HeaderMode::Keep => record.request_fields.get(name),
            HeaderMode::Redact => record.request_fields.get(name).map(|_| &b"REDACTED"[..]),
        };
        quoted(out, value.unwrap_or_default());
    }
    if let Some(count) = count {
        out.push(b' ');
        number(out, selection.keeps(Field::RequestCount).then_some(count));
        quoted(out, kept(Field::RouterName, record.router.map_or("", |r| r.name())).as_bytes());
        quoted(out, kept(Field::ServiceURL, record.server_url.unwrap_or_default()).as_bytes());
        out.push(b' ');
        number(out, Some(u64::try_from(record.total.as_millis()).unwrap_or(u64::MAX)));
        out.extend_from_slice(b"ms");
    }
    out.push(b'\n');
}

/// A space, then the value in quotes.
fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b" \"");
    match value {
        b"" => out.push(b'-'),
        value => escape::quoted(out, value),
    }
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, value: Option<u64>) {
    match value {
        Some(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        None => out.push(b'-'),
    }
}
