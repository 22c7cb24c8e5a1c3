//! Values that others chose, written so that they cannot be taken for structure.
//!
//! Escaped everywhere: what would end the value, every control character (C0, DEL and C1: terminals obey them) and bytes
//! that are not UTF-8. A value is cut at [`LONGEST`] bytes.

/// Longest value in a line, before escaping.
pub(super) const LONGEST: usize = 8192;

/// The inside of a quoted position in the Common Log Format.
pub(super) fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    clf(out, value, |b| matches!(b, b'"' | b'\\'));
}

/// A position without quotes in the Common Log Format: spaces would shift the columns.
pub(super) fn bare(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() {
        out.push(b'-');
    }
    clf(out, value, |b| matches!(b, b'"' | b'\\' | b' '));
}

fn clf(out: &mut Vec<u8>, value: &[u8], special: impl Fn(u8) -> bool) {
    each(value, |part| match part {
        Part::Clean(bytes) => {
            for &b in bytes {
                match b {
                    b' ' if special(b) => out.extend_from_slice(b"\\x20"),
                    b if special(b) => out.extend_from_slice(&[b'\\', b]),
                    b => out.push(b),
                }
            }
        }
        Part::Control(c) if c < '\u{80}' => hex(out, c as u8),
        Part::Control(c) => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| hex(out, b)),
        Part::Invalid(bytes) => bytes.iter().for_each(|b| hex(out, *b)),
    });
}

/// The inside of a JSON string.
pub(super) fn json(out: &mut Vec<u8>, value: &[u8]) {
    each(value, |part| match part {
        Part::Clean(bytes) => {
            let mut rest = bytes;
            while let Some(at) = rest.iter().position(|b| matches!(b, b'"' | b'\\')) {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(&[b'\\', rest[at]]);
                rest = &rest[at + 1..];
            }
            out.extend_from_slice(rest);
        }
        Part::Control('\n') => out.extend_from_slice(b"\\n"),
        Part::Control('\r') => out.extend_from_slice(b"\\r"),
        Part::Control('\t') => out.extend_from_slice(b"\\t"),
        Part::Control(c) => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits(c as u8));
        }
        Part::Invalid(_) => out.extend_from_slice("\u{fffd}".as_bytes()),
    });
}

enum Part<'a> {
    /// UTF-8 without control characters.
    Clean(&'a [u8]),
    Control(char),
    Invalid(&'a [u8]),
}

fn each(value: &[u8], mut show: impl FnMut(Part<'_>)) {
    let value = &value[..value.len().min(LONGEST)];
    // Nearly every value is printable ASCII.
    if value.iter().all(|b| (0x20..0x7f).contains(b)) {
        return show(Part::Clean(value));
    }
    for chunk in value.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find(char::is_control) {
            let (clean, from) = rest.split_at(at);
            show(Part::Clean(clean.as_bytes()));
            let mut chars = from.chars();
            if let Some(control) = chars.next() {
                show(Part::Control(control));
            }
            rest = chars.as_str();
        }
        show(Part::Clean(rest.as_bytes()));
        if !chunk.invalid().is_empty() {
            show(Part::Invalid(chunk.invalid()));
        }
    }
}

fn hex(out: &mut Vec<u8>, b: u8) {
    out.extend_from_slice(b"\\x");
    out.extend_from_slice(&digits(b));
}

fn digits(b: u8) -> [u8; 2] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(f: fn(&mut Vec<u8>, &[u8]), value: &[u8]) -> String {
        let mut out = Vec::new();
        f(&mut out, value);
        String::from_utf8(out).expect("escaped text is UTF-8")
    }

    #[test]
    fn forgeries_stay_inside_their_value() {
        assert_eq!(run(quoted, b"a\r\n1.2.3.4 - - \"GET"), r#"a\x0d\x0a1.2.3.4 - - \"GET"#);
        assert_eq!(run(quoted, b"\\"), r"\\");
        assert_eq!(run(bare, b"a b"), r"a\x20b");
        assert_eq!(run(bare, b""), "-");
        assert_eq!(run(quoted, "é\u{9b}31m\x1b[0m\u{7f}".as_bytes()), r"é\xc2\x9b31m\x1b[0m\x7f");
        assert_eq!(run(quoted, b"\xff\xfe"), r"\xff\xfe");
        assert_eq!(run(json, b"a\"\\\n\x01\xff"), "a\\\"\\\\\\n\\u0001\u{fffd}");
    }

    proptest! {
        #[test]
        fn json_reads_back(value in any::<String>()) {
            let text = format!("\"{}\"", run(json, value.as_bytes()));
            let back: String = serde_json::from_str(&text).expect("a JSON string");
            prop_assert_eq!(back, value);
            prop_assert!(!text.chars().any(char::is_control));
        }

        #[test]
        fn a_quoted_value_ends_at_its_quote(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = run(quoted, &value);
            prop_assert!(!text.chars().any(char::is_control));
            let mut escaped = false;
            for b in text.bytes() {
                prop_assert!(b != b'"' || escaped, "an open quote in {:?}", text);
                escaped = b == b'\\' && !escaped;
            }
            prop_assert!(!escaped, "the closing quote would be escaped in {:?}", text);
        }
    }
}
