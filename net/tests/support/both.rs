//! What a test needs to be the same on both arms: a world to run in, and an entry point.

#![allow(dead_code, reason = "each test file uses its share")]

use fairlead_net::{
    tcp::{ListenOptions, Listener, Stream},
    time::{Duration, sleep},
};
use std::{net::SocketAddr, path::PathBuf};

/// Defines tests that run under tokio on real sockets, or in the simulator on one host.
#[macro_export]
macro_rules! both {
    ($($(#[$meta:meta])* $name:ident $body:block)*) => { $(
        $(#[$meta])*
        #[cfg_attr(madsim, madsim::test)]
        #[cfg_attr(not(madsim), tokio::test)]
        async fn $name() {
            $crate::both::start();
            $body
        }
    )* };
}

/// In the simulator: a network of which this test is the only host.
pub fn start() {
    #[cfg(madsim)]
    fairlead_net::sim::Net::start(fairlead_net::sim::Config::default()).host(madsim::plugin::node(), &["10.0.0.1"]);
}

/// Lets everything on the wire arrive. Only for what has no event of its own to wait for, such as a RST that nobody
/// has asked for yet.
pub async fn settle() {
    sleep(Duration::from_millis(60)).await;
}

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn listen(text: &str, options: ListenOptions) -> std::io::Result<Listener> {
    Listener::bind(addr(text), options)
}

pub fn listener() -> Listener {
    listen("127.0.0.1:0", ListenOptions::default()).unwrap()
}

pub async fn connect(to: &Listener) -> std::io::Result<Stream> {
    Stream::connect(to.local_addr().unwrap()).await
}

/// Both ends of one connection: the one that connected, the one that was accepted.
pub async fn pair() -> (Stream, Stream) {
    let l = listener();
    let (c, s) = tokio::join!(connect(&l), l.accept());
    (c.unwrap(), s.unwrap().0)
}

/// An empty directory of this test's own, removed at its end. In the simulator, just a name.
pub struct Directory(PathBuf);

pub fn directory(name: &str) -> Directory {
    let dir = std::env::temp_dir().join(format!("fairlead-net-{}-{name}", std::process::id()));
    #[cfg(not(madsim))]
    std::fs::create_dir(&dir).unwrap();
    Directory(dir)
}

impl std::ops::Deref for Directory {
    type Target = std::path::Path;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[cfg(not(madsim))]
impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {e}", self.0.display());
        }
    }
}
