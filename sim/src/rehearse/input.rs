//! What the operator gives: read from disk once, before any simulation, into [`Texts`].
//!
//! Owns what of it is left out of plans: password hashes give way to one whose password the world's clients know, and of
//! certificates only the names are kept. A wrong static configuration ends here, with the product's own words.

use super::plan::Texts;
use anyhow::{Context as _, bail};
use fairlead_actors::{provider::file, written::Written};
use fairlead_core::config::{
    Config, RawDynamic, Rejection, StaticConfig, Tree,
    dynamic::{MiddlewareKind, Tls},
    file::{Format, parse},
    resolve,
    static_::FilePath,
};
use fairlead_net::tls::{self, Pem, UnixTime};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

/// The password of every user in the world.
pub const PASSWORD: &str = "rehearsal";
/// Its hash.
const HASH: &str = "$apr1$fairlead$HvkunS6bZZBI2Y3XckMCE.";
const MAX_FILE: u64 = 16 << 20;

/// Reads everything that `arguments` (the product's own) and `--dynamic` name.
///
/// # Errors
/// It cannot be used; the message is for the operator.
pub fn read(arguments: &[String], dynamic: Option<&Path>) -> anyhow::Result<Texts> {
    let said = |unusable: fairlead_actors::written::Unusable| anyhow::anyhow!("{unusable}");
    let mut written = Written::gather(arguments).map_err(said)?;
    // What cannot matter stays out of the plan.
    written.variables.retain(|(name, _)| {
        [
            "FAIRLEAD_",
            "TRAEFIK_",
            "KONTENA_",
            "SSL_CERT",
            "ETCD_NODE",
            "STATS_PASSWORD",
            "SYSLOG_TARGET",
            "BACKENDS",
            "ACME_CHALLENGE_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
            && !matches!(name.as_str(), "FAIRLEAD_LOG")
    });
    let (config, _) = written.resolve().map_err(said)?;
    let mut texts = Texts { file: written.file, variables: written.variables, flags: written.flags, ..Texts::default() };
    place(&mut texts, &config, dynamic)?;
    load(&mut texts)?;
    let (good, bad) = trees(&texts);
    if let (true, Some(first)) = (good.is_empty(), bad.first()) {
        bail!("{first}");
    }
    let (resolved, _) = resolved(&texts, &config);
    hide_passwords(&mut texts, &resolved);
    read_certificates(&mut texts, &resolved.tls);
    Ok(texts)
}

/// Where the dynamic configuration comes from, and what that takes the place of.
fn place(texts: &mut Texts, config: &StaticConfig, dynamic: Option<&Path>) -> anyhow::Result<()> {
    let providers = &config.providers;
    let others: Vec<&str> = [
        ("etcd", providers.etcd.is_some()),
        ("swarm", providers.swarm.is_some()),
        ("docker", providers.docker.is_some()),
        ("rancher", providers.rancher.is_some()),
        ("kontena", providers.kontena.is_some()),
    ]
    .iter()
    .filter(|(_, there)| *there)
    .map(|(name, _)| *name)
    .collect();
    match (dynamic, &providers.file) {
        (Some(path), file) => {
            texts.place = path.display().to_string();
            texts.directory = path.is_dir();
            let replaced: Vec<_> = others.iter().copied().chain(file.iter().map(|_| "file")).collect();
            if !replaced.is_empty() {
                texts.replaced.push(format!(
                    "provider {}: what {} says takes its place, and names end in @file",
                    replaced.join(", "),
                    texts.place
                ));
            }
        }
        (None, Some(file)) => {
            (texts.place, texts.directory) = match &file.path {
                FilePath::File(path) => (path.clone(), false),
                FilePath::Directory(path) => (path.clone(), true),
            };
            if !others.is_empty() {
                texts.replaced.push(format!("provider {}: left out; only provider file is rehearsed", others.join(", ")));
            }
        }
        (None, None) => {
            let what = if others.is_empty() {
                "no provider is configured".into()
            } else {
                format!("provider {} cannot be asked here", others.join(", "))
            };
            bail!("{what}: give the dynamic configuration as a file or a directory, --dynamic PATH");
        }
    }
    Ok(())
}

fn load(texts: &mut Texts) -> anyhow::Result<()> {
    let mut open = vec![(Path::new(&texts.place).to_owned(), 0)];
    while let Some((path, depth)) = open.pop() {
        let named = Format::of_name(&path.to_string_lossy()).is_some();
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).with_context(|| format!("{}: cannot be listed", path.display()))?;
            for entry in entries {
                let entry = entry.with_context(|| format!("{}: cannot be listed", path.display()))?;
                if depth < 16 && !entry.file_name().to_string_lossy().starts_with('.') {
                    open.push((entry.path(), depth + 1));
                }
            }
        } else if named {
            let size = std::fs::metadata(&path).with_context(|| format!("{}: cannot be read", path.display()))?.len();
            if size > MAX_FILE {
                bail!("{}: has {size} bytes, and at most {MAX_FILE} are read", path.display());
            }
            let text = std::fs::read_to_string(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
            texts.dynamic.insert(path.to_string_lossy().into_owned(), text);
        } else if !texts.directory {
            bail!("{}: expected a file that ends in .yml, .yaml or .toml, or a directory of such", path.display());
        }
    }
    if texts.dynamic.is_empty() {
        bail!("{}: there is no .yml, .yaml or .toml file in it", texts.place);
    }
    Ok(())
}

