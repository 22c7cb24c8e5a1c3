//! The character classes of RFC 9110 section 5.6 and RFC 9112.

/// `tchar`: what names and methods are made of.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        let c = b as u8;
        table[b] = c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        b += 1;
    }
    table
};

pub(crate) fn is_tchar(b: u8) -> bool {
    TOKEN[usize::from(b)]
}

pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| is_tchar(b))
}

/// Whether every byte may stand in a field value or reason phrase: HTAB, SP, VCHAR and obs-text.
///
/// Folded without a branch so that it compiles to vector code.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, &b| bad | ((b < 0x20) & (b != b'\t')) | (b == 0x7f))
}

/// Whether every byte is a visible ASCII character, as in a target or an authority.
pub(crate) fn is_visible(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, &b| bad | !(0x21..=0x7e).contains(&b))
}

/// Strips SP and HTAB from both ends.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a comma-separated list, trimmed; empty ones are kept for the caller to judge.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim)
}

/// A decimal number without sign, space or overflow.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |n, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_digits_only() {
        assert_eq!(decimal(b"010"), Some(10));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "+5", "-1", "5_0", "0x5", "5 5", "1e1", "18446744073709551616", "99999999999999999999"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn classes_agree_with_the_grammar_for_every_byte() {
        for b in 0..=255_u8 {
            assert_eq!(is_text(&[b]), b == b'\t' || (b >= 0x20 && b != 0x7f), "{b:#x}");
            assert_eq!(is_visible(&[b]), (0x21..0x7f).contains(&b), "{b:#x}");
            let delimiter = b"\"(),/:;<=>?@[\\]{}".contains(&b);
            assert_eq!(is_token(&[b]), (0x21..0x7f).contains(&b) && !delimiter, "{b:#x}");
        }
        assert!(!is_token(b""));
    }
}
