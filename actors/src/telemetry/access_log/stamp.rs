//! Points in time as text, without a time-zone data base: UTC.

use std::time::Duration;

/// A date and time of day in UTC.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    seconds: u64,
}

impl Civil {
    /// From the time since 1970, by Howard Hinnant's `civil_from_days`.
    fn of(unix: Duration) -> Self {
        let (days, seconds) = (unix.as_secs() / 86_400, unix.as_secs() % 86_400);
        let z = days + 719_468;
        let (era, day_of_era) = (z / 146_097, z % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self { year, month, day, seconds }
    }

    fn time(&self) -> [u8; 8] {
        let [[h, i], [m, j], [s, k]] = [self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60].map(two);
        [h, i, b':', m, j, b':', s, k]
    }

    fn year(&self) -> [u8; 4] {
        let [[a, b], [c, d]] = [self.year / 100 % 100, self.year % 100].map(two);
        [a, b, c, d]
    }
}

/// `02/Jan/2006:15:04:05 +0000`.
pub(super) fn clf(out: &mut Vec<u8>, unix: Duration) {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let at = Civil::of(unix);
    out.extend_from_slice(&two(at.day));
    out.push(b'/');
    out.extend_from_slice(&MONTHS[(at.month as usize - 1) * 3..][..3]);
    out.push(b'/');
    out.extend_from_slice(&at.year());
    out.push(b':');
    out.extend_from_slice(&at.time());
    out.extend_from_slice(b" +0000");
}

/// RFC 3339 in UTC, with the fraction that there is: nine digits at most, without trailing zeros.
pub(crate) fn rfc3339(out: &mut Vec<u8>, unix: Duration) {
    let mut text = *b"0000-00-00T00:00:00.000000000";
    seconds(&mut text, unix);
    let mut fraction = unix.subsec_nanos();
    let mut length = if fraction == 0 { 19 } else { text.len() };
    for digit in text[20..].iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    while length > 20 && text[length - 1] == b'0' {
        length -= 1;
    }
    out.extend_from_slice(&text[..length]);
    out.push(b'Z');
}

/// RFC 3339 in UTC, to the second.
pub(super) fn rfc3339_seconds(out: &mut Vec<u8>, unix: Duration) {
    let mut text = *b"0000-00-00T00:00:00Z";
    seconds(&mut text, unix);
    out.extend_from_slice(&text);
}

/// Date and time, to the second, where they belong.
fn seconds(text: &mut [u8], unix: Duration) {
    let at = Civil::of(unix);
    text[..4].copy_from_slice(&at.year());
    text[5..7].copy_from_slice(&two(at.month));
    text[8..10].copy_from_slice(&two(at.day));
    text[11..19].copy_from_slice(&at.time());
}

fn two(n: u64) -> [u8; 2] {
    [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(f: fn(&mut Vec<u8>, Duration), at: Duration) -> String {
        let mut out = Vec::new();
        f(&mut out, at);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn known_instants() {
        // Compared with `date -u -d @N`.
        assert_eq!(text(clf, Duration::from_secs(0)), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(text(clf, Duration::from_secs(951_782_399)), "28/Feb/2000:23:59:59 +0000");
        assert_eq!(text(clf, Duration::from_secs(951_782_400)), "29/Feb/2000:00:00:00 +0000");
        assert_eq!(text(rfc3339, Duration::new(1_767_225_599, 120_000_000)), "2025-12-31T23:59:59.12Z");
        assert_eq!(text(rfc3339, Duration::new(1_767_225_600, 1)), "2026-01-01T00:00:00.000000001Z");
        assert_eq!(text(rfc3339, Duration::from_secs(4_107_542_400)), "2100-03-01T00:00:00Z");
    }
}
