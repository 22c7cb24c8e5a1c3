//! One host whose TLS ends at the services behind it: a router of connections, by the server name of the client's hello.
//!
//! Requests for the host are nobody's: there is no plain side, as Interlock has none.

use super::{Asked, HostName, host};
use crate::discovery::{Claim, Draft, Reading};
use std::sync::Arc;

/// What `members`, oldest first, make of connections for `name`. `read`: who has requests for it read.
pub fn compose(name: &HostName, members: &[&Arc<Asked>], read: &[&Arc<Asked>]) -> Option<Claim> {
    let mut group: Vec<&Asked> = Vec::new();
    members.iter().for_each(|member| host::add(&mut group, member));
    let eldest = *group.first()?;
    let label = &eldest.ask.label;
    let mut draft = Draft::new(&eldest.title);
    let service = host::shared(&mut draft, &format!("lb.{name}"), &group);
    let router = format!("lb-sni.{name}");
    let mut set = |below: &[&str], value: &str| {
        draft.set(&[&["tcp", "routers", &router][..], below].concat(), label, value);
    };
    set(&["rule"], &rule(name));
    set(&["ruleSyntax"], "v3");
    set(&["priority"], &host::priority(name, "").to_string());
    set(&["service"], &service);
    set(&["tls", "passthrough"], "true");
    let mut reading: Reading = draft.finish().into();
    if let Some(other) = read.iter().find(|other| other.owner != eldest.owner) {
        let message = format!(
            "`{name}` is asked for by {} too, without it: where that one is served over TLS, it has the host",
            other.title
        );
        let remedy = "give the two different hosts";
        reading.rejections.push(host::warning(eldest, "ssl_passthrough", message, remedy));
    }
    Some(Claim { owner: eldest.owner.clone(), reading: Arc::new(reading) })
}

fn rule(name: &HostName) -> String {
    match name {
        HostName::Exact(host) => format!("HostSNI(`{host}`)"),
        HostName::Below(suffix) => format!("HostSNIRegexp(`^.+{}$`)", regex::escape(suffix)),
        HostName::Any => "HostSNI(`*`)".to_owned(),
    }
}
