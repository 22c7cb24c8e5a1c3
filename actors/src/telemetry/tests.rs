//! The registry as a scraper sees it: the text parses, the numbers add up, and no client can make a series.

use super::*;
use fairlead_core::reason::Reason;
use fairlead_net::http::{Fields, Method};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn telemetry(metrics: MetricsOptions) -> Telemetry {
    Telemetry::new(Options { workers: 3, metrics: Some(metrics), ..Default::default() })
}

/// Series by name and labels. Refuses what Prometheus would refuse.
fn scrape(telemetry: &Telemetry) -> BTreeMap<String, f64> {
    let text = telemetry.render_prometheus(Duration::from_secs(2_000));
    let (mut series, mut types, mut family) = (BTreeMap::new(), BTreeSet::new(), String::new());
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            family = head.split(' ').next().expect("a name").to_owned();
            assert!(types.insert(family.clone()), "{family} is declared twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let bare = name.split('{').next().expect("a name");
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|s| bare.strip_suffix(s))
            .filter(|b| types.contains(*b))
            .unwrap_or(bare);
        assert_eq!(base, family, "{line} stands outside its family");
        assert!(bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
        if let Some(labels) = name.strip_prefix(bare).filter(|l| !l.is_empty()) {
            let inner = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}')).unwrap_or_else(|| panic!("{line}"));
            assert!(labels_are_well_formed(inner), "{line}");
        }
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(series.insert(name.to_owned(), value).is_none(), "{name} stands twice");
    }
    series
}

/// `name="value"` pairs, with `\\`, `\"` and `\n` inside values.
fn labels_are_well_formed(mut rest: &str) -> bool {
    loop {
        let Some((name, value)) = rest.split_once("=\"") else { return false };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return false;
        }
        let mut escaped = false;
        let Some(end) = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        }) else {
            return false;
        };
        match &value[end + 1..] {
            "" => return true,
            more => match more.strip_prefix(',') {
                Some(more) => rest = more,
                None => return false,
            },
        }
    }
}

fn with(series: &BTreeMap<String, f64>, name: &str, parts: &[&str]) -> Vec<f64> {
    series
        .iter()
        .filter(|(n, _)| n.split('{').next() == Some(name) && parts.iter().all(|p| n.contains(p)))
        .map(|(_, v)| *v)
        .collect()
}

