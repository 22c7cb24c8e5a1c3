use super::*;

fn labels() -> BTreeMap<String, String> {
    [("zone", "Example.COM"), ("com.docker.compose.service", "web"), ("list", "a,b,c"), ("empty", "")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn render(text: &str) -> Result<String, String> {
    let labels = labels();
    let context = Context { name: "shop-web", container_name: "shop_web.1", labels: &labels };
    Template::parse(text)?.render(&context)
}

#[test]
fn templates_render_as_in_go() {
    for (text, expected) in [
        ("Host(`{{ normalize .Name }}`)", "Host(`shop-web`)"),
        ("{{.Name}}", "shop-web"),
        ("{{ .ContainerName | normalize }}", "shop-web-1"),
        ("a {{- .Name -}} b", "ashop-webb"),
        ("a {{/* nothing */}} b", "a  b"),
        ("{{ index .Labels \"zone\" | lower }}", "example.com"),
        ("{{ index .Labels `com.docker.compose.service` }}", "web"),
        ("{{ .Labels.zone }}", "Example.COM"),
        ("{{ .Labels.nowhere }}", ""),
        ("{{ trimPrefix \"shop-\" .Name | upper }}", "WEB"),
        ("{{ .Name | trimSuffix \"-web\" }}", "shop"),
        ("{{ replace \"-\" \".\" .Name }}", "shop.web"),
        ("{{ default \"x\" (index .Labels \"empty\") }}", "x"),
        ("{{ index .Labels \"nowhere\" | default .Name }}", "shop-web"),
        ("{{ (split \"-\" .Name)._1 }}", "web"),
        ("{{ (split \"-\" .Name)._7 }}", ""),
        ("{{ splitList \",\" .Labels.list | first }}", "a"),
        ("{{ splitList \",\" .Labels.list | last }}", "c"),
        ("{{ index (splitList \",\" .Labels.list) 1 }}", "b"),
        ("{{ splitList \"-\" .Name | join `.` }}", "shop.web"),
        ("{{ if eq .Name \"shop-web\" }}yes{{ else }}no{{ end }}", "yes"),
        ("{{ if eq .Name \"a\" \"shop-web\" }}yes{{ end }}", "yes"),
        ("{{ if ne .Name \"shop-web\" }}a{{ else if hasPrefix \"shop\" .Name }}b{{ else }}c{{ end }}", "b"),
        ("{{ if and .Name (not (index .Labels \"empty\")) }}yes{{ end }}", "yes"),
        ("{{ or .Labels.empty .Labels.zone }}", "Example.COM"),
        ("{{ if false }}a{{ else }}b{{ end }}", "b"),
        ("{{ ternary \"a\" \"b\" (contains \"shop\" .Name) }}", "a"),
        ("{{ coalesce .Labels.empty .Labels.nowhere \"z\" }}", "z"),
        ("{{ \"a\\\"b\" }}{{ len .Name }}", "a\"b8"),
        ("no action", "no action"),
        ("", ""),
    ] {
        assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn the_default_is_what_its_text_says() {
    let default = Template::default();
    assert_eq!(Template::parse(default.text()), Ok(default));
}

#[test]
fn what_is_not_supported_is_named() {
    for (text, message) in [
        ("{{ env \"HOME\" }}", "the function `env` is not supported; there are and, coalesce,"),
        ("{{ .Nmae }}", "there is no `.Nmae`; there are .Name, .ContainerName and .Labels"),
        ("{{ . }}", "there is no `.`"),
        ("{{ range .Labels }}{{ end }}", "`range` is not supported"),
        ("{{ $x := .Name }}", "variables"),
        ("{{ lower }}", "`lower` takes 1 arguments, and gets 0"),
        ("{{ .Name .Name }}", "expected one value"),
        ("{{ lower upper .Name }}", "expected `upper` and its arguments in parentheses"),
        ("{{ .Name | \"x\" }}", "expected a function after `|`, found \"x\""),
        ("{{ if .Name }}a", "expected `{{end}}`"),
        ("{{ end }}", "`end` has no `if` before it"),
        ("{{ if .Name }}a{{ else }}b{{ else }}c{{ end }}", "expected `{{end}}` after `{{else}}`"),
        ("{{ .Name", "expected `}}`"),
        ("{{ \"a }}", "expected a closing double quote"),
        ("{{ `a }}", "expected a closing back quote"),
        ("{{ (lower .Name }}", "expected `)`, found `}}`"),
        ("{{ /* x }}", "expected `*/}}`"),
        ("{{ index (splitList \",\" .Name) 3 }}", "`index`: there is no element 3 among 1"),
        ("{{ index .Name 0 }}", "`index`: expected labels or a list, found a text"),
        ("{{ .Labels }}", "expected a text, found a map"),
        ("{{ eq .Name 1 }}", "`eq`: a text and a number cannot be compared"),
        ("{{ .Name.x }}", "`.x`: expected labels"),
        ("{{ 99999999999999999999 }}", "too large"),
    ] {
        let error = render(text).expect_err(text);
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn nesting_is_bounded() {
    assert!(render(&format!("{{{{ {}.Name{} }}}}", "(".repeat(60), ")".repeat(60))).is_ok());
    assert!(render(&format!("{{{{ {}.Name{} }}}}", "(".repeat(100_000), ")".repeat(100_000))).unwrap_err().contains("64"));
    assert!(render(&format!("{{{{ .Name{} }}}}", " | lower".repeat(100_000))).unwrap_err().contains("64"));
    assert!(render(&format!("{{{{ .Labels{} }}}}", ".a".repeat(100_000))).unwrap_err().contains("64"));
    assert!(render(&"{{ if .Name }}".repeat(100_000)).unwrap_err().contains("64"));
}

mod any_text {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_refused_or_rendered(parts in proptest::collection::vec(prop_oneof![
            Just("{{"), Just("}}"), Just(" "), Just("-"), Just("if"), Just("else"), Just("end"), Just(".Name"), Just("."), Just("("), Just(")"),
            Just("|"), Just("index"), Just(".Labels"), Just("\"zone\""), Just("`"), Just("\""), Just("split"), Just("é"), Just("1"), Just("/*"),
        ], 0..20)) {
            let _ = render(&parts.concat());
        }
    }
}
