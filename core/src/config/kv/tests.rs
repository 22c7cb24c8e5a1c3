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