#[test]
fn routers_that_are_not_measured_have_a_name_and_no_series() {
    let telemetry = telemetry(MetricsOptions::default());
    let (entry_point, fields, name) = (telemetry.entry_point("web"), Fields::new(), Name::whole("r@file"));
    let router = telemetry.router(&name, &name);
    let record = Record { router: Some(&router), status: 200, ..Record::new(&entry_point, &Method::Get, "h", "/", &fields) };
    telemetry.finish(&record, telemetry.trace(&fields));
    assert_eq!((router.name(), router.service()), ("r@file", "r@file"));
    let series = scrape(&telemetry);
    assert!(series.keys().any(|key| key.contains(r#"entrypoint="web""#)));
    assert!(!series.keys().any(|key| key.contains("r@file")), "{series:?}");
}

#[test]
fn one_request_counts_where_traefik_counts_it() {
    let telemetry = telemetry(MetricsOptions { routers: true, ..Default::default() });
    let (entry_point, fields) = (telemetry.entry_point("web"), Fields::new());
    let (router, service) =
        (telemetry.router(&Name::whole("r@file"), &Name::whole("s@file")), telemetry.service(&Name::whole("s@file")));
    let record = Record {
        total: Duration::from_millis(200),
        phases: Phases { origin_start: Some(Duration::ZERO), origin_end: Some(Duration::from_millis(50)), ..Default::default() },
        router: Some(&router),
        service: Some(&service),
        status: 201,
        request_bytes: 7,
        response_bytes: 70,
        attempts: 3,
        tls: Some(TlsInfo { version: "1.3", cipher: "C", sni: None, client_subject: None }),
        ..Record::new(&entry_point, &Method::Post, "h", "/", &fields)
    };
    for worker in 0..3 {
        let telemetry = telemetry.for_worker(worker);
        telemetry.finish(&record, telemetry.trace(&fields));
    }
    let series = scrape(&telemetry);
    let labels = r#"code="201",method="POST",protocol="http""#;
    let value = |name: &str| series.get(name).copied();
    assert_eq!(value(&format!(r#"traefik_entrypoint_requests_total{{{labels},entrypoint="web"}}"#)), Some(3.0));
    assert_eq!(
        value(&format!(r#"traefik_router_requests_bytes_total{{{labels},router="r@file",service="s@file"}}"#)),
        Some(21.0)
    );
    assert_eq!(value(&format!(r#"traefik_service_responses_bytes_total{{{labels},service="s@file"}}"#)), Some(210.0));
    let bucket = |prefix: &str, own: &str, le: &str| {
        value(&format!(r#"traefik_{prefix}_request_duration_seconds_bucket{{{labels},{own},le="{le}"}}"#))
    };
    assert_eq!(
        ["0.1", "0.3", "5", "+Inf"].map(|le| bucket("entrypoint", r#"entrypoint="web""#, le)),
        [Some(0.0), Some(3.0), Some(3.0), Some(3.0)]
    );
    assert_eq!(bucket("service", r#"service="s@file""#, "0.1"), Some(3.0), "a service is measured by its own time");
    assert_eq!(with(&series, "traefik_entrypoint_request_duration_seconds_sum", &[]), [0.6]);
    assert_eq!(value(r#"traefik_service_retries_total{service="s@file"}"#), Some(6.0));
    assert_eq!(value(r#"traefik_entrypoint_requests_tls_total{tls_version="1.3",tls_cipher="C",entrypoint="web"}"#), Some(3.0));
}

#[test]
fn protocols_and_grpc_codes_are_told_apart() {
    let telemetry = telemetry(MetricsOptions::default());
    let entry_point = telemetry.entry_point("web");
    let send = |field: (&str, &str), trailer: &str, status| {
        let fields: Fields = [(field.0, field.1.as_bytes())].into_iter().collect();
        let trailers: Fields = [("grpc-status", trailer.as_bytes())].into_iter().collect();
        let record = Record { status, trailers: Some(&trailers), ..Record::new(&entry_point, &Method::Post, "h", "/", &fields) };
        telemetry.finish(&record, telemetry.trace(&fields));
    };
    send(("Upgrade", "WebSocket"), "", 101);
    send(("Accept", "text/event-stream"), "", 200);
    send(("Content-Type", "application/grpc+proto"), "5", 200);
    send(("Content-Type", "application/grpc-web"), "99", 200);
    let series = scrape(&telemetry);
    let seen: Vec<_> = series.keys().filter_map(|n| n.strip_prefix("traefik_entrypoint_requests_total{")).collect();
    let expected = [("101", "websocket"), ("2", "grpc-web"), ("200", "sse"), ("5", "grpc")];
    assert_eq!(
        seen,
        expected.map(|(code, protocol)| format!(r#"code="{code}",method="POST",protocol="{protocol}",entrypoint="web"}}"#))
    );
}

#[test]
fn a_hundred_thousand_clients_make_no_series() {
    let telemetry = telemetry(MetricsOptions { routers: true, ..Default::default() });
    let (entry_point, router, service) = (
        telemetry.entry_point("web"),
        telemetry.router(&Name::whole("r@file"), &Name::whole("s@file")),
        telemetry.service(&Name::whole("s@file")),
    );
    let mut counts = BTreeSet::new();
    for n in 0..100_000u32 {
        let (host, path) = (format!("h{n}.example"), format!("/{n}"));
        let method = Method::new(&format!("M{n}"));
        let fields: Fields = [("user-agent", host.as_bytes()), ("accept", path.as_bytes())].into_iter().collect();
        let record = Record {
            router: Some(&router),
            service: Some(&service),
            query: Some(&path),
            forwarded_for: Some(&host),
            status: 200,
            attempts: 1,
            reason: Some([Reason::NoServer, Reason::Redirect, Reason::Overloaded][n as usize % 3]),
            ..Record::new(&entry_point, &method, &host, &path, &fields)
        };
        telemetry.finish(&record, telemetry.trace(&fields));
        if n == 10 || n == 99_999 {
            counts.insert(scrape(&telemetry).len());
        }
    }
    assert_eq!(counts.len(), 1, "series after 10 and after 100,000 requests: {counts:?}");
}

#[test]
fn a_table_is_bounded_whatever_a_server_answers_and_loses_nothing() {
    let telemetry = telemetry(MetricsOptions::default());
    let (entry_point, fields) = (telemetry.entry_point("web"), Fields::new());
    let mut sent = 0.0;
    for status in 100..1000 {
        for method in ["GET", "POST", "X"].map(Method::new) {
            telemetry
                .finish(&Record { status, ..Record::new(&entry_point, &method, "h", "/", &fields) }, telemetry.trace(&fields));
            sent += 1.0;
        }
    }
    let totals = with(&scrape(&telemetry), "traefik_entrypoint_requests_total", &[]);
    assert_eq!(totals.len(), metrics::MAX_CELLS + 1);
    assert_eq!(totals.iter().sum::<f64>(), sent);
}

#[test]
fn names_beyond_the_cap_share_one_series_and_keep_their_own_name() {
    let telemetry = telemetry(MetricsOptions { max_series: 10, ..Default::default() });
    let (entry_point, fields) = (telemetry.entry_point("web"), Fields::new());
    let services: Vec<_> = (0..25).map(|n| telemetry.service(&Name::whole(&format!("s{n}@file")))).collect();
    for service in &services {
        let record = Record {
            service: Some(service),
            status: 200,
            attempts: 1,
            ..Record::new(&entry_point, &Method::Get, "h", "/", &fields)
        };
        telemetry.finish(&record, telemetry.trace(&fields));
    }
    assert_eq!(services[24].name(), "s24@file");
    let series = scrape(&telemetry);
    assert_eq!(with(&series, "traefik_service_requests_total", &[]).len(), 11);
    assert_eq!(with(&series, "traefik_service_requests_total", &[r#"service="overflow""#]), [15.0]);
    drop(services);
    telemetry.service(&Name::whole("late@file"));
    assert_eq!(with(&scrape(&telemetry), "fairlead_metrics_overflowed_total", &[]), [15.0], "room again when others are gone");
}

#[test]
fn a_removed_service_is_exported_once_more() {
    let telemetry = telemetry(MetricsOptions::default());
    let (entry_point, fields, service) = (telemetry.entry_point("web"), Fields::new(), telemetry.service(&Name::whole("s@file")));
    let record = Record {
        service: Some(&service),
        status: 200,
        attempts: 1,
        ..Record::new(&entry_point, &Method::Get, "h", "/", &fields)
    };
    telemetry.finish(&record, telemetry.trace(&fields));
    assert!(Arc::ptr_eq(&service, &telemetry.service(&Name::whole("s@file"))), "one series per name");
    drop(service);
    assert_eq!(with(&scrape(&telemetry), "traefik_service_requests_total", &[]), [1.0]);
    assert!(with(&scrape(&telemetry), "traefik_service_requests_total", &[]).is_empty());
}

#[test]
fn what_the_actors_state_is_exported() {
    let telemetry = telemetry(MetricsOptions::default());
    let (entry_point, provider, service) =
        (telemetry.entry_point("web"), telemetry.provider("etcd"), telemetry.service(&Name::whole("s@file")));
    entry_point.open_connections.add(2);
    provider.synced(Duration::from_secs(1_990));
    service.attempt(AttemptOutcome::ConnectFailed);
    service.ejections.inc();
    service.races.add(3);
    telemetry.server_up("s@file", "http://a\"b", Some(true));
    telemetry.server_up("s@file", "http://gone", Some(true));
    telemetry.server_up("s@file", "http://gone", None);
    telemetry.process().config_reloads.inc();
    telemetry.process().snapshot.set(4);
    telemetry.process().event_to_served.observe(Duration::from_millis(4));
    telemetry.certificates(vec![CertificateGauge {
        common_name: "a.b".into(),
        serial: "1".into(),
        sans: "a.b,c.d".into(),
        not_after: 99,
    }]);
    let fields = Fields::new();
    let record =
        Record { reason: Some(Reason::NoRoute), status: 404, ..Record::new(&entry_point, &Method::Get, "h", "/", &fields) };
    telemetry.finish(&record, telemetry.trace(&fields));
    let series = scrape(&telemetry);
    for (name, value) in [
        (r#"traefik_open_connections{entrypoint="web",protocol="TCP"}"#, 2.0),
        (r#"fairlead_provider_staleness_seconds{provider="etcd"}"#, 10.0),
        (r#"fairlead_provider_connected{provider="etcd"}"#, 1.0),
        (r#"fairlead_service_attempts_total{outcome="connect_failed",service="s@file"}"#, 1.0),
        (r#"fairlead_service_races_total{service="s@file"}"#, 3.0),
        (r#"fairlead_service_ejections_total{service="s@file"}"#, 1.0),
        (r#"traefik_service_server_up{service="s@file",url="http://a\"b"}"#, 1.0),
        ("traefik_config_reloads_total", 1.0),
        ("fairlead_config_snapshot", 4.0),
        (r#"fairlead_config_event_to_served_seconds_bucket{le="0.0025"}"#, 0.0),
        (r#"fairlead_config_event_to_served_seconds_bucket{le="0.005"}"#, 1.0),
        (r#"traefik_tls_certs_not_after{cn="a.b",serial="1",sans="a.b,c.d"}"#, 99.0),
        (r#"fairlead_responses_total{reason="no_route",entrypoint="web"}"#, 1.0),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name}");
    }
    assert!(series.keys().all(|name| !name.contains("gone")));
}

proptest! {
    #[test]
    fn any_name_makes_text_that_parses(names in proptest::collection::vec("\\PC{0,20}|[\\\\\"\n]{1,4}", 1..6)) {
        let telemetry = telemetry(MetricsOptions { routers: true, ..Default::default() });
        let (entry_point, fields) = (telemetry.entry_point(&names[0]), Fields::new());
        for name in &names {
            let (name, first) = (Name::whole(name), Name::whole(&names[0]));
            let (router, service) = (telemetry.router(&name, &first), telemetry.service(&name));
            let record = Record { router: Some(&router), service: Some(&service), attempts: 1, ..Record::new(&entry_point, &Method::Get, "", "/", &fields) };
            telemetry.finish(&record, telemetry.trace(&fields));
        }
        let distinct = names.iter().filter(|n| !n.ends_with("@internal")).collect::<BTreeSet<_>>().len();
        prop_assert_eq!(with(&scrape(&telemetry), "traefik_service_requests_total", &[]).len(), distinct);
    }
}
