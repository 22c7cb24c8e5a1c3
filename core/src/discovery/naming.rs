//! Names that are made of a workload's own, where its labels give none.

use super::{Kind, Workload};

/// As Traefik makes a name of any text: letters and digits stay, every run of others becomes one `-`, and none stands at either end.
pub fn normalize(text: &str) -> String {
    let parts: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// The name of a workload's service and router where labels name none, and `.Name` in the default rule, normalised: of a container of a
/// compose project `<service>-<project>`, else its own.
pub fn service_name(workload: &Workload) -> String {
    let label = |key: &str| workload.labels.get(key).filter(|_| workload.kind == Kind::Container);
    match (label("com.docker.compose.service"), label("com.docker.compose.project")) {
        (Some(service), Some(project)) => normalize(&format!("{service}_{project}")),
        _ => normalize(&workload.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_as_traefik_makes_them() {
        for (text, name) in [
            ("shop_web", "shop-web"),
            ("shop__web.1", "shop-web-1"),
            ("/web/", "web"),
            ("Web", "Web"),
            ("café_1", "café-1"),
            ("___", ""),
        ] {
            assert_eq!(normalize(text), name, "{text}");
        }
    }
}
