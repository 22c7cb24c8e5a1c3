//! `custom_settings` of a service: lines of an HAProxy backend, and what each comes to here.
//!
//! Every line is read by itself. One that has an equivalent takes effect; one without is named in a [`Note`]. Where such a line kept
//! requests out, the note is a guard's: serving without it would let everybody in.
//!
//! Deliberately absent: where a setting goes (`service`), and conditions that HAProxy evaluates at run time.

mod condition;
mod edits;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use edits::Edits;
pub(super) use words::{span, words, written};

use crate::config::dynamic::IpRange;
use condition::{Condition, Lists};
use std::time::Duration;

/// What the lines of a backend ask for.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) balance: Option<String>,
    /// What follows the word `cookie`.
    pub(super) cookie: Option<Vec<String>>,
    pub(super) check: Check,
    /// `timeout connect`.
    pub(super) connect: Option<Duration>,
    /// `timeout server`: until the response head.
    pub(super) response: Option<Duration>,
    pub(super) request_fields: Edits,
    pub(super) response_fields: Edits,
    pub(super) redirects: Vec<Redirect>,
    /// Each must hold the client's address.
    pub(super) allowed: Vec<Vec<IpRange>>,
    pub(super) notes: Vec<Note>,
}

/// What is asked of servers.
#[derive(Debug, Default)]
pub(super) struct Check {
    pub(super) path: Option<String>,
    pub(super) method: Option<String>,
    pub(super) host: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) timeout: Option<Duration>,
    pub(super) interval: Option<Duration>,
    pub(super) fall: Option<u32>,
    pub(super) rise: Option<u32>,
}

/// Sends the client elsewhere.
#[derive(Debug, PartialEq)]
pub(super) enum Redirect {
    Https { permanent: bool },
    Url { regex: String, replacement: String, permanent: bool },
}

/// What is to be said of one line.
#[derive(Debug, PartialEq)]
pub(super) struct Note {
    /// From 1.
    pub(super) line: usize,
    pub(super) text: String,
    /// It kept requests out.
    pub(super) guard: bool,
    pub(super) message: String,
    pub(super) remedy: String,
}

/// Why a line has no effect.
struct Refusal {
    message: String,
    remedy: &'static str,
}

const REMOVE: &str = "remove the line; the rest of the service is served";
const LITERAL: &str = "write the value without `%[…]`, or have the server set the field";
const CONDITION: &str =
    "write the line without a condition, or with one on `{ ssl_fc }`, `hdr(host)` or `path_beg` where it redirects";

/// Lines whose effect Fairlead always has, or that change nothing that a client or a server sees.
const NEEDLESS: &[&[&str]] = &[
    &["option", "forwardfor"],
    &["option", "http-keep-alive"],
    &["option", "http-server-close"],
    &["option", "redispatch"],
    &["option", "httplog"],
    &["option", "dontlognull"],
    &["option", "dontlog-normal"],
    &["option", "splice-auto"],
    &["option", "log-health-checks"],
    &["retries"],
    &["log", "global"],
    &["mode", "http"],
    &["description"],
    &["timeout", "queue"],
    &["timeout", "tunnel"],
];

/// Beginnings of lines that keep requests or responses back.
const GUARDS: &[&[&str]] = &[
    &["http-request", "deny"],
    &["http-request", "reject"],
    &["http-request", "tarpit"],
    &["http-request", "silent-drop"],
    &["http-request", "auth"],
    &["http-request", "allow"],
    &["http-response", "deny"],
    &["tcp-request"],
    &["tcp-response"],
    &["block"],
    &["reqdeny"],
    &["reqideny"],
    &["reqallow"],
    &["reqiallow"],
    &["reqtarpit"],
    &["reqitarpit"],
    &["rspdeny"],
    &["rspideny"],
];

impl Settings {
    /// Reads every line.
    pub(super) fn read(text: &str) -> Self {
        let mut settings = Self::default();
        let mut lists = Lists::default();
        for (line, text) in (1..).zip(text.lines()) {
            let (words, refused) = match words(text) {
                Ok(words) => {
                    let refused = settings.line(&words, &mut lists).err();
                    (words, refused)
                }
                Err(why) => (
                    text.split_whitespace().map(str::to_owned).collect(),
                    Some(Refusal { message: why.to_owned(), remedy: "close it" }),
                ),
            };
            if let Some(Refusal { message, remedy }) = refused {
                let guard = GUARDS.iter().any(|guard| begins(&words, guard));
                let note = Note { line, text: text.trim().to_owned(), guard, message, remedy: remedy.to_owned() };
                settings.notes.push(note);
            }
        }
        settings
    }