/// The trees of all files that can be parsed, and what is wrong with the others.
pub fn trees(texts: &Texts) -> (Vec<Arc<Tree>>, Vec<Rejection>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (path, text) in &texts.dynamic {
        match parse(text, Format::of_name(path).unwrap_or(Format::Yaml), path, MAX_FILE as usize) {
            Ok(tree) => good.push(Arc::new(tree)),
            Err(rejection) => bad.push(rejection),
        }
    }
    (good, bad)
}

/// The dynamic configuration as the gateway is going to resolve it, with all that it refuses.
pub fn resolved(texts: &Texts, config: &StaticConfig) -> (Config, Vec<Rejection>) {
    let (good, mut rejections) = trees(texts);
    let (raw, more) = match good.is_empty() {
        true => (RawDynamic::default(), Vec::new()),
        false => file::assemble(&texts.place, !texts.directory, good),
    };
    rejections.extend(more);
    let (resolved, more) = resolve(&BTreeMap::from([("file".to_owned(), raw)]), config, None);
    rejections.extend(more);
    (resolved, rejections)
}

fn hide_passwords(texts: &mut Texts, resolved: &Config) {
    let mut hashes = BTreeSet::new();
    for middleware in resolved.middlewares.values() {
        if let MiddlewareKind::BasicAuth(auth) = &middleware.kind {
            hashes.extend(auth.users.values().cloned());
        }
    }
    for hash in hashes.iter().filter(|hash| !hash.is_empty()) {
        for text in texts.dynamic.values_mut() {
            *text = text.replace(hash.as_str(), HASH);
        }
    }
    if !hashes.is_empty() {
        texts.replaced.push(format!("passwords of basicAuth: every user's is \"{PASSWORD}\" in the world"));
    }
}

#[expect(clippy::disallowed_methods, reason = "files are judged by the real clock, before any simulation")]
fn read_certificates(texts: &mut Texts, tls: &Tls) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    for wanted in tls.certificates.iter().chain(&tls.default_certificate) {
        let read = |text: &str| -> std::io::Result<Pem> {
            if text.contains("-----BEGIN") {
                return Ok(Pem::new("inline PEM", text));
            }
            std::fs::read(text).map(|bytes| Pem::new(text, bytes))
        };
        let name = if wanted.cert.contains("-----BEGIN") { wanted.source.clone() } else { wanted.cert.clone() };
        let (chain, key) = match (read(&wanted.cert), read(&wanted.key)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (Err(e), _) | (_, Err(e)) => {
                texts.replaced.push(format!("certificate {name}: cannot be read here ({e}), so one is made up"));
                continue;
            }
        };
        match tls::Certificate::from_pem(&chain, &key, UnixTime::since_unix_epoch(now)).map_err(|e| e.to_string()) {
            Ok(certificate) => {
                texts.certificates.insert(name, certificate.names().to_vec());
            }
            Err(why) => texts.unreadable.push((name, why)),
        }
    }
}
