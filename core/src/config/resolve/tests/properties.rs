//! What holds of every configuration.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Lines of one provider's routers, services and middlewares, good and bad, that refer to each other.
fn units() -> impl Strategy<Value = Vec<(&'static str, String, String)>> {
    let name = "[a-e]";
    let router = (name, "(Host\\(`a`\\)|Path\\(`/x`\\)|Host\\(|)", "[a-f]", prop::option::of("[a-f]"), 0..3_u8).prop_map(
        |(name, rule, service, middleware, extra)| {
            let middleware = middleware.map(|name| format!(", middlewares: [{name}]")).unwrap_or_default();
            let extra = ["", ", tls: {}", ", priority: x"][usize::from(extra)];
            ("routers", name, format!("{{rule: '{rule}', service: {service}{middleware}{extra}}}"))
        },
    );
    let service = (
        name,
        prop_oneof![
            Just("{loadBalancer: {servers: [{url: 'http://a'}]}}".to_owned()),
            Just("{loadBalancer: {servers: [{url: a}]}}".to_owned()),
            Just("{mirroring: {}}".to_owned()),
            "[a-f]".prop_map(|child| format!("{{weighted: {{services: [{{name: {child}}}]}}}}")),
            ("[a-f]", "[a-f]").prop_map(|(a, b)| format!("{{failover: {{service: {a}, fallback: {b}}}}}")),
        ],
    )
        .prop_map(|(name, text)| ("services", name, text));
    let middleware = (
        name,
        prop_oneof![
            Just("{addPrefix: {prefix: /x}}".to_owned()),
            Just("{addPrefix: {prefx: /x}}".to_owned()),
            Just("{compress: {}}".to_owned()),
            ("[a-f]", "[a-f]").prop_map(|(a, b)| format!("{{chain: {{middlewares: [{a}, {b}]}}}}")),
        ],
    )
        .prop_map(|(name, text)| ("middlewares", name, text));
    prop::collection::vec(prop_oneof![router, service, middleware], 0..16)
}

fn raw_of(units: &[(&'static str, String, String)]) -> RawDynamic {
    let mut sections: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (kind, name, text) in units {
        sections.entry(kind).or_default().insert(name, text);
    }
    let text = sections.iter().fold("http:\n".to_owned(), |text, (kind, units)| {
        units.iter().fold(format!("{text}  {kind}:\n"), |text, (name, unit)| format!("{text}    {name}: {unit}\n"))
    });
    yaml(&text)
}

/// What is served, as text that can be compared.
fn image(config: &Config) -> BTreeMap<String, String> {
    let mut image = BTreeMap::new();
    image.extend(config.routers.iter().map(|(name, unit)| {
        (format!("router {name}"), format!("{:?}", (&unit.rule, &unit.service, &unit.middlewares, &unit.tls)))
    }));
    image.extend(config.services.iter().map(|(name, unit)| (format!("service {name}"), format!("{:?}", unit.kind))));
    image.extend(config.middlewares.iter().map(|(name, unit)| (format!("middleware {name}"), format!("{:?}", unit.kind))));
    image
}

/// Names of the units that something was said of: `http.routers.web`.
fn refused(rejections: &[Rejection]) -> BTreeSet<String> {
    rejections.iter().map(|rejection| rejection.key.split('.').take(3).collect::<Vec<_>>().join(".")).collect()
}

/// Whether each name in `config` leads somewhere.
fn whole(config: &Config) -> bool {
    let middlewares = |names: &[Name]| names.iter().all(|name| config.middlewares.contains_key(name));
    config.routers.values().all(|router| config.services.contains_key(&router.service) && middlewares(&router.middlewares))
        && config
            .services
            .values()
            .all(|service| service::children(&service.kind).iter().all(|name| config.services.contains_key(name)))
        && config.middlewares.values().all(|middleware| match &middleware.kind {
            MiddlewareKind::Chain { middlewares: names } => middlewares(names),
            _ => true,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What is good is served alike, whatever bad stands beside it.
    #[test]
    fn bad_units_change_nothing_for_good_ones(units in units()) {
        let (all, _) = resolve(&inputs([("file", raw_of(&units))]), &web(), None);
        prop_assert!(whole(&all));
        let mut last: BTreeMap<(&str, &str), &(&'static str, String, String)> = BTreeMap::new();
        for unit in &units {
            last.insert((unit.0, &unit.1), unit);
        }
        let kept = |kind: &str, name: &str| {
            let name = Name::qualify(name, "file");
            match kind {
                "routers" => all.routers.contains_key(&name),
                "services" => all.services.contains_key(&name),
                _ => all.middlewares.contains_key(&name),
            }
        };
        let good: Vec<_> = last.values().filter(|(kind, name, _)| kept(kind, name)).map(|unit| (*unit).clone()).collect();
        let (alone, rejections) = resolve(&inputs([("file", raw_of(&good))]), &web(), None);
        prop_assert_eq!(rejections.iter().filter(|rejection| rejection.severity == Severity::Error).count(), 0, "{:?}", rejections);
        prop_assert_eq!(image(&alone), image(&all));
    }

    /// Every unit that is not served as written is reported, and the same again after itself changes nothing.
    #[test]
    fn resolving_again_changes_nothing(before in units(), units in units()) {
        let (first, _) = resolve(&inputs([("file", raw_of(&before))]), &web(), None);
        let input = inputs([("file", raw_of(&units))]);
        let (second, rejections) = resolve(&input, &web(), Some(&first));
        prop_assert!(whole(&second));
        let (third, again) = resolve(&input, &web(), Some(&second));
        prop_assert_eq!(image(&second), image(&third));
        // The same units, not word for word: what a unit refers to may have gone with the version that fell before it.
        prop_assert_eq!(refused(&rejections), refused(&again));
        for (name, router) in &second.routers {
            prop_assert!(Arc::ptr_eq(router, &third.routers[name]));
        }
        for (name, service) in &second.services {
            prop_assert!(Arc::ptr_eq(service, &third.services[name]));
        }
        for (name, middleware) in &second.middlewares {
            prop_assert!(Arc::ptr_eq(middleware, &third.middlewares[name]));
        }
        let declared: std::collections::BTreeSet<_> = units.iter().filter(|unit| unit.0 == "routers").map(|unit| Name::qualify(&unit.1, "file")).collect();
        for name in second.routers.keys() {
            prop_assert!(declared.contains(name), "{} is no longer declared", name);
        }
        let (fresh, _) = resolve(&input, &web(), None);
        for name in declared.iter().filter(|name| !fresh.routers.contains_key(*name)) {
            let key = format!("http.routers.{}", name.local());
            prop_assert!(rejections.iter().any(|rejection| rejection.key.starts_with(&key)) || second.routers.contains_key(name), "nothing is said of {}", name);
        }
    }

    /// Units from several providers, in whatever order they were written.
    #[test]
    fn the_order_of_writing_does_not_matter(mut units in units(), seed in any::<u64>()) {
        units.sort();
        units.dedup_by(|a, b| (a.0, &a.1) == (b.0, &b.1));
        let mut merged = RawDynamic::default();
        let mut shuffled = units.clone();
        shuffled.sort_by_key(|unit| unit.2.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)));
        for unit in &shuffled {
            prop_assert_eq!(merged.merge(raw_of(std::slice::from_ref(unit))), vec![]);
        }
        let (one, _) = resolve(&inputs([("file", merged)]), &web(), None);
        let (other, _) = resolve(&inputs([("file", raw_of(&units))]), &web(), None);
        prop_assert_eq!(image(&one), image(&other));
    }
}
