//! The file provider on simulated files.
#![cfg(madsim)]

use fairlead_actors::provider::{EventKind, Provider, channel, file::FileProvider};
use fairlead_core::config::{
    RawDynamic, decode,
    file::{Format, parse},
    static_,
};
use fairlead_net::{
    sim::{Config, Net},
    time::{now, sleep, timeout},
};
use madsim::runtime::Handle;
use std::time::Duration;

const PATH: &str = "/etc/fairlead/dynamic.yml";

/// Version `n`: routers that all name it, one under the other.
fn text(n: usize) -> String {
    let routers = (0..20).map(|r| format!("    r{r}:\n      rule: Path(`/{n}`)\n      service: s{n}\n"));
    format!("http:\n  routers:\n{}", routers.collect::<String>())
}

fn raw(n: usize) -> RawDynamic {
    decode(&parse(&text(n), Format::Yaml, PATH, 1 << 20).expect("valid")).0
}

/// Half of all reads see only the beginning of the file: whatever is told is one version, whole, and the last one comes.
#[madsim::test]
async fn a_torn_read_is_never_taken_over() {
    let net = Net::start(Config::default());
    let node = Handle::current().create_node().name("gateway").build();
    let host = net.host(node.id(), &["10.0.0.1"]);
    net.write_file(host, PATH, text(0));
    net.torn_reads(host, 0.5);
    let (out, mut heard) = channel();
    node.spawn(async move {
        let options = static_::FileProvider { path: static_::FilePath::File(PATH.into()), watch: true };
        let mut provider = FileProvider::new(&options);
        loop {
            let error = provider.run(&out).await;
            out.send(EventKind::Failing { message: error.message, since: now() });
            sleep(Duration::from_millis(100)).await;
        }
    });
    let versions: Vec<_> = (0..20).map(raw).collect();
    let mut told = Vec::new();
    for n in 0..versions.len() {
        net.write_file(host, PATH, text(n));
        let last = n + 1 == versions.len();
        let until = now() + Duration::from_secs(if last { 60 } else { 5 });
        while let Ok(kind) = timeout(until.saturating_duration_since(now()), heard.recv()).await {
            let EventKind::Configuration { raw, .. } = kind else { continue };
            let version = versions.iter().position(|v| *v == raw).expect("a whole version");
            assert!(version <= n, "from the future");
            told.push(version);
            if version == n {
                break;
            }
        }
    }
    assert_eq!(told.last(), Some(&19), "{told:?}");
    assert!(told.len() > 10, "hardly anything was told: {told:?}");
}
