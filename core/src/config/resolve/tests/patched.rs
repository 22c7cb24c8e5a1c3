//! What comes of a few changes is what comes of all that is written.

use super::*;
use proptest::prelude::*;

/// Units by key, each as good, changed, doubtful or bad as its variants are.
const UNITS: &[(&str, &[&str])] = &[
    ("services/a/loadbalancer/servers/0/url", &["http://10.0.0.1", "http://10.0.0.2", "10.0.0.1"]),
    ("services/b/loadbalancer/servers/0/url", &["http://10.0.1.1", "http://10.0.1.2"]),
    ("services/b/loadbalancer/serversTransport", &["t", "nowhere"]),
    ("services/w/weighted/services/0/name", &["a", "b", "w"]),
    ("services/f/failover/service", &["a"]),
    ("services/f/failover/fallback", &["b"]),
    ("routers/a/rule", &["Host(`a`)", "Host(`b`)", "Host("]),
    ("routers/a/service", &["a", "b", "w"]),
    ("routers/a/entryPoints/0", &["web", "websecure", "none"]),
    ("routers/b/rule", &["Host(`c`)", "Path(`/`)"]),
    ("routers/b/service", &["b", "f"]),
    ("routers/b/middlewares/0", &["m", "nothing"]),
    ("routers/b/tls/certResolver", &["acme"]),
    ("routers/websecure-a/rule", &["Host(`d`)"]),
    ("routers/websecure-a/service", &["a"]),
    ("middlewares/m/stripPrefix/prefixes/0", &["/x", "/y"]),
    ("serversTransports/t/serverName", &["x"]),
];

fn image(config: &Config) -> String {
    format!("{:#?} {:#?} {:#?} {:#?}", config.routers, config.services, config.middlewares, config.transports)
}

proptest! {
    #[test]
    fn a_patched_configuration_is_the_one_that_all_is_settled_to(
        steps in prop::collection::vec(
            prop::collection::vec((0..UNITS.len(), prop::option::weighted(0.8, 0_usize..3)), 1..4),
            1..14,
        ),
        defaults in any::<bool>(),
    ) {
        let mut flags = "--entryPoints.web.address=:80 --entryPoints.websecure.address=:443".to_owned();
        if defaults {
            flags.push_str(" --entryPoints.websecure.http.tls=true");
        }
        let static_ = entry(&flags);
        let mut pairs: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for (unit, variants) in UNITS {
            pairs.insert(format!("traefik/http/{unit}").into_bytes(), variants[0].as_bytes().to_vec());
        }
        let mut decoder = kv::Decoder::new("traefik", "etcd");
        decoder.read(&pairs);
        let mut last = resolve(&inputs([("etcd", decoder.decoded().0)]), &static_, None).0;
        for step in steps {
            let mut changed = Vec::new();
            for (unit, variant) in step {
                let (unit, variants) = UNITS[unit];
                let key = format!("traefik/http/{unit}").into_bytes();
                match variant {
                    Some(variant) => drop(pairs.insert(key.clone(), variants[variant % variants.len()].as_bytes().to_vec())),
                    None => drop(pairs.remove(&key)),
                }
                changed.push(key);
            }
            if !decoder.update(&pairs, changed.iter().map(|key| &key[..])) {
                decoder.read(&pairs);
            }
            let raw = inputs([("etcd", decoder.decoded().0)]);
            let unremembered = Config { memo: Arc::default(), ..last.clone() };
            let (whole, all) = resolve(&raw, &static_, Some(&unremembered));
            let (next, rejections) = resolve(&raw, &static_, Some(&last));
            prop_assert_eq!(image(&next), image(&whole));
            prop_assert_eq!(rejections, all);
            for (name, service) in &next.services {
                if let Some(known) = last.services.get(name).filter(|known| *known == service) {
                    prop_assert!(Arc::ptr_eq(known, service), "{} is another", name);
                }
            }
            last = next;
        }
    }
}

#[test]
fn one_change_is_patched_and_leaves_the_others_alone() {
    let key = |n: usize| format!("traefik/http/services/s-{n}/loadbalancer/servers/0/url").into_bytes();
    let rule = |n: usize| format!("traefik/http/routers/r-{n}/rule").into_bytes();
    let mut pairs: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for n in 0..500 {
        pairs.insert(key(n), b"http://10.0.0.1".to_vec());
        pairs.insert(rule(n), format!("Host(`h-{n}`)").into_bytes());
        pairs.insert(format!("traefik/http/routers/r-{n}/service").into_bytes(), format!("s-{n}").into_bytes());
    }
    // Refused before and after, and no obstacle.
    pairs.insert(b"traefik/http/routers/bad/service".to_vec(), b"nowhere".to_vec());
    let mut decoder = kv::Decoder::new("traefik", "etcd");
    decoder.read(&pairs);
    let (last, refused) = resolve(&inputs([("etcd", decoder.decoded().0)]), &web(), None);
    assert!(!refused.is_empty());
    pairs.insert(key(7), b"http://10.0.0.2".to_vec());
    assert!(decoder.update(&pairs, std::iter::once(&key(7)[..])));
    let raw = inputs([("etcd", decoder.decoded().0)]);
    assert!(patch::patch(&raw, &web(), &last).is_some());
    let (next, rejections) = resolve(&raw, &web(), Some(&last));
    assert_eq!(rejections, refused);
    let changes = next.services.changes(&last.services, Arc::ptr_eq);
    assert_eq!(changes.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["s-7@etcd"]);
    assert!(next.routers.is_copy_of(&last.routers));
    pairs.insert(rule(8), b"Host(`other`)".to_vec());
    assert!(decoder.update(&pairs, std::iter::once(&rule(8)[..])));
    let after = resolve(&inputs([("etcd", decoder.decoded().0)]), &web(), Some(&next)).0;
    assert_eq!(after.routers.changes(&next.routers, Arc::ptr_eq).len(), 1);
    assert!(after.services.is_copy_of(&next.services));
}
