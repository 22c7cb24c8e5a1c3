//! Which language a label belongs to, by its name alone: so that no language takes another's labels for mistakes of its own, and a workload
//! that says in one language how it is served gets no default router from another.

use super::{Language, Workload};

/// Labels directly below `traefik.` that only Traefik 1 has.
const TRAEFIK1: [&str; 8] = ["frontend", "backend", "port", "portindex", "portname", "protocol", "weight", "domain"];

/// What a segment of Traefik 1 may say: `traefik.<segment>.<property>`.
const SEGMENT: [&str; 7] = ["frontend", "backend", "port", "portindex", "portname", "protocol", "weight"];

/// Heads below `traefik.` that are no segment, whatever follows.
const RESERVED: [&str; 8] = ["enable", "tags", "http", "tcp", "udp", "tls", "docker", "swarm"];

impl Language {
    /// The language that says with `label` how something is served. None for labels of nobody's, and for those that several share, such as
    /// `traefik.enable`. Case does not matter.
    pub fn of_label(label: &str) -> Option<Self> {
        let label = label.to_ascii_lowercase();
        if label.starts_with("com.docker.lb.") {
            return Some(Self::Interlock);
        }
        if label.starts_with("com.docker.ucp.mesh.http") {
            return Some(Self::Mesh);
        }
        let mut parts = label.strip_prefix("traefik.")?.split('.');
        let (head, next) = (parts.next()?, parts.next());
        match head {
            "http" | "tcp" | "udp" | "tls" if next.is_some() => Some(Self::Traefik),
            _ if RESERVED.contains(&head) => None,
            _ if TRAEFIK1.contains(&head) || next.is_some_and(|next| SEGMENT.contains(&next)) => Some(Self::Traefik1),
            _ => None,
        }
    }
}

impl Workload {
    /// Whether one of its labels is of this language.
    pub fn speaks(&self, language: Language) -> bool {
        self.labels.keys().any(|label| Language::of_label(label) == Some(language))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_belongs_to_one_language() {
        for (label, language) in [
            ("traefik.http.routers.web.rule", Some(Language::Traefik)),
            ("Traefik.HTTP.Routers.web.rule", Some(Language::Traefik)),
            ("traefik.tcp.routers.db.rule", Some(Language::Traefik)),
            ("traefik.http", None),
            ("traefik.frontend.rule", Some(Language::Traefik1)),
            ("traefik.frontend.auth.basic", Some(Language::Traefik1)),
            ("traefik.backend", Some(Language::Traefik1)),
            ("traefik.port", Some(Language::Traefik1)),
            ("traefik.admin.port", Some(Language::Traefik1)),
            ("traefik.admin.frontend.rule", Some(Language::Traefik1)),
            ("traefik.docker.port", None),
            ("traefik.swarm.network", None),
            ("traefik.enable", None),
            ("traefik.tags", None),
            ("traefik.htpp.routers.web.rule", None),
            ("com.docker.lb.hosts", Some(Language::Interlock)),
            ("com.docker.ucp.mesh.http", Some(Language::Mesh)),
            ("com.docker.ucp.mesh.http.1", Some(Language::Mesh)),
            ("com.docker.stack.namespace", None),
            ("traefik", None),
        ] {
            assert_eq!(Language::of_label(label), language, "{label}");
        }
    }
}
