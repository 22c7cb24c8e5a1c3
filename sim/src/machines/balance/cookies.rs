//! Sticky cookies: what a client sends back, and what somebody else makes up.

use crate::chance::{Chance, mix};
use fairlead_core::{balance::Sticky, config::dynamic::StickyCookie, http::VecFields};

const NAME: &str = "fl";

/// What is done to the cookie of a server on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machines) enum Forgery {
    /// Nothing.
    None,
    /// It stands among others.
    Among,
    Quoted,
    /// The same twice.
    Twice,
    /// Any 16 digits.
    Random,
    Shortened,
    Lengthened,
    UpperCase,
    OtherName,
    /// Beside that of another server.
    Contradicted,
    /// The server's own URL.
    Plain,
    Empty,
}

impl Forgery {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        use Forgery::{
            Among, Contradicted, Empty, Lengthened, None, OtherName, Plain, Quoted, Random, Shortened, Twice, UpperCase,
        };
        chance.pick(&[
            None,
            None,
            None,
            Among,
            Quoted,
            Twice,
            Random,
            Shortened,
            Lengthened,
            UpperCase,
            OtherName,
            Contradicted,
            Plain,
            Empty,
        ])
    }
}

/// The cookies of a pool of servers, some of which are configured.
pub(super) struct Cookies {
    urls: Vec<String>,
    /// As a client got it when its server was configured.
    values: Vec<String>,
    current: Sticky,
}

fn cookie() -> StickyCookie {
    StickyCookie {
        name: NAME.into(),
        secure: false,
        http_only: false,
        same_site: None,
        max_age: 0,
        path: "/".into(),
        domain: String::new(),
    }
}

impl Cookies {
    pub(super) fn new(urls: Vec<String>) -> Self {
        let all = Sticky::new(&cookie(), urls.iter().map(String::as_str));
        let value = |id| {
            let set = all.set_cookie(id);
            let value = set.split_once('=').and_then(|(_, rest)| rest.split(';').next());
            value.unwrap_or_default().to_owned()
        };
        Self { values: (0..urls.len()).map(value).collect(), urls, current: Sticky::new(&cookie(), []) }
    }

    /// These of the pool are configured now.
    pub(super) fn configure(&mut self, ids: Vec<usize>) {
        self.current = Sticky::new(&cookie(), ids.iter().map(|id| self.urls[*id].as_str()));
    }

    /// What a client sends, and whether it is what it got. `None`: the forgery would be the cookie itself.
    pub(super) fn line(&self, id: usize, forgery: Forgery, random: u64) -> Option<(String, bool)> {
        let own = &self.values[id];
        let other = &self.values[(id + 1) % self.values.len()];
        let (line, honest) = match forgery {
            Forgery::None => (format!("{NAME}={own}"), true),
            Forgery::Among => (format!("a=b; {NAME}x=1;{NAME} = {own} ; {NAME}"), true),
            Forgery::Quoted => (format!("{NAME}=\"{own}\""), true),
            Forgery::Twice => (format!("{NAME}={own}; {NAME}={own}"), true),
            Forgery::Random => (format!("{NAME}={:016x}", mix(random)), false),
            Forgery::Shortened => (format!("{NAME}={}", &own[..random as usize % own.len()]), false),
            Forgery::Lengthened => (format!("{NAME}={own}{:x}", random % 4_096), false),
            Forgery::UpperCase => (format!("{NAME}={}", own.to_ascii_uppercase()), false),
            Forgery::OtherName => (format!("x{NAME}={own}"), false),
            Forgery::Contradicted => (format!("{NAME}={own}; {NAME}={other}"), false),
            Forgery::Plain => (format!("{NAME}={}", self.urls[id]), false),
            Forgery::Empty => (format!("{NAME}="), false),
        };
        let same = !honest && line == format!("{NAME}={own}");
        (!same).then_some((line, honest))
    }

    pub(super) fn find(&self, line: &str, usable: &dyn Fn(usize) -> bool) -> Option<usize> {
        self.current.find(&VecFields::of(&[("Cookie", line)]), usable)
    }
}
