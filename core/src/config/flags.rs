//! Flags: `--entryPoints.web.address=:80`.
//!
//! Traefik's syntax: one dash or two, `--a.b=value` or `--a.b value`, a flag alone is true, lists are given with commas or by repeating the flag,
//! of any other flag given twice the last counts. Which flags exist is for the reader to say.

use super::{Rejection, Severity, Style, Tree, Value, decode::quote, labels::segments, tree::Builder};

/// The tree of the arguments after the command. `--configFile` is in it like any other: see [`Tree::text`].
pub fn tree(args: &[String]) -> Result<Tree, Vec<Rejection>> {
    let mut builder = Builder::new("flag", Style::Flags, "");
    let mut rejections = Vec::new();
    let mut args = args.iter().peekable();
    let mut fault = |builder: &Builder, arg: &str, message: String, remedy: &str| {
        let rejection = builder.root().reject(Severity::Error, message, remedy);
        rejections.push(Rejection { key: quote(arg).trim_matches('`').to_owned(), ..rejection });
    };
    while let Some(arg) = args.next() {
        let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).filter(|flag| !flag.is_empty()) else {
            let message = if arg == "--" { "nothing may follow `--`".to_owned() } else { "expected a flag".to_owned() };
            fault(&builder, arg, message, "write flags as --name=value");
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match args.next_if(|next| !next.starts_with('-')) {
                Some(value) => (flag, value.clone()),
                None => (flag, "true".to_owned()),
            },
        };
        match segments(name) {
            Ok(path) => builder.insert(&path, None, Value::Text(value)),
            Err(message) => fault(&builder, arg, message, "write names separated by single dots"),
        }
    }
    if rejections.is_empty() { Ok(builder.finish()) } else { Err(rejections) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Tree, Vec<Rejection>> {
        tree(&args.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_spelling_of_a_flag_is_understood() {
        let tree = parse("--a.b=1 -c.d=2 --e.f 3 --g --h[1].x=y=z --A.B=4").unwrap();
        assert_eq!(tree.text(&["a", "b"]), Some("4"), "the last counts");
        assert_eq!(tree.text(&["C", "d"]), Some("2"));
        assert_eq!(tree.text(&["e", "f"]), Some("3"));
        assert_eq!(tree.text(&["g"]), Some("true"));
        assert_eq!(tree.text(&["h", "1", "x"]), Some("y=z"));
        assert_eq!(tree.child("a").unwrap().child("b").unwrap().key, "--a.b");
    }

    #[test]
    fn a_flag_and_flags_below_it_live_together() {
        for args in ["--api --api.insecure=true", "--api.insecure=true --api"] {
            let tree = parse(args).unwrap();
            assert_eq!(tree.text(&["api"]), Some("true"), "{args}");
            assert_eq!(tree.text(&["api", "insecure"]), Some("true"), "{args}");
        }
    }

    #[test]
    fn what_is_not_a_flag_is_refused_by_name() {
        for (args, key) in [("run", "run"), ("--a..b=1", "--a..b=1"), ("--a=1 --", "--"), ("--a[x]=1", "--a[x]=1")] {
            let rejections = parse(args).unwrap_err();
            assert_eq!((rejections[0].key.as_str(), rejections.len()), (key, 1), "{args}");
            assert_eq!(rejections[0].source, "flag");
        }
    }
}
