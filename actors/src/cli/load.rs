//! The static configuration of this process: a file, the environment and flags, in rising order.

use super::Exit;
use fairlead_actors::provider::{self, EventKind};
use fairlead_core::{
    config::{
        RawDynamic, Rejection, StaticConfig, Style, Tree, env,
        file::{self, Format},
        flags, resolve_static,
    },
    discovery::kontena,
};
use fairlead_net::time::{self, Duration};
use std::{collections::BTreeMap, path::PathBuf};

/// Files that are looked for when none is named, as Traefik does.
const PLACES: [&str; 2] = ["/etc/fairlead/fairlead", "/etc/traefik/traefik"];
/// A static configuration larger than this is a mistake.
const MAX_FILE: usize = 1 << 20;

/// Reads and resolves everything; warnings come with it.
///
/// # Errors
/// Whatever is wrong, each with its source and remedy.
pub fn load(arguments: &[String]) -> Result<(StaticConfig, Vec<Rejection>), Exit> {
    let (path, arguments) = config_file(arguments)?;
    let variables: Vec<(String, String)> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let (environment, mut warnings) = env::tree(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let flags = flags::tree(&arguments).map_err(|rejections| Exit::unusable(&rejections))?;
    let file = match path {
        Some(path) => read(&path)?,
        None => Tree::empty("no configuration file", Style::File),
    };
    let given = file.overlaid(environment).overlaid(flags);
    let tree = match kontena::profile(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())), &given) {
        Some((profile, more)) => {
            warnings.extend(more);
            profile.overlaid(given)
        }
        None => given,
    };
    let (config, more) = resolve_static(&tree).map_err(|rejections| Exit::unusable(&rejections))?;
    warnings.extend(more);
    Ok((config, warnings))
}

/// Takes `--configFile` out of the arguments.
fn config_file(arguments: &[String]) -> Result<(Option<PathBuf>, Vec<String>), Exit> {
    let mut rest = Vec::new();
    let mut path = None;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = argument.split_once('=').map_or((argument.as_str(), None), |(name, value)| (name, Some(value)));
        if !name.trim_start_matches('-').eq_ignore_ascii_case("configFile") || !name.starts_with('-') {
            rest.push(argument.clone());
            continue;
        }
        let value = value.map(str::to_owned).or_else(|| arguments.next().cloned());
        path = Some(PathBuf::from(value.ok_or_else(|| Exit::usage("--configFile needs the path of a YAML or TOML file"))?));
    }
    if path.is_none() {
        let candidates =
            PLACES.iter().flat_map(|place| ["yml", "yaml", "toml"].map(|end| PathBuf::from(format!("{place}.{end}"))));
        path = candidates.into_iter().find(|candidate| candidate.is_file());
    }
    Ok((path, rest))
}

fn read(path: &std::path::Path) -> Result<Tree, Exit> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Exit::usage(format!("{name}: {e}; does the file exist, and may this user read it?")))?;
    if text.trim().is_empty() {
        return Ok(Tree::empty(&name, Style::File));
    }
    let format = Format::of_name(&name)
        .ok_or_else(|| Exit::usage(format!("{name}: expected a name that ends in .yml, .yaml or .toml; rename the file")))?;
    file::parse(&text, format, &name, MAX_FILE).map_err(|rejection| Exit::unusable(&[rejection]))
}

/// How long a provider may take to say what there is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks each provider of these names once; all, if none is named.
///
/// # Errors
/// A provider that does not answer, with what it last said.
pub async fn ask_providers(
    config: &StaticConfig,
    only: &[String],
) -> Result<(BTreeMap<String, RawDynamic>, Vec<Rejection>), Exit> {
    let (mut raws, mut rejections) = (BTreeMap::new(), Vec::new());
    let asked = |name: &String| only.is_empty() || only.contains(name);
    for (name, make) in fairlead_actors::compose::providers(config).into_iter().filter(|(name, _)| asked(name)) {
        let mut provider = make();
        let (sender, mut heard) = provider::channel();
        let mut last = "it did not answer".to_owned();
        let listening = async {
            loop {
                let kind = tokio::select! {
                    biased;
                    kind = heard.recv() => kind,
                    ended = provider.run(&sender) => {
                        last = ended.message;
                        time::sleep(Duration::from_millis(500)).await;
                        continue;
                    }
                };
                match kind {
                    EventKind::Configuration { raw, rejections, .. } => return (raw, rejections),
                    EventKind::Failing { message, .. } => last = message,
                    EventKind::Healthy => {}
                }
            }
        };
        let answered = time::timeout(PATIENCE, listening).await;
        let (raw, refused) = answered.map_err(|_| Exit::failed(format!("provider {name}: {last}")))?;
        rejections.extend(refused);
        raws.insert(name, raw);
    }
    Ok((raws, rejections))
}
