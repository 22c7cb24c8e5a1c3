use super::*;
use crate::config::{file, kv, labels};
use indexmap::IndexMap;
use proptest::prelude::*;

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sample {
    text: String,
    truth: bool,
    number: i64,
    share: f64,
    wait: Span,
    words: Vec<String>,
    parts: Vec<Part>,
    map: IndexMap<String, String>,
    tls: Switch<Part>,
    plain: Part,
    maybe: Option<u16>,
    later: Option<Unsupported>,
    gone: Option<Ignored>,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Part {
    name: String,
    weight: Option<u32>,
}

fn yaml(text: &str) -> (Option<Sample>, Vec<Rejection>) {
    read(&file::parse(text, file::Format::Yaml, "x.yaml", 1 << 20).unwrap())
}

fn from_kv(pairs: &[(&str, &str)]) -> (Option<Sample>, Vec<Rejection>) {
    let (tree, rejections) = kv::tree(pairs.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())), "r", "etcd");
    assert_eq!(rejections, []);
    read(&tree)
}

#[test]
fn a_file_is_read_into_types() {
    let (sample, rejections) = yaml(
        "text: 1.10\nTRUTH: true\nnumber: -3\nshare: 0.5\nwait: 1m30s\nwords: a, b\nparts:\n  - name: 'x,y'\n    weight: 2\n  - {name: z}\n\
         map: {X-A: '', x-a: b}\ntls: {}\nmaybe: 80\nplain:\n",
    );
    assert_eq!(rejections, []);
    let sample = sample.unwrap();
    assert_eq!((sample.text.as_str(), sample.truth, sample.number, sample.share), ("1.10", true, -3, 0.5));
    assert_eq!(sample.wait.get(), Duration::from_secs(90));
    assert_eq!(sample.words, ["a", "b"]);
    assert_eq!(sample.parts[0], Part { name: "x,y".to_owned(), weight: Some(2) });
    assert_eq!(sample.map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), [("X-A", ""), ("x-a", "b")]);
    assert_eq!(sample.tls, Switch(Some(Part::default())));
    assert_eq!((sample.maybe, sample.plain), (Some(80), Part::default()));
}

