//! The judge of certificates (O12): which one may answer to a name at a time. Pure.
//!
//! Model: for each pair of files, the certificates that a gateway may have loaded from it. One that stands there whole, can be read,
//! and has not run out by the gateway's own clock joins them at once; when it has stood so for [`USUAL`], it is the only one. Whatever
//! else is done to the files changes nothing: the last good one stays.
//!
//! Leniency, all of it: certificates and clocks count whole seconds, so one second at either end of a validity is nobody's fault. After
//! the gateway's clock was set or its disk failed, no watch tells it to look again, and [`LOOKED`] is the bound. What happens during a
//! handshake may or may not have been seen by it. A name for which every certificate has run out gets one of them rather than another
//! name's.
//!
//! A process that begins has no good certificate of before: of a file that cannot be used it has none, and of one that is written while
//! it begins it may have none for as long as a change may take. One that is stopped loads nothing, and goes on as after other trouble.

use super::{Oracle, Verdict, broken};

/// A change of files is served after so many milliseconds.
pub const USUAL: u64 = 3_000;
/// After trouble of which no watch tells: the next look, and what it takes.
pub const LOOKED: u64 = 15_000;
const SECOND: i64 = 1_000;

/// A certificate of the world, by its number.
pub type Id = usize;

/// What the judge knows of a certificate. Times are milliseconds of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub names: Vec<String>,
    pub from: i64,
    pub until: i64,
}

/// A handshake as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// This certificate of the world's.
    Known(Id),
    /// One that no file ever held: the gateway's own.
    Stranger,
    /// There was no agreement.
    Refused,
}

/// See the head of this file. One per gateway.
pub struct Certificates {
    strict: bool,
    known: Vec<Facts>,
    files: Vec<File>,
    /// The gateway's clock is ahead by so many milliseconds.
    ahead: i64,
    disk_broken: bool,
    /// The process is stopped.
    stopped: bool,
    /// It has begun and is not ready: what changes now it may have read before or after.
    starting: bool,
    /// The last trouble of which no watch tells.
    troubled_at: Option<u64>,
    /// Clocks and loaded certificates before the last change of either, for handshakes that were under way.
    changes: u64,
}

struct File {
    is_default: bool,
    /// What stands there whole.
    present: Option<Id>,
    /// Since then it is whole, readable and not run out.
    since: u64,
    /// What may be loaded.
    loaded: Vec<Id>,
    /// It may be that nothing is.
    bare: bool,
}

/// What was so when a handshake began.
#[derive(Clone, Debug)]
pub struct Before {
    changes: u64,
    ahead: i64,
    at: u64,
    loaded: Vec<Vec<Id>>,
    bare: Vec<bool>,
}

impl Certificates {
    /// Files by their certificates, which were there before the gateway began.
    pub fn new(strict: bool, files: &[(Id, Facts, bool)]) -> Self {
        let known = files.iter().map(|(_, facts, _)| facts.clone()).collect();
        let files = files
            .iter()
            .map(|(id, _, is_default)| {
                let (present, loaded) = (Some(*id), vec![*id]);
                File { is_default: *is_default, present, since: 0, loaded, bare: false }
            })
            .collect();
        Self {
            strict,
            known,
            files,
            ahead: 0,
            disk_broken: false,
            stopped: false,
            starting: false,
            troubled_at: None,
            changes: 0,
        }
    }

    /// Another process begins: it knows what stands in the files, and nothing else.
    pub fn restarted(&mut self, now: u64) {
        self.changes += 1;
        (self.stopped, self.starting) = (false, true);
        for index in 0..self.files.len() {
            let surely = self.files[index].present.is_some_and(|id| self.is_loadable(id, now, -SECOND));
            let it = &mut self.files[index];
            (it.since, it.bare) = (now, !surely);
            it.loaded.clear();
        }
        self.join(now);
    }

    /// That process is ready.
    pub fn ready(&mut self, now: u64) {
        self.settle(now);
        self.starting = false;
    }

    /// The process is stopped, or goes on.
    pub fn stops(&mut self, now: u64, stopped: bool) {
        self.settle(now);
        self.changes += 1;
        self.stopped = stopped;
        self.trouble(now);
    }

    /// Another certificate exists; its number.
    pub fn made(&mut self, facts: Facts) -> Id {
        self.known.push(facts);
        self.known.len() - 1
    }

    /// A pair of files holds this one now, whole; or nothing that can be used.
    pub fn written(&mut self, now: u64, file: usize, present: Option<Id>) {
        self.settle(now);
        self.changes += 1;
        let it = &mut self.files[file];
        (it.present, it.since) = (present, now);
        it.bare |= self.starting;
        self.join(now);
    }

    /// The gateway's clock is ahead of the true time from now on.
    pub fn clock(&mut self, now: u64, ahead: i64) {
        self.settle(now);
        self.changes += 1;
        self.ahead = ahead;
        self.trouble(now);
    }

    /// The gateway's files cannot be read, or can be again.
    pub fn disk(&mut self, now: u64, is_broken: bool) {
        self.settle(now);
        self.changes += 1;
        self.disk_broken = is_broken;
        self.trouble(now);
    }

