//! The labels of UCP's routing mesh.

use super::*;
use crate::{config::dynamic::Strategy, discovery::fixture::servers};

fn mesh(name: &str, labels: &[(&str, &str)]) -> Workload {
    let labels: Vec<(String, &str)> =
        labels.iter().map(|(which, value)| (format!("com.docker.ucp.mesh.http{which}"), *value)).collect();
    let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    service(name, 2, &labels)
}

#[test]
fn routes_of_the_mesh_are_served() {
    let config = clean(&[mesh(
        "app",
        &[
            (".1", "external_route=http://a.local:80,internal_port=8080,sticky_sessions=session,include_forwarded_for=true"),
            (".2", "external_route=http://,internal_port=9090"),
            (".3", "9091=http://b.local"),
        ],
    )]);
    assert_eq!(
        routes(&config),
        [
            "lb.a.local: Host(`a.local`) → mesh.app.1 []",
            "lb.b.local: Host(`b.local`) → mesh.app.3 []",
            "lb-tls.*: PathPrefix(`/`) → mesh.app.2 [] tls",
            "lb.*: PathPrefix(`/`) → mesh.app.2 []",
        ]
    );
    let sticky = balancer(&config, "mesh.app.1@swarm");
    assert_eq!((sticky.strategy, sticky.hash_cookie.as_deref()), (Strategy::Hrw, Some("session")));
    assert_eq!(servers(&config, "mesh.app.3@swarm")[0], "http://10.0.1.11:9091 (app-task-1)");
}

#[test]
fn a_route_may_lead_elsewhere() {
    let config = clean(&[mesh("app", &[("", "external_route=http://a.local,redirect=https://a.local")])]);
    assert_eq!(routes(&config)[0], "lb-redirect.a.local: Host(`a.local`) → mesh.app [lb-redirect.a.local]");
    assert!(matches!(
        middleware(&config, "lb-redirect.a.local@swarm"),
        MiddlewareKind::RedirectRegex { replacement, permanent: true, .. } if replacement == "https://a.local${1}"
    ));
}

/// UCP 3 gave services Interlock's labels beside those of the mesh.
#[test]
fn a_service_that_asks_in_both_languages_is_served_once() {
    let mut both = mesh("app", &[("", "external_route=http://a.local,internal_port=8080")]);
    both.labels.extend(web("", 0, &[("hosts", "a.local"), ("port", "8080")]).labels);
    assert_eq!(routes(&clean(&[both])), ["lb.a.local: Host(`a.local`) → lb.app []"]);
}

#[test]
fn what_the_mesh_passed_through_is_passed_through() {
    let config = clean(&[mesh("app", &[("", "external_route=sni://a.local:8443,internal_port=8443")])]);
    assert_eq!(routes(&config), [""; 0]);
    let router = &config.tcp.routers["lb-sni.a.local@swarm"];
    assert_eq!((router.rule.text(), router.service.as_str()), ("HostSNI(`a.local`)", "mesh.app@swarm"));
    assert!(router.tls.as_ref().is_some_and(|tls| tls.passthrough));
    let (_, rejections) = serve(&[mesh("app", &[("", "external_route=ftp://a.local,internal_port=1")])]);
    assert!(rejections[0].contains("expected external_route=http://… or sni://…"), "{rejections:?}");
}

#[test]
fn a_bad_route_names_its_label_and_a_remedy() {
    for (value, remedy) in [
        ("external_route=a.local,internal_port=80", "external_route=http://app.example.com"),
        ("external_route=http://a.local/path,internal_port=80", "separate host names"),
        ("external_route=http://a.local", "add internal_port=8080"),
        ("external_route=http://a.local,internal_port=x", "write the one port"),
        ("external_route=http://a.local,internal_prt=80", "did you mean `internal_port`?"),
        ("external_route=http://a.local,redirect=http://a.local", "redirect=https://app.example.com"),
        ("external_route=http://a.local,redirect=ftp://b", "redirect=https://app.example.com"),
        ("http", "external_route=http://app.example.com,internal_port=8080"),
    ] {
        let (config, rejections) = serve(&[mesh("app", &[(".9", value)])]);
        assert_eq!(routes(&config), [""; 0], "{value}");
        assert!(rejections[0].starts_with("Error service app: com.docker.ucp.mesh.http.9: "), "{value}: {rejections:?}");
        assert!(rejections[0].contains(remedy), "{value}: {rejections:?}");
    }
}
