//! Query parameters: decoded, bounded, looked up by name.

/// Parameters in one request.
const MAX_PARAMETERS: usize = 64;

/// A decoded query.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pairs: Vec<_> = text.split('&').filter(|pair| !pair.is_empty()).take(MAX_PARAMETERS + 1).collect();
        if pairs.len() > MAX_PARAMETERS {
            return Err(format!("invalid request: more than {MAX_PARAMETERS} parameters"));
        }
        let decoded = pairs.into_iter().map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        });
        Ok(Self(decoded.collect()))
    }

    /// The first value of this name, unless it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Every value of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The part of `total` elements that is asked for, and the number of the page behind it, 1 if there is none.
    pub(super) fn page(&self, total: usize) -> Result<(std::ops::Range<usize>, usize), String> {
        let number = |name, default| match self.get(name) {
            None => Ok(default),
            Some(text) => match text.parse::<usize>() {
                Ok(n) if n > 0 => Ok(n),
                _ => Err(format!("invalid request: {name} must be a number above 0, not {text:?}")),
            },
        };
        let (page, per_page) = (number("page", 1)?, number("per_page", 100)?);
        let start = (page - 1).saturating_mul(per_page);
        if start >= total && page > 1 {
            return Err(format!("invalid request: page: {page}, per_page: {per_page}"));
        }
        let end = start.saturating_add(per_page).min(total);
        Ok((start..end, if end < total { page + 1 } else { 1 }))
    }
}

/// A segment of a path.
pub(super) fn decode_segment(segment: &str) -> String {
    decode(segment, false)
}

/// What is no escape stays as it is; what is not UTF-8 matches nothing.
fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        let escaped = (b == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if plus_is_space && b == b'+' { b' ' } else { b });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_read() {
        let query = Query::parse("a=x%20y+z&b&a=2&c=%zz%4").expect("a query");
        assert_eq!((query.get("a"), query.get("b"), query.get("c")), (Some("x y z"), None, Some("%zz%4")));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["x y z", "2"]);
        assert_eq!(decode_segment("a%2Fb+c"), "a/b+c");
        assert!(Query::parse(&"a&".repeat(65)).is_err());
    }

    proptest! {
        #[test]
        fn pages_cover_everything_once(total in 0usize..300, per_page in 1usize..120) {
            let (mut seen, mut page) = (0, 1);
            loop {
                let query = Query::parse(&format!("page={page}&per_page={per_page}")).expect("a query");
                let (range, next) = query.page(total).expect("a page that was promised");
                prop_assert_eq!(range.start, seen);
                seen = range.end;
                if next == 1 { break; }
                prop_assert_eq!(next, page + 1);
                page = next;
            }
            prop_assert_eq!(seen, total);
        }

        #[test]
        fn any_text_is_decoded(text in "\\PC{0,40}") {
            decode(&text, true);
        }
    }
}