#[test]
fn every_mistake_is_found_in_one_reading() {
    let (sample, rejections) = yaml(
        "txet: a\ntruth: yes\nnumber: 1k\nwait: 1d\nwords: {a: b}\nparts:\n  - weight: -1\n    nmae: x\nmaybe: 70000\nlater: {x: 1}\nplain: true\ntls: on\n",
    );
    assert_eq!(sample, None);
    let found: Vec<(&str, &str)> =
        rejections.iter().map(|rejection| (rejection.source.as_str(), rejection.key.as_str())).collect();
    let expected = [
        ("x.yaml:1", "txet"),
        ("x.yaml:2", "truth"),
        ("x.yaml:3", "number"),
        ("x.yaml:4", "wait"),
        ("x.yaml:5", "words"),
        ("x.yaml:7", "parts[0].weight"),
        ("x.yaml:8", "parts[0].nmae"),
        ("x.yaml:9", "maybe"),
        ("x.yaml:10", "later"),
        ("x.yaml:11", "plain"),
        ("x.yaml:12", "tls"),
    ];
    for place in expected {
        assert_eq!(found.iter().filter(|found| **found == place).count(), 1, "{place:?} in {found:?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:?}");
    assert_eq!(rejections.iter().find(|rejection| rejection.key == "txet").unwrap().remedy, "did you mean `text`?");
    assert_eq!(rejections.iter().find(|rejection| rejection.key == "parts[0].nmae").unwrap().remedy, "did you mean `name`?");
    assert!(rejections.iter().all(|rejection| !rejection.remedy.is_empty()));
}

#[test]
fn an_ignored_key_is_only_a_warning() {
    let (sample, rejections) = yaml("gone: 1\ntext: a\n");
    assert_eq!(sample.unwrap().text, "a");
    assert_eq!(rejections.len(), 1);
    assert_eq!(rejections[0].severity, Severity::Warning);
}

#[test]
fn a_store_is_read_without_regard_to_case_and_by_number() {
    let (sample, rejections) = from_kv(&[
        ("r/WORDS/10", "c"),
        ("r/Words/2", "b"),
        ("r/words/01", "a"),
        ("r/parts/0/NAME", "x"),
        ("r/tls", "true"),
        ("r/tls/name", "y"),
        ("r/map/X-Case", "kept"),
    ]);
    assert_eq!(rejections, []);
    let sample = sample.unwrap();
    assert_eq!(sample.words, ["a", "b", "c"]);
    assert_eq!(sample.parts[0].name, "x");
    assert_eq!(sample.tls.0.unwrap().name, "y");
    assert_eq!(sample.map.get_index(0).unwrap().0, "X-Case");
}

#[test]
fn false_unmakes_a_struct_with_all_below() {
    assert_eq!(from_kv(&[("r/tls", "false"), ("r/tls/name", "y")]).0.unwrap().tls, Switch(None));
    assert_eq!(from_kv(&[("r/tls", "")]).0.unwrap().tls, Switch(Some(Part::default())));
}

#[test]
fn the_indexed_form_of_a_list_goes_before_the_text() {
    let (sample, _) = from_kv(&[("r/words", "x,y"), ("r/words/0", "a")]);
    assert_eq!(sample.unwrap().words, ["a"]);
}

#[test]
fn labels_are_named_as_written() {
    let labels = [("traefik.Number", "x"), ("traefik.parts[0].naem", "a"), ("traefik.parts[1].name", "b")];
    let (tree, rejections) = labels::tree(labels.into_iter(), "traefik", "service web");
    assert_eq!(rejections, []);
    let (_, rejections) = read::<Sample>(&tree);
    let keys: Vec<&str> = rejections.iter().map(|rejection| rejection.key.as_str()).collect();
    assert_eq!(keys, ["traefik.Number", "traefik.parts[0].naem"]);
    assert!(rejections.iter().all(|rejection| rejection.source == "service web"));
}

#[test]
fn durations_are_read_as_traefik_reads_them() {
    let second = 1_000_000_000;
    for (text, nanos) in [
        ("1", Some(second)),
        ("0", Some(0)),
        ("-2", Some(-2 * second)),
        ("1h30m", Some(5400 * second)),
        ("1.5s", Some(second + second / 2)),
        (".5s", Some(second / 2)),
        ("250ms", Some(second / 4)),
        ("3us", Some(3000)),
        ("3µs", Some(3000)),
        ("-1s", Some(-second)),
        ("1.5", None),
        ("1d", None),
        ("10 s", None),
        ("", None),
        ("s", None),
        ("-", None),
        (".s", None),
        ("1.2.3s", None),
        ("9999999999999h", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(parse_duration(text), nanos, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_as_a_duration_is_read_or_refused(text in "[-+0-9.a-zµ]{0,24}") {
        let _ = parse_duration(&text);
    }

    #[test]
    fn a_duration_of_parts_is_their_sum(h in 0_i64..1000, m in 0_i64..1000, ms in 0_i64..100_000) {
        let nanos = (h * 3600 + m * 60) * 1_000_000_000 + ms * 1_000_000;
        prop_assert_eq!(parse_duration(&format!("{h}h{m}m{ms}ms")), Some(nanos));
    }

    #[test]
    fn the_nearest_name_of_a_slip_is_the_name(index in 0_usize..4, at in 0_usize..8) {
        let known = ["entryPoints", "middlewares", "service", "priority"];
        let mut slip: Vec<char> = known[index].chars().collect();
        slip.remove(at % slip.len());
        let slip: String = slip.into_iter().collect();
        prop_assert_eq!(nearest(&slip, known), Some(known[index]));
    }
}
