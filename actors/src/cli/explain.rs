//! `fairlead explain METHOD URL`: where a request would go, and why not elsewhere.

use super::{Exit, Outcome, load};
use fairlead_actors::entry_point;
use fairlead_core::{
    config::resolve,
    explain,
    http::{Host, Request, Scheme, VecFields, path, target},
    snapshot::{EntryPointSpec, Snapshot},
};
use std::{net::IpAddr, process::ExitCode};

/// What was asked.
struct Question {
    method: String,
    scheme: Scheme,
    authority: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    entry_point: Option<String>,
    client: IpAddr,
    /// Ask a running gateway instead of reading the configuration.
    url: Option<String>,
}

/// Prints the explanation; the exit code is 1 when no router takes the request.
///
/// # Errors
/// The question or the configuration is unusable.
pub fn explain(arguments: &[String]) -> Outcome {
    let (question, flags) = Question::parse(arguments)?;
    if let Some(admin) = &question.url {
        return ask_gateway(admin, &question);
    }
    let (config, _) = load::load(&flags)?;
    let (raws, _) = super::runtime()?.block_on(load::ask_providers(&config, &[]))?;
    let (dynamic, _) = resolve(&raws, &config, None);
    let specs: Vec<_> = config.entry_points.keys().map(|name| EntryPointSpec { name: name.clone() }).collect();
    let snapshot = Snapshot::build(1, &dynamic, &specs);
    let (host, port) =
        Host::parse(question.authority.as_bytes()).map_err(|e| Exit::usage(format!("{}: {e}", question.authority)))?;
    let names = match &question.entry_point {
        Some(name) => std::slice::from_ref(name),
        None => &config.default_entry_points,
    };
    let mut found = false;
    for name in names {
        let id = snapshot.entry_point(name).ok_or_else(|| {
            let known: Vec<_> = config.entry_points.keys().map(String::as_str).collect();
            Exit::usage(format!("--entryPoint={name}: no such entry point; there are {}", known.join(", ")))
        })?;
        let http = &config.entry_points[name].http;
        let split = target::split(&question.method, &question.target, question.scheme, entry_point::semicolons(http))
            .map_err(|e| Exit::usage(format!("{}: {e}", question.target)))?;
        let path = path::canonicalize(split.path, entry_point::path_policy(http))
            .map_err(|e| Exit::usage(format!("{}: {e}: entry point {name} answers 400", split.path)))?;
        let request = Request {
            method: &question.method,
            scheme: question.scheme,
            host: &host,
            port,
            path,
            query: split.query,
            client: question.client,
            fields: VecFields(question.headers.clone()),
        };
        if let Some(explanation) = explain::explain(&snapshot, id, question.scheme == Scheme::Https, &request) {
            found |= explanation.winner.is_some() || explanation.connection.is_some();
            println!("{explanation}");
        }
    }
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Question {
    fn parse(arguments: &[String]) -> Result<(Self, Vec<String>), Exit> {
        let (mut words, mut headers, mut flags) = (Vec::new(), Vec::new(), Vec::new());
        let (mut entry_point, mut client, mut url) = (None, IpAddr::from([192, 0, 2, 1]), None);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, value) = argument.split_once('=').map_or((argument.as_str(), None), |(name, value)| (name, Some(value)));
            let mut value = || value.map(str::to_owned).or_else(|| rest.next().cloned()).unwrap_or_default();
            match name {
                "-H" | "--header" => {
                    let line = value();
                    let (name, value) =
                        line.split_once(':').ok_or_else(|| Exit::usage(format!("-H '{line}': expected 'Name: value'")))?;
                    headers.push((name.trim().to_owned(), value.trim().as_bytes().to_vec()));
                }
                "--entryPoint" => entry_point = Some(value()),
                "--client" => {
                    let text = value();
                    client = text.parse().map_err(|_| Exit::usage(format!("--client={text}: expected an address")))?;
                }
                "--url" => url = Some(value()),
                "--configFile" | "--configfile" => flags.push(format!("{name}={}", value())),
                _ if argument.starts_with('-') => flags.push(argument.clone()),
                _ => words.push(argument.clone()),
            }
        }
        let [method, place] = &words[..] else {
            return Err(Exit::usage(
                "expected: fairlead explain METHOD URL [-H 'Name: value']…, as in: explain GET http://example.com/api",
            ));
        };
        let (scheme, after) = match place.split_once("://") {
            Some(("http", after)) => (Scheme::Http, after),
            Some(("https", after)) => (Scheme::Https, after),
            _ => return Err(Exit::usage(format!("{place}: expected a URL that begins with http:// or https://"))),
        };
        let (authority, target) = after.find('/').map_or((after, "/"), |at| after.split_at(at));
        let question = Self {
            method: method.to_ascii_uppercase(),
            scheme,
            authority: authority.to_owned(),
            target: target.to_owned(),
            headers,
            entry_point,
            client,
            url,
        };
        Ok((question, flags))
    }
}

/// Asks the administration API of a running gateway.
fn ask_gateway(admin: &str, question: &Question) -> Outcome {
    let url = format!("{}://{}{}", question.scheme.as_str(), question.authority, question.target);
    let mut query = format!("method={}&url={}", escape(&question.method), escape(&url));
    for (name, value) in &question.headers {
        query.push_str(&format!("&header={}", escape(&format!("{name}: {}", String::from_utf8_lossy(value)))));
    }
    if let Some(name) = &question.entry_point {
        query.push_str(&format!("&entryPoint={}", escape(name)));
    }
    let answered = super::runtime()?.block_on(super::health_check::get(admin, &format!("/api/fairlead/explain?{query}")));
    let (status, body) = answered.map_err(|why| Exit::failed(format!("{admin}: {why}")))?;
    println!("{body}");
    Ok(if status == 200 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