    fn line(&mut self, words: &[String], lists: &mut Lists) -> Result<(), Refusal> {
        if words.is_empty() || NEEDLESS.iter().any(|needless| begins(words, needless)) {
            return Ok(());
        }
        let (head, rest) = (words[0].to_ascii_lowercase(), &words[1..]);
        match (head.as_str(), rest) {
            ("acl", rest) => lists.declare(rest),
            ("balance", [how, ..]) => self.balance = Some(how.clone()),
            ("cookie", rest) if !rest.is_empty() => self.cookie = Some(rest.to_vec()),
            ("timeout", [what, value]) => self.timeout(what, value)?,
            ("option", [option, rest @ ..]) if option == "httpchk" => self.check.request(rest)?,
            ("http-check", [word, kind, value]) if word == "expect" && kind == "status" => {
                self.check.status = Some(value.parse().map_err(|_| unknown("expected a status"))?);
            }
            ("default-server", rest) => self.check.timing(rest)?,
            ("redirect", rest) => self.redirect(rest, lists)?,
            ("http-request", [word, rest @ ..]) if word == "redirect" => self.redirect(rest, lists)?,
            ("http-request", [word, rest @ ..]) if word == "deny" => self.deny(rest, lists)?,
            ("block", rest) => self.deny(rest, lists)?,
            ("http-request", [action, rest @ ..]) => {
                if !is_forwarding(action, rest) {
                    fields(&mut self.request_fields, action, rest, lists)?;
                }
            }
            ("http-response", [action, rest @ ..]) => fields(&mut self.response_fields, action, rest, lists)?,
            ("reqadd", rest) if is_old_forwarding(rest) => {}
            ("reqadd", rest) => added(&mut self.request_fields, rest)?,
            ("rspadd", rest) => added(&mut self.response_fields, rest)?,
            ("reqdel" | "reqidel", rest) => deleted(&mut self.request_fields, rest)?,
            ("rspdel" | "rspidel", rest) => deleted(&mut self.response_fields, rest)?,
            _ => return Err(unknown("it has no equivalent here")),
        }
        Ok(())
    }

    fn timeout(&mut self, what: &str, value: &str) -> Result<(), Refusal> {
        let span = span(value).filter(|span| !span.is_zero());
        let span = span.ok_or_else(|| unknown("expected a span of time such as 30s, 500ms or 5000 (milliseconds)"))?;
        match what {
            "server" => self.response = Some(span),
            "connect" => self.connect = Some(span),
            "check" => self.check.timeout = Some(span),
            _ => return Err(unknown("this limit belongs to an entry point, not to a service")),
        }
        Ok(())
    }

    /// `scheme|location|prefix VALUE [code N] [condition]`
    fn redirect(&mut self, words: &[String], lists: &Lists) -> Result<(), Refusal> {
        let at = words.iter().position(|word| word == "if" || word == "unless").unwrap_or(words.len());
        let (options, condition) = words.split_at(at);
        let condition = conditional(lists, condition)?;
        let (mut target, mut permanent) = (None, false);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let value = || unknown("a value is missing");
            match option.as_str() {
                "scheme" | "location" | "prefix" => target = Some((option.as_str(), options.next().ok_or_else(value)?)),
                "code" => match options.next().ok_or_else(value)?.as_str() {
                    "301" | "308" => permanent = true,
                    "302" | "303" | "307" => permanent = false,
                    _ => return Err(unknown("expected the code 301, 302, 303, 307 or 308")),
                },
                _ => return Err(unknown(&format!("`{}` has no equivalent in a redirection", option.escape_debug()))),
            }
        }
        let (kind, value) = target.ok_or_else(|| unknown("expected scheme, location or prefix"))?;
        if value.contains("%[") || value.is_empty() {
            return Err(Refusal {
                message: "the target is computed for each request".to_owned(),
                remedy: "write a fixed target",
            });
        }
        self.redirects.push(redirection(kind, value, permanent, &condition)?);
        Ok(())
    }

    /// What keeps everybody out but the clients of some ranges is a list of those who are let in.
    fn deny(&mut self, words: &[String], lists: &Lists) -> Result<(), Refusal> {
        let at = words.iter().position(|word| word == "if" || word == "unless").unwrap_or(words.len());
        let condition = conditional(lists, &words[at..])?;
        match condition {
            Condition { ssl: None, host: None, path: None, source: Some((false, ranges)) } => {
                self.allowed.push(ranges);
                Ok(())
            }
            _ => Err(Refusal {
                message: "it keeps requests out in a way that has no equivalent here".to_owned(),
                remedy: "state who is let in: `acl inside src 10.0.0.0/8` and `http-request deny if !inside`",
            }),
        }
    }
}

