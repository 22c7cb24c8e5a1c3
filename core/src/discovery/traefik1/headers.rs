//! `traefik.frontend.headers.*`: fields added, replaced and removed. The security family becomes the fields that it stands for.

use super::{Draft, Unit, labels::Label};
use crate::config::Severity;

/// Writes the middleware, and gives its name; `None` where nothing is edited.
pub(super) fn write(unit: &Unit<'_>, draft: &mut Draft) -> Option<String> {
    let name = format!("{}-headers", unit.middleware);
    let base = ["http", "middlewares", &name, "headers"];
    let mut written = false;
    for (property, key) in [
        ("frontend.headers.customrequestheaders", "customRequestHeaders"),
        ("frontend.headers.customresponseheaders", "customResponseHeaders"),
    ] {
        let Some(label) = unit.labels.get(property) else { continue };
        for pair in label.map() {
            match pair {
                // An empty value removes the field.
                Ok((field, value)) => draft.set(&[&base[..], &[key, field]].concat(), label.name, value),
                Err(text) => not_a_pair(label, text, draft),
            }
            written |= pair.is_ok();
        }
    }
    for (field, label, value) in security(unit, draft) {
        draft.set(&[&base[..], &["customResponseHeaders", field]].concat(), label, value);
        written = true;
    }
    written.then_some(name)
}

/// Says that a part of a map is none.
pub(super) fn not_a_pair(label: Label<'_>, text: &str, draft: &mut Draft) {
    let message = format!("expected `Field:value`, found `{}`, which is left out", text.escape_debug());
    draft.reject(Severity::Warning, label.name, message, "separate fields by ||, as in X-A:1||X-B:2");
}

/// Whether every request in the clear is redirected, and by which label; and whether for good.
pub(super) fn ssl_redirect<'a>(unit: &Unit<'a>) -> Option<(Label<'a>, bool)> {
    let label = unit.labels.get("frontend.headers.sslredirect").filter(Label::is_on)?;
    let temporary = unit.labels.get("frontend.headers.ssltemporaryredirect").is_some_and(|label| label.is_on());
    Some((label, !temporary))
}

/// Field, label and value of each.
fn security<'a>(unit: &Unit<'a>, draft: &mut Draft) -> Vec<(&'static str, &'a str, String)> {
    let label = |property: &str| unit.labels.get(&format!("frontend.headers.{property}"));
    let on = |property: &str| label(property).filter(Label::is_on);
    let mut fields = Vec::new();
    for (switch, custom, field, value) in [
        ("framedeny", "customframeoptionsvalue", "X-Frame-Options", "DENY"),
        ("browserxssfilter", "custombrowserxssvalue", "X-XSS-Protection", "1; mode=block"),
        ("contenttypenosniff", "", "X-Content-Type-Options", "nosniff"),
        ("", "contentsecuritypolicy", "Content-Security-Policy", ""),
        ("", "publickey", "Public-Key-Pins", ""),
        ("", "referrerpolicy", "Referrer-Policy", ""),
    ] {
        if let Some(custom) = label(custom) {
            fields.push((field, custom.name, custom.value.trim().to_owned()));
        } else if let Some(switch) = on(switch) {
            fields.push((field, switch.name, value.to_owned()));
        }
    }
    if let Some(seconds) = label("stsseconds") {
        match seconds.value.trim().parse::<u64>() {
            Ok(0) => {}
            Ok(number) => {
                let domains = on("stsincludesubdomains").map_or("", |_| "; includeSubDomains");
                let preload = on("stspreload").map_or("", |_| "; preload");
                fields.push(("Strict-Transport-Security", seconds.name, format!("max-age={number}{domains}{preload}")));
            }
            Err(_) => {
                let message = format!("expected seconds, found `{}`, and the field is left out", seconds.value.escape_debug());
                draft.reject(Severity::Warning, seconds.name, message, "write for instance 31536000");
            }
        }
    }
    fields
}
