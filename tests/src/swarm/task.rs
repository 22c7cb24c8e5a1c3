//! A task as the engine tells it.

use serde_json::Value;
use std::time::Duration;

/// See the module. Times are since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub id: String,
    pub slot: u64,
    pub state: String,
    pub desired: String,
    /// Since when it is in `state`.
    pub since: Duration,
    /// When anything of it was last written.
    pub updated: Duration,
    pub pid: u64,
    pub addresses: Vec<String>,
}

impl Task {
    /// Reads one element of `/tasks`.
    pub fn of_json(task: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let attachments = task["NetworksAttachments"].as_array().map(Vec::as_slice).unwrap_or_default();
        let addresses = attachments.iter().flat_map(|a| a["Addresses"].as_array().map(Vec::as_slice).unwrap_or_default());
        Self {
            id: text(&task["ID"]),
            slot: task["Slot"].as_u64().unwrap_or_default(),
            state: text(&task["Status"]["State"]),
            desired: text(&task["DesiredState"]),
            since: time(&text(&task["Status"]["Timestamp"])).unwrap_or_default(),
            updated: time(&text(&task["UpdatedAt"])).unwrap_or_default(),
            pid: task["Status"]["ContainerStatus"]["PID"].as_u64().unwrap_or_default(),
            addresses: addresses.map(text).collect(),
        }
    }

    /// Whether it runs and is meant to.
    pub fn is_running(&self) -> bool {
        self.state == "running" && self.desired == "running"
    }
}

/// Reads `2026-11-21T06:40:19.271080719Z`.
fn time(text: &str) -> Option<Duration> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let date: Vec<i64> = date.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let clock: Vec<i64> = clock.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let (&[year, month, day], &[hour, minute, second]) = (&date[..], &clock[..]) else { return None };
    // Days since the epoch, in years that begin in March, so that the leap day is the last.
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    let nanos: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(Duration::from_secs(seconds.try_into().ok()?) + Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(Duration::ZERO)),
            ("2024-02-29T23:59:59.5Z", Some(Duration::from_millis(1_709_251_199_500))),
            ("2026-11-21T06:40:19.271080719Z", Some(Duration::new(1_795_243_219, 271_080_719))),
            ("0001-01-01T00:00:00Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
    }
}
