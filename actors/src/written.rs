//! The static configuration as it is written: a file, the environment and flags, in rising order.
//!
//! Owns where the parts are found and the order in which they count; used by every command of the binary and by rehearsals, which
//! keep what was written and resolve it again later. Deliberately absent: what keys mean (`core`), and what a command does when they
//! mean nothing.

use fairlead_core::{
    config::{
        Rejection, StaticConfig, Style, Tree, env,
        file::{self, Format},
        flags, resolve_static,
    },
    discovery::kontena,
};
use std::{fmt, path::PathBuf};

/// Files that are looked for when none is named, as Traefik does.
const PLACES: [&str; 2] = ["/etc/fairlead/fairlead", "/etc/traefik/traefik"];
/// A static configuration larger than this is a mistake.
const MAX_FILE: usize = 1 << 20;

/// All that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Name and text of the configuration file.
    pub file: Option<(String, String)>,
    /// Variables of the environment.
    pub variables: Vec<(String, String)>,
    /// Flags, without `--configFile`.
    pub flags: Vec<String>,
}

/// Why it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Something beside what the configuration says: a file that is not there, an argument without its value.
    Other(String),
    /// Units that are wrong, each with its source and remedy.
    Rejected(Vec<Rejection>),
}

impl Written {
    /// Finds the file that the arguments or the usual places name, and takes up this process's environment.
    ///
    /// # Errors
    /// The file cannot be read, or an argument lacks its value.
    pub fn gather(arguments: &[String]) -> Result<Self, Unusable> {
        let (path, flags) = config_file(arguments)?;
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        let file = match path {
            None => None,
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| Unusable::Other(format!("{name}: {e}; does the file exist, and may this user read it?")))?;
                Some((name, text))
            }
        };
        Ok(Self { file, variables, flags })
    }

    /// What it comes to; warnings come with it.
    ///
    /// # Errors
    /// Whatever is wrong, each with its source and remedy.
    pub fn resolve(&self) -> Result<(StaticConfig, Vec<Rejection>), Unusable> {
        let variables = || self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let (environment, mut warnings) = env::tree(variables());
        let flags = flags::tree(&self.flags).map_err(Unusable::Rejected)?;
        let given = self.file_tree()?.overlaid(environment).overlaid(flags);
        let tree = match kontena::profile(variables(), &given) {
            Some((profile, more)) => {
                warnings.extend(more);
                profile.overlaid(given)
            }
            None => given,
        };
        let (config, more) = resolve_static(&tree).map_err(Unusable::Rejected)?;
        warnings.extend(more);
        Ok((config, warnings))
    }

    /// The file alone.
    ///
    /// # Errors
    /// It is neither YAML nor TOML.
    pub fn file_tree(&self) -> Result<Tree, Unusable> {
        let Some((name, text)) = &self.file else { return Ok(Tree::empty("no configuration file", Style::File)) };
        if text.trim().is_empty() {
            return Ok(Tree::empty(name, Style::File));
        }
        let format = Format::of_name(name).ok_or_else(|| {
            Unusable::Other(format!("{name}: expected a name that ends in .yml, .yaml or .toml; rename the file"))
        })?;
        file::parse(text, format, name, MAX_FILE).map_err(|rejection| Unusable::Rejected(vec![rejection]))
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(line) => f.write_str(line),
            Self::Rejected(rejections) => {
                let lines: Vec<_> = rejections.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

/// Takes `--configFile` out of the arguments.
fn config_file(arguments: &[String]) -> Result<(Option<PathBuf>, Vec<String>), Unusable> {
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
        let missing = || Unusable::Other("--configFile needs the path of a YAML or TOML file".to_owned());
        path = Some(PathBuf::from(value.ok_or_else(missing)?));
    }
    if path.is_none() {
        let candidates =
            PLACES.iter().flat_map(|place| ["yml", "yaml", "toml"].map(|end| PathBuf::from(format!("{place}.{end}"))));
        path = candidates.into_iter().find(|candidate| candidate.is_file());
    }
    Ok((path, rest))
}