impl Check {
    /// `[METHOD] URI [VERSION[\r\nHost: name]]`
    fn request(&mut self, words: &[String]) -> Result<(), Refusal> {
        let (method, path, version) = match words {
            [] => ("OPTIONS", "/", ""),
            [path] => ("OPTIONS", path.as_str(), ""),
            [method, path] => (method.as_str(), path.as_str(), ""),
            [method, path, version] => (method.as_str(), path.as_str(), version.as_str()),
            _ => return Err(unknown("expected a method, a path and a version")),
        };
        let mut lines = version.split("\r\n");
        let version = lines.next().unwrap_or_default();
        let mut host = None;
        for line in lines.filter(|line| !line.is_empty()) {
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("host") => host = Some(value.trim().to_owned()),
                Some((name, _)) if name.eq_ignore_ascii_case("connection") => {}
                _ => return Err(unknown("of the fields of a check, only `Host` has an equivalent")),
            }
        }
        if !path.starts_with('/') || !(version.is_empty() || version.starts_with("HTTP/1.")) {
            return Err(unknown("expected a method, a path and a version"));
        }
        (self.method, self.path, self.host) = (Some(method.to_ascii_uppercase()), Some(path.to_owned()), host);
        Ok(())
    }

    /// `inter 2s fall 3 rise 2`
    fn timing(&mut self, words: &[String]) -> Result<(), Refusal> {
        let expected = || unknown("of the settings of servers, `inter`, `fall`, `rise` and `check` have an equivalent");
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "check" {
                continue;
            }
            let value = words.next().ok_or_else(expected)?;
            let count = || value.parse().ok().filter(|count| *count > 0).ok_or_else(expected);
            match word.as_str() {
                "inter" => self.interval = Some(span(value).filter(|span| !span.is_zero()).ok_or_else(expected)?),
                "fall" => self.fall = Some(count()?),
                "rise" => self.rise = Some(count()?),
                _ => return Err(expected()),
            }
        }
        Ok(())
    }
}

fn unknown(message: &str) -> Refusal {
    Refusal { message: message.to_owned(), remedy: REMOVE }
}

fn conditional(lists: &Lists, words: &[String]) -> Result<Condition, Refusal> {
    lists.condition(words).map_err(|message| Refusal { message, remedy: CONDITION })
}

fn begins(words: &[String], beginning: &[&str]) -> bool {
    words.len() >= beginning.len() && words.iter().zip(beginning).all(|(word, other)| word.eq_ignore_ascii_case(other))
}

/// The URL is what a redirection is decided by: `scheme://host[:port]path[?query]`.
fn redirection(kind: &str, value: &str, permanent: bool, condition: &Condition) -> Result<Redirect, Refusal> {
    if condition.source.is_some() {
        return Err(Refusal { message: "the condition has no equivalent".to_owned(), remedy: CONDITION });
    }
    if kind == "scheme" && value == "https" && condition.is_about_ssl_only() && condition.ssl != Some(true) {
        return Ok(Redirect::Https { permanent });
    }
    let scheme = match condition.ssl {
        None => "https?",
        Some(true) => "https",
        Some(false) => "http",
    };
    let any = |parts: &Option<Vec<String>>, otherwise: &str| match parts {
        Some(parts) => parts.iter().map(|part| format!("(?:{part})")).collect::<Vec<_>>().join("|"),
        None => otherwise.to_owned(),
    };
    let host = any(&condition.host, r"[^/:\[\]]+|\[[^/\[\]]*\]");
    let path = any(&condition.path, r"/[^?]*");
    let regex = format!(r"^(?i:{scheme}://({host}))(?::[0-9]+)?((?:{path})(?:\?.*)?)$");
    if regex::Regex::new(&regex).is_err() {
        return Err(unknown("the access list holds an expression that is not understood"));
    }
    let fixed = value.replace('$', "$$");
    let replacement = match kind {
        "location" => fixed,
        "prefix" => format!("{}${{2}}", fixed.trim_end_matches('/')),
        _ => format!("{fixed}://${{1}}${{2}}"),
    };
    Ok(Redirect::Url { regex, replacement, permanent })
}