    fn trouble(&mut self, now: u64) {
        self.troubled_at = Some(now);
        for file in &mut self.files {
            file.since = now;
            file.bare |= self.starting;
        }
        self.join(now);
    }

    /// What stands there and can be read may be loaded from now on.
    fn join(&mut self, now: u64) {
        for index in 0..self.files.len() {
            if let Some(id) = self.files[index].present.filter(|id| self.is_loadable(*id, now, SECOND))
                && !self.files[index].loaded.contains(&id)
            {
                self.files[index].loaded.push(id);
            }
        }
    }

    /// `slack`: whether what runs out this second counts (positive), or not (negative).
    fn is_loadable(&self, id: Id, now: u64, slack: i64) -> bool {
        !self.disk_broken && self.known[id].until + slack >= now as i64 + self.ahead
    }

    /// What has stood long enough is loaded, and nothing else.
    fn settle(&mut self, now: u64) {
        self.join(now);
        if self.stopped {
            return;
        }
        for index in 0..self.files.len() {
            let File { present, since, .. } = self.files[index];
            let bound = if self.troubled_at.is_some_and(|at| at + LOOKED + USUAL > since) { LOOKED } else { USUAL };
            if let Some(id) = present
                && since + bound < now
                && self.is_loadable(id, now, -SECOND)
            {
                self.files[index].loaded = vec![id];
                self.files[index].bare = false;
            }
        }
    }

    /// A handshake begins.
    pub fn begins(&mut self, now: u64) -> Before {
        self.settle(now);
        let loaded = self.files.iter().map(|file| file.loaded.clone()).collect();
        let bare = self.files.iter().map(|file| file.bare).collect();
        Before { changes: self.changes, ahead: self.ahead, at: now, loaded, bare }
    }

    /// A handshake for this name is over.
    pub fn ended(&mut self, now: u64, before: &Before, name: &str, shown: Shown) -> Verdict {
        self.settle(now);
        if self.changes != before.changes {
            self.join(now);
        }
        // What may be loaded at the one end or the other.
        let loaded: Vec<Vec<Id>> =
            self.files.iter().zip(&before.loaded).map(|(file, earlier)| union(&file.loaded, earlier)).collect();
        let first = (before.at as i64 + before.ahead).min(now as i64 + self.ahead);
        let last = (before.at as i64 + before.ahead).max(now as i64 + self.ahead);
        let covers = |id: &Id| covers(&self.known[*id].names, name);
        let surely = |id: &Id| self.known[*id].from + SECOND <= first && last <= self.known[*id].until - SECOND;
        let maybe = |id: &Id| self.known[*id].from - SECOND <= last && first <= self.known[*id].until + SECOND;
        let own = |ids: &&Vec<Id>| !ids.is_empty() && ids.iter().all(covers);
        let is_there = |(index, file): &(usize, &File)| !file.bare && !before.bare[*index];
        let (of_names, defaults): (Vec<_>, Vec<_>) = self.files.iter().enumerate().partition(|(_, file)| !file.is_default);
        let named = of_names.into_iter().filter(is_there).map(|(index, _)| &loaded[index]);
        let has_default = defaults.iter().any(is_there);
        let has_own = named.clone().any(|ids| own(&ids));
        let has_valid = named.clone().any(|ids| own(&ids) && ids.iter().all(surely));
        let told = |id: Id| {
            format!("certificate {id} for {:?}, valid {}..{}", self.known[id].names, self.known[id].from, self.known[id].until)
        };
        let clocks = format!("the gateway's clock showed {first}..{last}, and it may have {loaded:?} of its files");
        match shown {
            Shown::Known(id) if !loaded.iter().any(|ids| ids.contains(&id)) => {
                broken(Oracle::Certificates, format!("{name} was shown {}, which is no longer in its files; {clocks}", told(id)))
            }
            Shown::Known(id) if has_own && !covers(&id) => {
                broken(Oracle::Certificates, format!("{name} was shown {}, although there is one of its own; {clocks}", told(id)))
            }
            Shown::Known(id) if has_valid && !maybe(&id) => {
                broken(Oracle::Certificates, format!("{name} was shown {}, although there is a valid one; {clocks}", told(id)))
            }
            Shown::Known(id) if self.strict && !covers(&id) => {
                broken(Oracle::Certificates, format!("{name} was shown {} under sniStrict; {clocks}", told(id)))
            }
            Shown::Stranger if has_own || self.strict || has_default => {
                broken(Oracle::Certificates, format!("{name} was shown a certificate that the gateway made; {clocks}"))
            }
            Shown::Refused if has_own || !self.strict => {
                broken(Oracle::Certificates, format!("a handshake for {name} was refused; {clocks}"))
            }
            _ => Ok(()),
        }
    }
}

fn union(a: &[Id], b: &[Id]) -> Vec<Id> {
    let mut all = a.to_vec();
    all.extend(b.iter().filter(|id| !a.contains(id)));
    all
}

/// Whether a certificate with these names stands for this one: exactly, or by a wildcard for one label.
fn covers(names: &[String], name: &str) -> bool {
    let parent = name.split_once('.').map(|(_, parent)| parent);
    names.iter().any(|own| own == name || own.strip_prefix("*.").is_some_and(|domain| Some(domain) == parent))
}

#[cfg(test)]
mod tests;
