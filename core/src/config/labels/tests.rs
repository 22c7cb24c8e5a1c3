use super::*;
use crate::config::raw::decode;

#[test]
fn labels_become_a_tree() {
    let labels = [
        ("traefik.enable", "true"),
        ("traefik.http.routers.web.rule", "Host(`a`)"),
        ("traefik.http.routers.web.tls", "true"),
        ("traefik.http.routers.web.tls.domains[0].main", "a"),
        ("traefik.http.services.web.loadbalancer.server.port", "80"),
        ("com.docker.lb.hosts", "x"),
    ];
    let (tree, rejections) = tree(labels.into_iter(), "traefik", "service web");
    assert_eq!(rejections, []);
    assert_eq!(tree.text(&["enable"]), Some("true"));
    let (raw, rejections) = decode(&tree);
    assert_eq!(rejections, []);
    let router = raw.routers["web"].value.as_ref().unwrap();
    assert_eq!(router.tls.0.as_ref().unwrap().domains[0].main.as_deref(), Some("a"));
    let service = raw.services["web"].value.as_ref().unwrap();
    assert_eq!(service.load_balancer.as_ref().unwrap().server.as_ref().unwrap().port.as_deref(), Some("80"));
}

#[test]
fn a_label_that_cannot_be_read_spoils_its_unit() {
    let labels = [
        ("traefik.http.routers.web.rule", "Host(`a`)"),
        ("traefik.http.routers.web..middlewares", "auth"),
        ("traefik.http.routers.api.rule", "Host(`b`)"),
        ("traefik..x", "y"),
        ("traefik.http.routers.q.tls.domains[x].main", "a"),
    ];
    let (tree, rejections) = tree(labels.into_iter(), "traefik", "service web");
    assert_eq!(rejections.iter().map(|rejection| rejection.key.as_str()).collect::<Vec<_>>(), ["traefik..x"]);
    let (raw, _) = decode(&tree);
    assert!(raw.routers["web"].value.is_none(), "it may not be served without its middleware");
    assert!(raw.routers["q"].value.is_none());
    assert!(raw.routers["api"].value.is_some());
}
