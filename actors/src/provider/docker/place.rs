//! Where this gateway itself is: the container that it runs in, and what is mounted there.

use super::{
    api::Inspected,
    client::{Engine, Failure, escape},
};
use fairlead_core::discovery::Mounts;
use fairlead_net::{
    fs,
    time::{Duration, Instant, now},
};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a file below `/proc`.
const MAX_FILE: usize = 1 << 20;

/// Between two looks at the secrets.
const LOOK: Duration = Duration::from_secs(5);

/// Which container this is, as far as can be told from inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The id: whole, or its beginning.
    pub container: Option<String>,
    host_name: String,
}

impl Identity {
    /// Reads what the kernel tells: Docker mounts files from a folder that is named after the container, and gives the host
    /// the beginning of its id as name unless told otherwise.
    pub async fn read() -> Self {
        let text = |path: &'static str| async move {
            let bytes = fs::read(path, MAX_FILE).await.unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (mounts, host_name) = (text("/proc/self/mountinfo").await, text("/proc/sys/kernel/hostname").await);
        let host_name = host_name.trim().to_owned();
        let from_name = (host_name.len() == 12 && is_hexadecimal(&host_name)).then(|| host_name.clone());
        Self { container: container_of(&mounts).or(from_name), host_name }
    }

    /// The container's id, and the ids of its networks by name; `None`: the daemon knows none such.
    ///
    /// # Errors
    ///
    /// The daemon could not be asked.
    pub async fn inspect(&self, engine: &mut Engine) -> Result<Option<(String, BTreeMap<String, String>)>, Failure> {
        let asked = self.container.as_ref().unwrap_or(&self.host_name);
        if asked.is_empty() {
            return Ok(None);
        }
        let found: Option<Inspected> = engine.object(&format!("/containers/{}/json", escape(asked))).await?;
        // A container that happens to have the name of our host is not us.
        let is_us = |found: &Inspected| match &self.container {
            Some(id) => found.id.starts_with(id.as_str()),
            None => found.config.host_name == self.host_name,
        };
        Ok(found.filter(is_us).map(|found| {
            let networks = found.network_settings.networks.into_iter().map(|(name, network)| (name, network.id)).collect();
            (found.id, networks)
        }))
    }
}

/// `…/containers/<64 digits>/hostname …`
fn container_of(mounts: &str) -> Option<String> {
    let mut rest = mounts;
    while let Some((_, after)) = rest.split_once("/containers/") {
        if let Some(id) = after.get(..64)
            && is_hexadecimal(id)
            && after[64..].starts_with("/hostname")
        {
            return Some(id.to_owned());
        }
        rest = after;
    }
    None
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The secrets that are mounted.
pub struct Secrets {
    mounts: Mounts,
    looked: Option<Instant>,
}

impl Secrets {
    /// Below this directory.
    pub fn new(directory: &str) -> Self {
        Self { mounts: Mounts { names: BTreeSet::new(), directory: directory.to_owned() }, looked: None }
    }

    /// What is mounted as far as known.
    pub fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// Looks, unless that was done a moment ago, and tells whether something changed.
    pub async fn look(&mut self) -> bool {
        let at = now();
        if self.looked.is_some_and(|looked| at.saturating_duration_since(looked) < LOOK) {
            return false;
        }
        self.looked = Some(at);
        let names = match fs::read_dir(&self.mounts.directory).await {
            Ok(names) => names.into_iter().collect(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeSet::new(),
            // What cannot be read now was not unmounted.
            Err(_) => return false,
        };
        let changed = names != self.mounts.names;
        self.mounts.names = names;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_is_found_in_what_docker_mounts() {
        let id = "8a3a9ba0da3f76b864904a50fa66a56c7618ccee7ecd20abfc299094ac805e46";
        let mounts = format!(
            "1 2 0:3 / /proc rw - proc proc rw\n4 2 8:1 /var/lib/docker/containers/{id}/resolv.conf /etc/resolv.conf rw - ext4 x rw\n\
             5 2 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
        );
        assert_eq!(container_of(&mounts).as_deref(), Some(id));
        for text in ["", "/containers/", "/containers/8a3a/hostname", "/containers/é", "/var/lib/containers/storage/overlay"] {
            assert_eq!(container_of(text), None, "{text}");
        }
        // On a machine that runs containers, the mounts of others are seen without their `hostname`.
        assert_eq!(container_of(&format!("/var/lib/docker/containers/{id}/mounts/shm")), None);
    }
}
