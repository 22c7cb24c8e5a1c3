use crate::config::{
    Rejection, Severity, StaticConfig, Tree,
    file::{Format, parse},
    flags, resolve_static,
    static_::{Address, Level, Protocol},
};
use std::time::Duration;

fn flags(args: &[&str]) -> Tree {
    flags::tree(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn resolved(tree: &Tree) -> (StaticConfig, Vec<Rejection>) {
    resolve_static(tree).unwrap_or_else(|rejections| panic!("{rejections:#?}"))
}

fn split(text: &str) -> Tree {
    flags(&text.split(' ').collect::<Vec<_>>())
}

#[test]
fn the_command_line_of_seed_003_just_works() {
    let line = "--web --accessLog --constraints=tag==my-stack --rancher --rancher.exposedbydefault=false --rancher.metadata=true";
    let empty = parse("# nothing\n", Format::Toml, "/traefik.toml", 1 << 10).unwrap();
    let (config, rejections) = resolved(&empty.overlaid(split(line)));
    let any = |port| Address { ip: None, port, protocol: Protocol::Tcp };
    let points: Vec<_> = config.entry_points.values().map(|point| (point.name.as_str(), point.address)).collect();
    assert_eq!(points, [("http", any(80)), ("https", any(443)), ("traefik", any(8080))]);
    assert_eq!(config.default_entry_points[..], ["http", "https"]);
    assert!(config.api.as_ref().is_some_and(|api| api.insecure && api.dashboard));
    assert!(config.ping.is_some() && config.access_log.is_some());
    let rancher = config.providers.rancher.as_ref().unwrap();
    assert_eq!((rancher.endpoint.as_str(), rancher.prefix.as_str()), ("http://rancher-metadata.rancher.internal", "latest"));
    assert_eq!((rancher.refresh, rancher.watch, rancher.interval_poll), (Duration::from_secs(15), true, false));
    assert!(!rancher.settings.exposed_by_default && rancher.settings.tags.len() == 1);
    assert_eq!(rancher.settings.entry_points["https"], ("https".to_owned(), 443));
    let told: Vec<(&str, &str)> = rejections.iter().map(|r| (r.key.as_str(), r.remedy.as_str())).collect();
    assert!(rejections.iter().all(|rejection| rejection.severity == Severity::Warning), "{rejections:#?}");
    assert_eq!(told.iter().map(|(key, _)| *key).collect::<Vec<_>>(), ["--rancher", "--web", "entryPoints", "--constraints"]);
    assert_eq!(told[0].1, "write `providers.rancher`");
}

#[test]
fn ports_may_be_given_in_the_new_spelling_beside_the_old() {
    let (config, _) = resolved(&split(
        "--web --rancher --rancher.metadata.intervalPoll --rancher.metadata.prefix=2016-07-29 --rancher.refreshSeconds=5 \
         --providers.rancher.endpoint=http://127.0.0.1:9999 --entryPoints.traefik.address=127.0.0.1:9000 --entryPoints.web.address=:81",
    ));
    assert_eq!(config.entry_points["traefik"].address.port, 9000);
    assert_eq!(config.default_entry_points[..], ["web"]);
    let rancher = config.providers.rancher.as_ref().unwrap();
    assert_eq!((rancher.endpoint.as_str(), rancher.prefix.as_str()), ("http://127.0.0.1:9999", "2016-07-29"));
    assert_eq!((rancher.refresh, rancher.interval_poll), (Duration::from_secs(5), true));
    let (config, _) = resolved(&split("--web.address=:8181"));
    assert_eq!(config.entry_points["traefik"].address.port, 8181);
    let (config, _) = resolved(&split("--web=false"));
    assert_eq!((config.api, config.ping), (None, None));
}

#[test]
fn what_moved_is_found_where_it_is_now() {
    let (config, rejections) = resolved(&split(
        "--logLevel=WARN --traefikLog.filePath=/l --accessLogsFile=/a --insecureSkipVerify --rootCAs=/ca --maxIdleConnsPerHost=7 \
         --forwardingTimeouts.dialTimeout=3s --providersThrottleDuration=1s --checkNewVersion=false --entryPoints.http.address=:80",
    ));
    assert_eq!((config.log.level, config.log.file_path.as_deref()), (Level::Warn, Some("/l")));
    assert_eq!(config.access_log.unwrap().file_path.as_deref(), Some("/a"));
    let transport = &config.servers_transport;
    assert!(transport.insecure_skip_verify && transport.root_cas == ["/ca"]);
    assert_eq!((transport.max_idle_per_server, transport.dial_timeout), (7, Duration::from_secs(3)));
    assert_eq!(config.providers.throttle, Some(Duration::from_secs(1)));
    let told = rejections.iter().map(|rejection| rejection.to_string()).collect::<Vec<_>>();
    assert!(
        told.contains(&"flag: --logLevel: is Traefik 1's spelling, and understood (write `log.level`)".to_owned()),
        "{told:#?}"
    );
    let (config, _) = resolved(&split("--debug"));
    assert_eq!(config.log.level, Level::Debug);
    let (config, _) = resolved(&split("--logLevel=INFO --log.level=ERROR"));
    assert_eq!(config.log.level, Level::Error, "the new spelling goes first");
}

#[test]
fn entry_points_in_one_line() {
    let tree = flags(&[
        "--entryPoints=Name:http Address::80 Redirect.EntryPoint:https",
        "--entrypoints=Name:https Address::443 TLS ForwardedHeaders.TrustedIPs:10.0.0.0/8,192.0.2.1",
        "--entryPoints=name:admin address:127.0.0.1:9000",
        "--defaultEntryPoints=http,https",
    ]);
    let (config, _) = resolved(&tree);
    let (http, https) = (&config.entry_points["http"], &config.entry_points["https"]);
    let redirection = http.http.redirection.as_ref().unwrap();
    assert_eq!((redirection.to.as_str(), redirection.scheme.as_str(), redirection.permanent), ("https", "https", false));
    assert!(https.http.tls.is_some() && https.forwarded_headers.trusted.len() == 2);
    assert_eq!(config.entry_points["admin"].address.ip, Some([127, 0, 0, 1].into()));
    assert_eq!(config.default_entry_points[..], ["http", "https"]);

    let refused = resolve_static(&flags(&["--entryPoints=Name:https Address::443 TLS:a.crt,a.key Compress:true"])).unwrap_err();
    let errors: Vec<String> = refused.iter().filter(|r| r.severity == Severity::Error).map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("`TLS` of an entry point") && errors[0].contains("tls.certificates"), "{}", errors[0]);
}

#[test]
fn a_file_of_traefik_1_is_understood_alike() {
    let text = "logLevel = 'DEBUG'\ndefaultEntryPoints = ['http']\nconstraints = ['tag==a', 'tag!=b']\n[entryPoints.http]\naddress = ':80'\n\
                [rancher]\ndomain = 'a.example'\n[rancher.metadata]\nintervalPoll = true\n";
    let (config, rejections) = resolved(&parse(text, Format::Toml, "traefik.toml", 1 << 20).unwrap());
    let rancher = config.providers.rancher.unwrap();
    assert_eq!((rancher.settings.domain.as_str(), rancher.settings.tags.len(), rancher.interval_poll), ("a.example", 2, true));
    assert_eq!((config.log.level, &config.default_entry_points[..]), (Level::Debug, &["http".to_owned()][..]));
    assert!(rejections.iter().any(|rejection| rejection.source.starts_with("traefik.toml")), "{rejections:#?}");
}

#[test]
fn constraints_without_a_provider_that_reads_labels_say_so() {
    let (_, rejections) = resolved(&split("--constraints=tag==a --entryPoints.http.address=:80"));
    assert!(rejections[0].to_string().contains("without effect"), "{rejections:#?}");
}

#[test]
fn docker_was_two_providers_in_one() {
    let (config, rejections) = resolved(&split(
        "--docker --docker.domain=a.example --docker.endpoint=tcp://127.0.0.1:2375 --docker.exposedByDefault=false --docker.watch \
         --constraints=tag==a --entryPoints.http.address=:80",
    ));
    let docker = config.providers.docker.as_ref().unwrap();
    assert_eq!((docker.settings.domain.as_str(), docker.settings.exposed_by_default), ("a.example", false));
    assert_eq!((docker.endpoints[0].as_str(), docker.settings.tags.len()), ("tcp://127.0.0.1:2375", 1));
    assert!(config.providers.swarm.is_none());
    assert!(rejections.iter().any(|rejection| rejection.remedy == "write `providers.docker`"), "{rejections:#?}");

    let (config, _) = resolved(&split(
        "--docker --docker.swarmMode=true --docker.swarmModeRefreshSeconds=3 --docker.network=front --entryPoints.http.address=:80",
    ));
    let swarm = config.providers.swarm.as_ref().unwrap();
    assert_eq!((swarm.refresh, swarm.settings.network.as_str()), (Duration::from_secs(3), "front"));
    assert!(config.providers.docker.is_none());

    let refused = resolve_static(&split("--docker.constraints=tag==a --entryPoints.http.address=:80")).unwrap_err();
    let errors: Vec<String> = refused.iter().filter(|r| r.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(errors.len() == 1 && errors[0].contains("--docker.constraints: constraints by tag are given once"), "{errors:#?}");
}
