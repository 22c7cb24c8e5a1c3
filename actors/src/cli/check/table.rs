//! What would be served, as two tables for a terminal. What Fairlead declares itself is left out.

use fairlead_core::{
    Name,
    config::{
        Config,
        dynamic::{LoadBalancer, ServiceKind},
    },
};

/// Routers with their entry points, rules, middlewares and services.
pub(super) fn routers(config: &Config) -> String {
    let mut rows = vec![["ROUTER", "ENTRY POINTS", "RULE", "MIDDLEWARES", "SERVICE"].map(str::to_owned)];
    for (name, router) in config.routers.iter().filter(|(name, _)| is_declared(name)) {
        let middlewares: Vec<&str> = router.middlewares.iter().map(Name::as_str).collect();
        let tls = if router.tls.is_some() { " (TLS)" } else { "" };
        rows.push([
            name.to_string(),
            format!("{}{tls}", router.entry_points.join(",")),
            router.rule.text().to_owned(),
            middlewares.join(","),
            router.service.to_string(),
        ]);
    }
    for (name, router) in &config.tcp.routers {
        let middlewares: Vec<&str> = router.middlewares.iter().map(Name::as_str).collect();
        let kind = match &router.tls {
            None => "TCP",
            Some(tls) if tls.passthrough => "TCP, TLS passed through",
            Some(_) => "TCP, TLS",
        };
        rows.push([
            name.to_string(),
            format!("{} ({kind})", router.entry_points.join(",")),
            router.rule.text().to_owned(),
            middlewares.join(","),
            router.service.to_string(),
        ]);
    }
    aligned(&rows)
}

/// Services with their servers: where each runs, which instance it is, and whether it can be reached.
pub(super) fn servers(config: &Config) -> String {
    let mut rows = vec![["SERVICE", "SERVER", "NODE", "INSTANCE", "REACHABLE"].map(str::to_owned)];
    let all = config.services.iter().filter(|(name, _)| is_declared(name)).chain(&config.tcp.services);
    for (name, service) in all {
        let row = |server: String| [name.to_string(), server, String::new(), String::new(), String::new()];
        match &service.kind {
            ServiceKind::LoadBalancer(balancer) => of_balancer(name, balancer, &mut rows),
            ServiceKind::Weighted(weighted) => {
                let children: Vec<_> = weighted.services.iter().map(|(child, weight)| format!("{child} {weight}")).collect();
                rows.push(row(format!("weighted: {}", children.join(", "))));
            }
            ServiceKind::Failover(failover) => rows.push(row(format!("{}, else {}", failover.service, failover.fallback))),
            ServiceKind::Internal(_) => {}
        }
    }
    aligned(&rows)
}

fn of_balancer(name: &Name, balancer: &LoadBalancer, rows: &mut Vec<[String; 5]>) {
    if balancer.servers.is_empty() {
        let none = "no server: answers 503".to_owned();
        rows.push([name.to_string(), String::new(), String::new(), String::new(), none]);
    }
    for server in &balancer.servers {
        let reachable = match &server.unreachable {
            None => "yes".to_owned(),
            Some(why) => format!("no: {why}"),
        };
        rows.push([name.to_string(), server.url.text.to_string(), server.node.clone(), server.instance.clone(), reachable]);
    }
}

fn is_declared(name: &Name) -> bool {
    name.provider() != "internal"
}

/// Columns as wide as what stands in them. What others wrote cannot break out of its line.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let shown = |text: &String| {
        if text.is_empty() { "-".to_owned() } else { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() }
    };
    let rows: Vec<[String; N]> = rows.iter().map(|row| std::array::from_fn(|i| shown(&row[i]))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_core::config::{decode, file, flags, resolve, resolve_static};

    #[test]
    fn tables_show_what_would_be_served_and_what_cannot_be_reached() {
        let text = "
http:
  routers:
    web: {rule: 'Host(`a.x`)', service: web, entryPoints: [http], middlewares: [strip]}
  middlewares:
    strip: {stripPrefix: {prefixes: [/a]}}
  services:
    empty: {loadBalancer: {}}
    both: {weighted: {services: [{name: web, weight: 3}, {name: empty}]}}
    web:
      loadBalancer:
        servers:
          - {url: 'http://10.0.1.7:80', instance: 5kq2x, node: worker-1}
          - {url: 'http://10.9.0.4:80', instance: 9ab, unreachable: \"no\\nnetwork\"}
";
        let text = &format!(
            "{text}tcp:\n  routers: {{db: {{rule: HostSNI(`db`), service: db, tls: {{passthrough: true}}}}}}\n  services: {{db: {{loadBalancer: {{servers: [{{address: '10.0.0.9:5432'}}]}}}}}}\n"
        );
        let tree = file::parse(text, file::Format::Yaml, "f.yaml", 1 << 20).expect("YAML");
        let flags = flags::tree(&["--entryPoints.http.address=:80".to_owned()]).expect("flags");
        let (static_, _) = resolve_static(&flags).expect("usable");
        let (config, rejections) = resolve(&[("file".to_owned(), decode(&tree).0)].into(), &static_, None);
        assert_eq!(rejections, []);
        assert_eq!(
            routers(&config),
            "ROUTER    ENTRY POINTS                    RULE           MIDDLEWARES  SERVICE\n\
             web@file  http                            Host(`a.x`)    strip@file   web@file\n\
             db@file   http (TCP, TLS passed through)  HostSNI(`db`)  -            db@file\n"
        );
        assert_eq!(
            servers(&config),
            "SERVICE     SERVER                              NODE      INSTANCE  REACHABLE\n\
             both@file   weighted: web@file 3, empty@file 1  -         -         -\n\
             empty@file  -                                   -         -         no server: answers 503\n\
             web@file    http://10.0.1.7:80                  worker-1  5kq2x     yes\n\
             web@file    http://10.9.0.4:80                  -         9ab       no: no network\n\
             db@file     10.0.0.9:5432                       -         -         yes\n"
        );
    }
}