/// `set-header|add-header|del-header NAME VALUE [condition]`
fn fields(edits: &mut Edits, action: &str, words: &[String], lists: &Lists) -> Result<(), Refusal> {
    let (name, value, condition) = match (action, words) {
        ("set-header" | "add-header", [name, value, condition @ ..]) => (name, Some(value), condition),
        ("del-header", [name, condition @ ..]) => (name, None, condition),
        _ => return Err(unknown("it has no equivalent here")),
    };
    is_field_name(name)?;
    // Browsers take no notice of it where there is no TLS.
    let harmless = name.eq_ignore_ascii_case("strict-transport-security");
    match conditional(lists, condition)? {
        Condition { ssl: None | Some(true), host: None, path: None, source: None } if harmless => {}
        condition if condition == Condition::default() => {}
        _ => return Err(Refusal { message: "fields are edited always or never here".to_owned(), remedy: CONDITION }),
    }
    match value {
        None => edits.delete(name),
        Some(value) => {
            let value = literal(value)?;
            if action == "set-header" { edits.set(name, &value) } else { edits.add(name, &value) }
        }
    }
    Ok(())
}

/// A log format that holds no variable.
fn literal(format: &str) -> Result<String, Refusal> {
    let text = format.replace("%%", "\0");
    if text.contains('%') || format.contains('\0') {
        return Err(Refusal { message: "the value is computed for each request".to_owned(), remedy: LITERAL });
    }
    if text.is_empty() {
        return Err(unknown("the value is empty"));
    }
    Ok(text.replace('\0', "%"))
}

fn is_field_name(name: &str) -> Result<(), Refusal> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let framing = ["content-length", "transfer-encoding", "connection"].iter().any(|own| own.eq_ignore_ascii_case(name));
    if name.is_empty() || !name.bytes().all(token) {
        Err(unknown("expected the name of a field"))
    } else if framing {
        Err(unknown("the framing of messages is not to be edited"))
    } else {
        Ok(())
    }
}

/// Fields that every request has on its way to a server.
fn is_forwarding(action: &str, words: &[String]) -> bool {
    let (Some(name), Some(value)) = (words.first(), words.get(1)) else { return false };
    let rest: String = words[2..].concat();
    let (name, value) = (name.to_ascii_lowercase(), value.to_ascii_lowercase());
    let known = match name.as_str() {
        "x-forwarded-proto" => match value.as_str() {
            "https" => rest == "if{ssl_fc}",
            "http" => rest == "if!{ssl_fc}" || rest == "unless{ssl_fc}",
            _ => false,
        },
        "x-forwarded-port" => value == "%[dst_port]" || (value == "443" && rest == "if{ssl_fc}"),
        "x-forwarded-for" | "x-real-ip" => matches!(value.as_str(), "%[src]" | "%ci"),
        "x-forwarded-host" => matches!(value.as_str(), "%[req.hdr(host)]" | "%[hdr(host)]"),
        _ => false,
    };
    known && matches!(action, "set-header" | "add-header")
}

/// The same in `reqadd X-Forwarded-Proto:\ https [if { ssl_fc }]`.
fn is_old_forwarding(words: &[String]) -> bool {
    let Some((name, value)) = words.first().and_then(|field| field.split_once(':')) else { return false };
    let words: Vec<String> = [name.to_owned(), value.trim().to_owned()].into_iter().chain(words[1..].iter().cloned()).collect();
    is_forwarding("add-header", &words)
}

/// `reqadd|rspadd NAME:\ VALUE`
fn added(edits: &mut Edits, words: &[String]) -> Result<(), Refusal> {
    let [field] = words else {
        return Err(Refusal { message: "expected one field and no condition".to_owned(), remedy: CONDITION });
    };
    let (name, value) = field.split_once(':').ok_or_else(|| unknown("expected a field such as `X-Name:\\ value`"))?;
    is_field_name(name)?;
    if value.trim().is_empty() || value.contains(['\r', '\n']) {
        return Err(unknown("expected a value on one line"));
    }
    edits.add(name, value.trim());
    Ok(())
}

/// `reqdel|rspdel ^NAME:.*`
fn deleted(edits: &mut Edits, words: &[String]) -> Result<(), Refusal> {
    let name = match words {
        [pattern] => {
            pattern.strip_prefix('^').and_then(|rest| rest.split_once(':')).filter(|(_, rest)| matches!(*rest, "" | ".*"))
        }
        _ => None,
    };
    let (name, _) = name.ok_or_else(|| unknown("expected the name of a field, as in `^X-Name:`"))?;
    is_field_name(name)?;
    edits.delete(name);
    Ok(())
}
