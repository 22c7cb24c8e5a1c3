//! Query strings as Go's `url.Query` reads them, which is what rules see.

use std::borrow::Cow;

/// Decoded keys and values in order. `+` is a space; a pair that does not decode, or holds `;`, is skipped, as in Go.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(key)?, decode(value)?))
    })
}

fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Some(Cow::Borrowed(bytes));
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let [high, low, after @ ..] = tail else { return None };
                out.push(super::path::hex(*high)? << 4 | super::path::hex(*low)?);
                rest = after;
            }
            other => out.push(*other),
        }
    }
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_decode_as_in_go() {
        let text = |query| {
            let lossy = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
            pairs(query).map(|(k, v)| (lossy(k), lossy(v))).collect::<Vec<_>>()
        };
        let of = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
        assert_eq!(text("a=1&&b&c=x=y&%61+b=%20+"), of(&[("a", "1"), ("b", ""), ("c", "x=y"), ("a b", "  ")]));
        assert_eq!(text("a=%2&b=%zz&c;d=1&e=%"), of(&[]));
        assert_eq!(text(""), of(&[]));
    }
}
