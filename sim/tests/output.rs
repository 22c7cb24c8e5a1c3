//! What comes out of a run beside its verdict: the plan of a failure, a smaller one, packets, a page to look at.
#![cfg(madsim)]

use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fairlead-sim")).args(args).output().expect("the binary was built for this test")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A folder that is gone after its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("fairlead-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the temporary folder");
    }
}

fn json_of(file: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    serde_json::from_str(&text).expect("plans are JSON")
}

fn length(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

/// A plan whose first server belongs to another service than the configuration says.
fn broken_promise() -> Value {
    let plan = sim(&["run", "config_race", "--seed", "3", "--plan"]);
    let mut plan: Value = serde_json::from_slice(&plan.stdout).expect("plans are JSON");
    plan["servers"][0]["service"] = json!(1);
    plan["first"]["units"][0]["servers"] = json!([0]);
    plan
}

#[test]
fn a_failing_plan_is_saved_and_shrinks_to_what_fails_alike() {
    let folder = Folder::new("shrink");
    let [whole, saved, small, again] = ["whole", "saved", "small", "again"].map(|name| folder.file(name));
    let plan = broken_promise();
    std::fs::write(&whole, plan.to_string()).expect("a temporary file");

    let run = text(&sim(&["replay", &whole, "--save", &saved]));
    assert!(run.contains(&format!("replay:       cargo sim replay {whole}\n")), "{run}");
    assert!(run.contains("invariant:    O2:") && run.contains("gateway.source=etcd") && run.contains("faults:       "), "{run}");
    assert_eq!(json_of(&saved), json_of(&whole));

    let shrunk = sim(&["shrink", &whole, "--out", &small, "--tries", "250"]);
    let told = text(&shrunk);
    assert!(shrunk.status.success() && told.contains("before:  ") && told.contains("after:   "), "{told}");
    let (before, after) = (json_of(&whole), json_of(&small));
    let requests =
        |plan: &Value| plan["clients"].as_array().into_iter().flatten().map(|client| length(&client["asks"])).sum::<usize>();
    assert!(length(&before["steps"]) > 5 && length(&after["steps"]) == 0, "{after}");
    assert!(requests(&before) > 50 && requests(&after) <= 1, "{after}");
    let replayed = sim(&["replay", &small]);
    assert!(!replayed.status.success() && text(&replayed).contains("invariant:    O2:"), "{}", text(&replayed));

    let beside = sim(&["shrink", &whole, "--out", &again, "--tries", "250", "--jobs", "3"]);
    assert!(beside.status.success(), "{}", text(&beside));
    assert_eq!(json_of(&small), json_of(&again), "the number of jobs changes nothing");
}

#[test]
fn what_passes_cannot_be_shrunk() {
    let output = sim(&["shrink", "rolling_update", "--seed", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("there is nothing to shrink"), "{}", text(&output));
}

#[test]
fn what_is_kept_changes_no_run() {
    let folder = Folder::new("kept");
    let [trace, pcap, page, save] = ["trace", "pcap", "page", "save"].map(|name| folder.file(name));
    for scenario in ["partition", "swarm_discovery"] {
        let bare = text(&sim(&["run", scenario, "--seed", "2"]));
        let more = ["--trace", &trace, "--pcap", &pcap, "--timeline", &page, "--save", &save];
        let kept = text(&sim(&[&["run", scenario, "--seed", "2"][..], &more].concat()));
        assert_eq!(bare, kept);
        assert!(!Path::new(&save).exists(), "what passes is not saved");
        let page = std::fs::read_to_string(&page).expect("the page");
        assert!(page.len() < 2_000_000 && page.contains(&format!("\"scenario\":\"{scenario}\"")), "{} bytes", page.len());
    }
}

#[test]
fn a_recording_holds_the_requests_with_valid_checksums() {
    let folder = Folder::new("pcap");
    let file = folder.file("run.pcap");
    let run = text(&sim(&["run", "rolling_update", "--seed", "1", "--pcap", &file]));
    let pcap = std::fs::read(&file).expect("the recording");
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().expect("four bytes")) as usize;
    assert_eq!((word(0), word(16), word(20)), (0xa1b2_3c4d, 65_535, 101), "nanoseconds, whole packets, raw IP");
    let (mut at, mut last, mut requests) = (24, (0, 0), 0);
    while at < pcap.len() {
        let time = (word(at), word(at + 4));
        assert!(time >= last && time.1 < 1_000_000_000, "{last:?} comes before {time:?}");
        assert_eq!(word(at + 8), word(at + 12), "no packet is cut short");
        let packet = &pcap[at + 16..at + 16 + word(at + 8)];
        (at, last) = (at + 16 + packet.len(), time);
        let body = &packet[20..];
        // A packet whose sums are right adds up to all ones (RFC 1071).
        assert_eq!(sum(0, &packet[..20]), 0xffff, "IP header");
        assert_eq!(
            sum(u64::from(packet[9]) + body.len() as u64, &[&packet[12..20], body].concat()),
            0xffff,
            "protocol {}",
            packet[9]
        );
        let to_gateway = packet[9] == 6 && packet[16..20] == [10, 0, 0, 1] && body[2..4] == [0, 80];
        if to_gateway {
            let data = &body[usize::from(body[12] >> 4) * 4..];
            requests += usize::from(data.starts_with(b"GET /request/") || data.starts_with(b"POST /request/"));
        }
    }
    assert_eq!(at, pcap.len());
    let asked = run.lines().find_map(|line| line.strip_prefix("requests=")).and_then(|line| line.split(' ').next());
    let asked: usize = asked.and_then(|asked| asked.parse().ok()).expect("the figures");
    // Short writes cut some heads in pieces.
    assert!(requests > asked / 2 && requests <= 2 * asked, "{requests} of {asked}");
}

fn sum(begin: u64, bytes: &[u8]) -> u64 {
    let mut sum =
        begin + bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0))).sum::<u64>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}
