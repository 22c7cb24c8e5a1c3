use super::*;
use proptest::prelude::*;

fn yaml(text: &str) -> Result<Tree, Rejection> {
    parse(text, Format::Yaml, "f.yaml", 1 << 20)
}

fn toml(text: &str) -> Result<Tree, Rejection> {
    parse(text, Format::Toml, "f.toml", 1 << 20)
}

/// Keys and texts, flattened.
fn flat(tree: &Tree) -> Vec<(String, String)> {
    let mut found = Vec::new();
    fn walk(tree: &Tree, found: &mut Vec<(String, String)>) {
        match &tree.value {
            Value::Text(text) => found.push((tree.key.clone(), text.clone())),
            Value::List(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Map { .. } => tree.children().for_each(|(_, child)| walk(child, found)),
            Value::Null | Value::Unreadable { .. } => {}
        }
    }
    walk(tree, &mut found);
    found
}

#[test]
fn yaml_and_toml_of_one_meaning_are_one_tree() {
    let from_yaml = yaml("http:\n  routers:\n    web:\n      rule: Host(`a`)\n      priority: 10\n      entryPoints: [x, 'y,z']\ntls:\n  certificates:\n    - certFile: a.pem\n      keyFile: a.key\n").unwrap();
    let from_toml = toml("[http.routers.web]\nrule = 'Host(`a`)'\npriority = 0xA\nentryPoints = ['x', 'y,z']\n[[tls.certificates]]\ncertFile = 'a.pem'\nkeyFile = 'a.key'\n").unwrap();
    assert_eq!(flat(&from_yaml), flat(&from_toml));
    assert_eq!(
        from_yaml.child("http").unwrap().child("routers").unwrap().child("web").unwrap().child("priority").unwrap().line,
        Some(5)
    );
    assert_eq!(
        from_toml.child("http").unwrap().child("routers").unwrap().child("web").unwrap().child("priority").unwrap().line,
        Some(3)
    );
}

#[test]
fn yaml_scalars_keep_their_text_and_null_is_absent() {
    let tree = yaml("a: 1.10\nb: ~\nc:\nd: 'null'\ne: 007\nf: !!str\ng: |\n  x\n  y\n").unwrap();
    let expected = [("a", "1.10"), ("d", "null"), ("e", "007"), ("f", ""), ("g", "x\ny\n")];
    assert_eq!(flat(&tree), expected.map(|(key, text)| (key.to_owned(), text.to_owned())));
    assert!(tree.child("b").is_none());
}

#[test]
fn anchors_and_merges_are_followed_with_keys_of_their_place() {
    let tree = yaml("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist:\n  <<: [*b, {z: 4}]\nalias: *b\n").unwrap();
    let found = flat(&tree);
    for (key, text) in [("use.y", "3"), ("use.x", "1"), ("list.x", "1"), ("list.z", "4"), ("alias.y", "2")] {
        assert!(found.contains(&(key.to_owned(), text.to_owned())), "{key} in {found:?}");
    }
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{},", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let rejection = yaml(&text).unwrap_err();
    assert!(rejection.message.contains("values, aliases followed"), "{rejection}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_line() {
    for (text, line, message) in [
        ("a: 1\nb: [1\nc: 2\n", "f.yaml:", "not YAML"),
        ("a: 1\na: 2\n", "f.yaml:2", "written twice"),
        ("a: 1\n---\nb: 2\n", "f.yaml:3", "second document"),
        ("- a\n", "f.yaml:1", "expected keys at the top"),
        ("a: &a [*a]\n", "f.yaml:1", "within its own anchor"),
        ("a: *b\n", "f.yaml:1", "not YAML"),
        ("x:\n  <<: 3\n", "f.yaml:2", "merges mappings only"),
        ("? [a]\n: b\n", "f.yaml:1", "a key must be a text"),
    ] {
        let rejection = yaml(text).unwrap_err();
        assert!(rejection.source.starts_with(line) && rejection.message.contains(message), "{text:?}: {rejection}");
        assert!(!rejection.remedy.is_empty());
    }
    for (text, line) in [("a = 1\na = 2\n", "f.toml:2"), ("a = \n", "f.toml:1"), ("x = 1\n[t\n", "f.toml:2")] {
        let rejection = toml(text).unwrap_err();
        assert!(rejection.source.starts_with(line) && rejection.message.contains("not TOML"), "{text:?}: {rejection}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert!(yaml(&format!("a: {deep}")).is_err());
    assert!(toml(&format!("a = {deep}")).is_err());
    let block: String = (0..200).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert!(yaml(&block).is_err());
    assert!(toml(&format!("{} = 1", vec!["a"; 10_000].join("."))).is_err());
    assert!(toml(&format!("[{}]", vec!["a"; 10_000].join("."))).is_err());
    assert!(parse("a: 1234", Format::Yaml, "f", 4).unwrap_err().message.contains("at most 4"));
}

#[test]
fn an_empty_file_says_nothing() {
    assert!(yaml("").unwrap().is_empty());
    assert!(yaml("# nothing\n").unwrap().is_empty());
    assert!(toml("").unwrap().is_empty());
}

#[test]
fn formats_go_by_the_end_of_the_name() {
    assert_eq!(Format::of_name("/etc/a.YML"), Some(Format::Yaml));
    assert_eq!(Format::of_name("a.b.toml"), Some(Format::Toml));
    assert_eq!(Format::of_name("/etc.d/yaml"), None);
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in "[a-c:\\-\\[\\]{},&*<' \\n#|>!?~\"]{0,120}") {
        let _ = yaml(&text);
        let _ = toml(&text.replace(':', "="));
    }
}
