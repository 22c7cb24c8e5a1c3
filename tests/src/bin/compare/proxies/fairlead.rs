//! Fairlead's configuration. JSON is YAML.

use super::{Place, Routes};
use serde_json::{Map, Value, json};

/// The path of the static configuration. The router that is used is the last one in the file.
pub fn yaml(place: &Place<'_>) -> String {
    let (plan, dir, ports) = (place.plan, place.dir, place.ports);
    let router = |rule: String| json!({ "rule": rule, "service": "b", "entryPoints": ["web"] });
    let mut routers = Map::new();
    match plan.routes {
        Routes::All(count) => {
            for number in 1..count {
                let rule = format!("Host(`host-{}.example`) && PathPrefix(`/path-{number}`)", number % 1000);
                routers.insert(format!("other-{number}"), router(rule));
            }
            routers.insert("web".into(), router("PathPrefix(`/`)".into()));
        }
        Routes::Distinct(count) => {
            for number in 0..count {
                let (host, path) = Routes::distinct(number);
                routers.insert(format!("r{number}"), router(format!("Host(`{host}`) && PathPrefix(`{path}`)")));
            }
        }
    }
    routers.insert(
        "websecure".into(),
        json!({ "rule": "PathPrefix(`/`)", "service": "b", "entryPoints": ["websecure"], "tls": {} }),
    );
    let file = |end: &str| dir.file(&format!("leaf.{end}"));
    let servers = plan.backends.map(|port| json!({ "url": format!("http://127.0.0.1:{port}") }));
    let dynamic = json!({
        "http": { "routers": routers, "services": { "b": { "loadBalancer": { "servers": servers } } } },
        "tls": {
            "options": { "default": { "minVersion": "VersionTLS13" } },
            "stores": { "default": { "defaultCertificate": { "certFile": file("crt"), "keyFile": file("key") } } },
        },
    });
    let dynamic = dir.put(&format!("{}-dynamic.yaml", place.tag), &dynamic.to_string());
    let mut config = fixed(ports.plain, ports.admin);
    config["entryPoints"]["websecure"] = json!({ "address": format!("127.0.0.1:{}", ports.tls) });
    config["providers"] = json!({ "file": { "filename": dynamic } });
    for (name, section) in &plan.sections {
        config[*name] = section.clone();
    }
    dir.put(&format!("{}.yaml", place.tag), &config.to_string())
}

/// What every static configuration has: an entry point in the clear, the administration, metrics, one worker.
pub fn fixed(plain: u16, admin: u16) -> Value {
    json!({
        "entryPoints": {
            "web": { "address": format!("127.0.0.1:{plain}") },
            "traefik": { "address": format!("127.0.0.1:{admin}") },
        },
        "metrics": { "prometheus": {} },
        "fairlead": { "workers": 1 },
    })
}
