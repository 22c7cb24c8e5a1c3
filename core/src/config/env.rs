//! Environment: `FAIRLEAD_ENTRYPOINTS_WEB_ADDRESS`, and `TRAEFIK_…`.
//!
//! Every `_` separates; names chosen by the operator come out in lower case and cannot hold one.

use super::{
    Rejection, Severity, Style, Tree, Value,
    decode::remedy_for_name,
    static_::{OWN_KEYS, TOP_LEVEL},
    tree::{Builder, MAX_DEPTH},
};
use std::collections::BTreeMap;

/// The tree of the variables that concern us. `FAIRLEAD_` goes before `TRAEFIK_`.
///
/// Container engines put variables of their own beside ours (`TRAEFIK_PORT`, `TRAEFIK_SERVICE_HOST`), so one of Traefik's whose first part is no
/// option is passed over; one of Fairlead's is refused. Options below `fairlead` are also found without that part: `FAIRLEAD_WORKERS`.
pub fn tree<'a>(vars: impl Iterator<Item = (&'a str, &'a str)>) -> (Tree, Vec<Rejection>) {
    let mut builder = Builder::new("environment", Style::Env, "");
    let mut rejections = Vec::new();
    let sorted: BTreeMap<&str, &str> = vars.collect();
    // In byte order, FAIRLEAD_ comes first, and what is there stays.
    for (name, value) in sorted {
        let (own, below) = match (name.strip_prefix("FAIRLEAD_"), name.strip_prefix("TRAEFIK_")) {
            (Some(below), _) => (true, below),
            (_, Some(below)) => (false, below),
            _ => continue,
        };
        let lower = below.to_ascii_lowercase();
        let mut path: Vec<&str> = lower.split('_').collect();
        let known = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(path[0]));
        if own && known(OWN_KEYS) {
            path.insert(0, "fairlead");
        } else if !known(TOP_LEVEL) {
            if own {
                let remedy = remedy_for_name(path[0], TOP_LEVEL.iter().chain(OWN_KEYS).copied());
                let message = format!("no option begins with `{}`", path[0]);
                rejections.push(Rejection { key: name.to_owned(), ..builder.root().reject(Severity::Error, message, remedy) });
            }
            continue;
        }
        if path.iter().any(|part| part.is_empty()) || path.len() > MAX_DEPTH {
            let message = "a part of the name is empty, or there are too many";
            let rejection = builder.root().reject(Severity::Error, message, "separate the parts by one `_` each");
            rejections.push(Rejection { key: name.to_owned(), ..rejection });
            continue;
        }
        builder.insert(&path, Some(name), Value::Text(value.to_owned()));
    }
    (builder.finish(), rejections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_variables_go_before_traefiks_and_strangers_are_passed_over() {
        let vars = [
            ("TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", ":81"),
            ("FAIRLEAD_ENTRYPOINTS_WEB_ADDRESS", ":80"),
            ("TRAEFIK_PORT", "tcp://10.0.0.1:80"),
            ("FAIRLEAD_WORKERS", "2"),
            ("PATH", "/bin"),
        ];
        let (tree, rejections) = tree(vars.into_iter());
        assert_eq!(rejections, []);
        assert_eq!(tree.text(&["entrypoints", "web", "address"]), Some(":80"));
        assert_eq!(tree.text(&["fairlead", "workers"]), Some("2"));
        assert_eq!(tree.children().count(), 2);
        let rejected =
            tree.child("entrypoints").unwrap().child("web").unwrap().child("address").unwrap().reject(Severity::Error, "", "");
        assert_eq!((rejected.source.as_str(), rejected.key.as_str()), ("environment", "FAIRLEAD_ENTRYPOINTS_WEB_ADDRESS"));
    }

    #[test]
    fn a_variable_of_ours_that_is_no_option_is_refused() {
        let (_, rejections) = tree([("FAIRLEAD_ENTRYPOINT_WEB_ADDRESS", ":80"), ("FAIRLEAD_LOG__LEVEL", "INFO")].into_iter());
        assert_eq!(rejections.len(), 2);
        assert_eq!(
            (rejections[0].key.as_str(), rejections[0].remedy.as_str()),
            ("FAIRLEAD_ENTRYPOINT_WEB_ADDRESS", "did you mean `entryPoints`?")
        );
        assert_eq!(rejections[1].key, "FAIRLEAD_LOG__LEVEL");
    }
}
