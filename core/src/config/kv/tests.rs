use super::*;
use crate::config::raw::decode;
use proptest::prelude::*;

fn tree_of(pairs: &[(&[u8], &[u8])]) -> (Tree, Vec<Rejection>) {
    tree(pairs.iter().copied(), "traefik", "etcd")
}

#[test]
fn the_root_itself_other_roots_and_locks_are_passed_over() {
    let (tree, rejections) = tree_of(&[
        (b"traefik", b"true"),
        (b"traefik/", b""),
        (b"traefikfoo/http/routers/x/rule", b"r"),
        (b"other", b"x"),
        (b"traefik/http/___lock/x", b"x"),
        (b"traefik//http///routers/web/rule/", b"r"),
    ]);
    assert_eq!(rejections, []);
    assert_eq!(tree.text(&["http", "routers", "web", "rule"]), Some("r"));
    assert_eq!(tree.child("http").unwrap().children().count(), 1);
}

#[test]
fn what_cannot_be_read_spoils_its_unit_alone() {
    let large = vec![b'x'; 5 << 20];
    let deep = format!("traefik/http/routers/deep/{}", "a/".repeat(50_000));
    let (tree, rejections) = tree_of(&[
        (b"traefik/http/routers/good/rule", b"Host(`a`)"),
        (b"traefik/http/routers/good/service", b"s"),
        (b"traefik/http/routers/binary/rule", b"\xff\xfe"),
        (b"traefik/http/routers/binary/service", b"s"),
        (b"traefik/http/routers/k\xff/service", b"s"),
        (b"traefik/http/routers/large/service", &large),
        (b"traefik/http/routers/large/rule", b"Host(`a`)"),
        (b"traefik/http/routers/dots/../rule", b"r"),
        (b"traefik/http/middlewares/auth/basicauth/users/0", b"\xff"),
        (deep.as_bytes(), b"x"),
        (b"traefik/../http/routers/x/rule", b"x"),
        (b"traefik/http/\xff", b"x"),
    ]);
    let keys: Vec<&str> = rejections.iter().map(|rejection| rejection.key.as_str()).collect();
    assert_eq!(keys.len(), 2, "{rejections:?}");
    assert!(keys.contains(&"traefik/../http/routers/x/rule"));
    let (raw, rejections) = decode(&tree);
    assert_eq!(rejections, []);
    assert!(raw.routers["good"].value.is_some());
    for name in ["binary", "large", "dots", "deep"] {
        let unit = &raw.routers[name];
        assert!(unit.value.is_none(), "{name}");
        assert!(
            unit.rejections.iter().all(|rejection| rejection.key.starts_with(&format!("traefik/http/routers/{name}/"))),
            "{name}"
        );
        assert!(unit.rejections.iter().all(|rejection| rejection.to_string().len() < 300));
    }
    assert!(raw.middlewares["auth"].value.is_none());
    assert!(raw.routers.iter().find(|(name, _)| name.contains('\u{fffd}')).unwrap().1.value.is_none());
}

#[test]
fn names_that_differ_in_case_are_one() {
    let (tree, _) = tree_of(&[(b"traefik/http/routers/Web/rule", b"r"), (b"traefik/HTTP/Routers/web/Service", b"s")]);
    let routers = tree.child("http").unwrap().child("routers").unwrap();
    let names: Vec<&str> = routers.children().map(|(name, _)| name).collect();
    assert_eq!(names, ["web"], "upper-case sections sort first, so that spelling came first");
    assert_eq!(
        (routers.child("web").unwrap().text(&["rule"]), routers.child("web").unwrap().text(&["service"])),
        (Some("r"), Some("s"))
    );
}

proptest! {
    #[test]
    fn any_pairs_are_read(pairs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..12), prop::collection::vec(any::<u8>(), 0..6)), 0..12)) {
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs.into_iter().map(|(key, value)| ([b"traefik/http/".as_slice(), &key].concat(), value)).collect();
        let (tree, _) = tree(pairs.iter().map(|(key, value)| (key.as_slice(), value.as_slice())), "traefik", "etcd");
        let _ = decode(&tree);
    }

    #[test]
    fn the_order_of_pairs_does_not_matter(
        pairs in prop::collection::btree_map("(http|HTTP)/(routers|Routers)/[ab]/(rule|service|tls|tls/options|middlewares/[0-3])", "[a-z]{1,3}", 0..12)
            .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (format!("traefik/{key}"), value)).collect::<Vec<_>>()),
        seed in any::<u64>(),
    ) {
        let mut shuffled = pairs.clone();
        shuffled.sort_by_key(|(key, _)| key.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)));
        let of = |pairs: &[(String, String)]| tree(pairs.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())), "traefik", "etcd");
        prop_assert_eq!(of(&pairs), of(&shuffled));
    }
}

/// What a store may hold: units, their spellings, and what belongs to none.
const KEYS: &[&str] = &[
    "http/routers/a/rule",
    "http/routers/a/service",
    "http/routers/a/priority",
    "http/routers/a",
    "http/routers/a/",
    "http/routers/a-b/rule",
    "http/routers/A/rule",
    "http/routers/B/rule",
    "http/routers/b/entryPoints/0",
    "http/routers//a/rule",
    "http/services/a/loadbalancer/servers/0/url",
    "http/services/a/loadbalancer/servers/1/url",
    "http/services/a/../url",
    "http/Services/a/loadbalancer/strategy",
    "http/middlewares/m/stripPrefix/prefixes/0",
    "http/middlewares/m@x/stripPrefix/prefixes/0",
    "http/serversTransports/t/serverName",
    "http/serverstransports/u/serverName",
    "http/others/x",
    "http",
    "HTTP/routers/c/rule",
    "tcp/routers/a/rule",
    "tcp/services/a/loadbalancer/servers/0/address",
    "tls/options/o/minVersion",
    "tls/certificates/0/certFile",
    "udp/x",
    "unknown/key",
    "___lock/x",
    "/",
];

const VALUES: &[&[u8]] = &[b"", b"1", b"true", b"Host(`a`)", b"http://10.0.0.1", b"\xff"];

proptest! {
    #[test]
    fn what_changed_decodes_to_what_all_does(
        steps in prop::collection::vec(
            prop::collection::vec((prop::sample::select(KEYS), prop::option::of(prop::sample::select(VALUES))), 1..5),
            1..12,
        ),
    ) {
        let mut pairs: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut decoder = Decoder::new("traefik", "etcd");
        for step in steps {
            let changed: Vec<Vec<u8>> = step.iter().map(|(key, _)| format!("traefik/{key}").into_bytes()).collect();
            for (key, (_, value)) in changed.iter().zip(step) {
                match value {
                    Some(value) => drop(pairs.insert(key.clone(), value.to_vec())),
                    None => drop(pairs.remove(key)),
                }
            }
            let before = decoder.decoded().0;
            if !decoder.update(&pairs, changed.iter().map(|key| &key[..])) {
                decoder.read(&pairs);
            }
            let (tree, mut expected) = tree(pairs.iter().map(|(key, value)| (&key[..], &value[..])), "traefik", "etcd");
            let (raw, more) = decode(&tree);
            expected.extend(more);
            let (decoded, rejections) = decoder.decoded();
            prop_assert_eq!(&decoded, &raw);
            prop_assert_eq!(rejections, expected);
            for (name, unit) in &decoded.routers {
                let said = |unit: &crate::config::raw::Unit<crate::config::raw::Router>| (unit.said(&unit.written.tree()), unit.rejections.clone());
                prop_assert_eq!(said(unit), said(&raw.routers[name]));
                if let Some(known) = before.routers.get(name).filter(|known| *known == unit) {
                    prop_assert!(std::sync::Arc::ptr_eq(&known.written, &unit.written), "{} is read anew", name);
                }
            }
        }
    }
}

#[test]
fn one_change_leaves_every_other_unit_and_every_other_kind_as_it_was() {
    let key = |n: usize| format!("traefik/http/services/s-{n}/loadbalancer/servers/0/url").into_bytes();
    let mut pairs: BTreeMap<Vec<u8>, Vec<u8>> = (0..1000).map(|n| (key(n), b"http://10.0.0.1".to_vec())).collect();
    pairs.insert(b"traefik/http/routers/r/rule".to_vec(), b"Host(`a`)".to_vec());
    let mut decoder = Decoder::new("traefik", "etcd");
    decoder.read(&pairs);
    let (before, _) = decoder.decoded();
    pairs.insert(key(7), b"http://10.0.0.2".to_vec());
    assert!(decoder.update(&pairs, std::iter::once(&key(7)[..])));
    let (after, _) = decoder.decoded();
    let changes = after.services.changes(&before.services, |was, is| std::sync::Arc::ptr_eq(&was.written, &is.written));
    assert_eq!(changes.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["s-7"]);
    assert!(after.routers.is_copy_of(&before.routers));
    assert!(!decoder.update(&pairs, std::iter::once(&b"traefik/http"[..])), "it may reach beyond one unit");
}
