use super::*;
use crate::provider::{
    self, Receiver,
    fake::{Fake, Reply, Request},
};
use fairlead_core::discovery::{Language, Settings};
use fairlead_net::time::timeout;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// Runs on both arms.
macro_rules! both {
    ($($name:ident $body:block)*) => { $(
        #[cfg_attr(madsim, madsim::test)]
        #[cfg_attr(not(madsim), tokio::test)]
        async fn $name() {
            Fake::world();
            $body
        }
    )* };
}

/// What the metadata service says now.
#[derive(Default)]
struct Said {
    version: u32,
    stacks: Value,
    /// In place of every answer.
    instead: Option<Reply>,
    /// In place of an answer to a long poll.
    poll: Option<Reply>,
}

#[derive(Clone, Default)]
struct Metadata(Arc<Mutex<Said>>);

impl Metadata {
    fn with(services: &[&str]) -> Self {
        let metadata = Self::default();
        metadata.list(services);
        metadata
    }

    /// One stack with these services, each with one container.
    fn list(&self, services: &[&str]) {
        let service = |name: &&str| {
            let container = json!({ "name": "c", "uuid": format!("c-{name}"), "primary_ip": "10.42.0.1", "state": "running" });
            let labels = json!({ "traefik.frontend.rule": format!("PathPrefix:/{name}"), "traefik.port": "80" });
            json!({ "name": name, "uuid": format!("s-{name}"), "labels": labels, "containers": [container] })
        };
        self.say(json!([{ "name": "shop", "services": services.iter().map(service).collect::<Vec<_>>() }]));
    }

    fn say(&self, stacks: Value) {
        let mut said = self.0.lock();
        said.stacks = stacks;
        said.version += 1;
    }

    fn set(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.0.lock());
    }

    fn start(&self) -> Fake {
        let said = self.0.clone();
        Fake::start(move |request| said.lock().answer(request))
    }
}

impl Said {
    fn answer(&self, request: &Request) -> Reply {
        let polled = request.target.contains("wait=true");
        match request.path() {
            _ if self.instead.is_some() => self.instead.clone().expect("it was looked at"),
            "/latest/version" if polled && self.poll.is_some() => self.poll.clone().expect("it was looked at"),
            "/latest/version" => Reply::ok(format!("\"v{}\"", self.version)),
            "/latest/stacks" => Reply::ok(self.stacks.to_string()),
            _ => Reply::status(404, r#"{"type":"error","code":404,"message":"Not found"}"#),
        }
    }
}

fn options(fake: &Fake) -> Options {
    Options {
        endpoint: format!("http://{}", fake.address),
        prefix: "latest".into(),
        interval_poll: false,
        refresh: Duration::from_secs(1),
        watch: true,
        health_filter: false,
        settings: Settings { languages: [Language::Traefik1].into(), ..Settings::new("rancher") },
    }
}

/// A provider that is started again 10 ms after each end, as `config_watch` does, with longer pauses.
struct Running {
    heard: Receiver,
    _task: task::Owned<()>,
}

impl Running {
    fn start(options: &Options) -> Self {
        let (sender, heard) = provider::channel();
        let mut rancher = RancherProvider::new(options);
        let run = async move {
            loop {
                let ended = rancher.run(&sender).await;
                sender.send(EventKind::Failing { message: ended.message, since: now() });
                sleep(Duration::from_millis(10)).await;
            }
        };
        Self { heard, _task: task::spawn(run).owned() }
    }

    /// The names of the next configuration's routers.
    async fn routers(&mut self) -> Vec<String> {
        let next = async {
            loop {
                if let EventKind::Configuration { raw, .. } = self.heard.recv().await {
                    return raw.routers().map(str::to_owned).collect();
                }
            }
        };
        timeout(Duration::from_secs(20), next).await.expect("a configuration in time")
    }

    /// The next failure's message. A configuration before it is a mistake.
    async fn failure(&mut self) -> String {
        let next = async {
            loop {
                match self.heard.recv().await {
                    EventKind::Failing { message, .. } => return message,
                    EventKind::Healthy => {}
                    EventKind::Configuration { raw, .. } => panic!("a configuration: {:?}", raw.routers().collect::<Vec<_>>()),
                }
            }
        };
        timeout(Duration::from_secs(20), next).await.expect("a failure in time")
    }

    async fn healthy(&mut self) {
        let next = async { while !matches!(self.heard.recv().await, EventKind::Healthy) {} };
        timeout(Duration::from_secs(20), next).await.expect("it is well in time");
    }
}

both! {
    a_change_of_version_is_followed {
        let metadata = Metadata::with(&["a"]);
        let fake = metadata.start();
        let mut running = Running::start(&options(&fake));
        assert_eq!(running.routers().await, ["frontend-PathPrefix-a"]);
        metadata.list(&["a", "b"]);
        assert_eq!(running.routers().await, ["frontend-PathPrefix-a", "frontend-PathPrefix-b"]);
        let asked = fake.asked();
        assert!(asked.iter().all(|request| request.field("Accept") == Some("application/json")), "{asked:?}");
        assert_eq!((asked[0].target.as_str(), asked[1].target.as_str()), ("/latest/version", "/latest/stacks"));
        assert_eq!(asked[2].target, "/latest/version?wait=true&value=v1&maxWait=1");
        assert!(asked.iter().all(|request| request.connection == 1), "one connection does: {asked:?}");
    }

    a_server_that_knows_no_long_poll_is_asked_once_a_second_at_most {
        let metadata = Metadata::with(&["a"]);
        let fake = metadata.start();
        let mut running = Running::start(&options(&fake));
        running.routers().await;
        sleep(Duration::from_millis(2500)).await;
        let polls = fake.asked().iter().filter(|request| request.target.contains("wait=true")).count();
        assert!((2..=4).contains(&polls), "{polls} polls in 2.5 s");
    }

    an_interval_poll_asks_plainly {
        let metadata = Metadata::with(&["a"]);
        let fake = metadata.start();
        let mut running = Running::start(&Options { interval_poll: true, ..options(&fake) });
        running.routers().await;
        metadata.list(&["b"]);
        assert_eq!(running.routers().await, ["frontend-PathPrefix-b"]);
        assert!(fake.asked().iter().all(|request| !request.target.contains('?')), "{:?}", fake.asked());
    }

    without_watch_it_is_read_once {
        let metadata = Metadata::with(&["a"]);
        let fake = metadata.start();
        let mut running = Running::start(&Options { watch: false, ..options(&fake) });
        running.routers().await;
        metadata.list(&["b"]);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(fake.asked().len(), 2);
    }

    a_quiet_server_is_not_a_dead_one {
        let metadata = Metadata::with(&["a"]);
        metadata.set(|said| said.poll = Some(Reply::Hang));
        let fake = metadata.start();
        let mut running = Running::start(&options(&fake));
        running.routers().await;
        running.healthy().await;
        metadata.list(&["b"]);
        assert_eq!(running.routers().await, ["frontend-PathPrefix-b"], "found by a plain question");
    }

    garbage_and_silence_are_failures_and_nothing_is_forgotten {
        let metadata = Metadata::with(&["a"]);
        let fake = metadata.start();
        let mut running = Running::start(&options(&fake));
        running.routers().await;
        let table = [
            (Reply::status(404, "{}"), "there is nothing (status 404)"),
            (Reply::status(500, ""), "status 500"),
            (Reply::ok("<html>hello</html>"), "expected a version"),
            (Reply::ok(""), "expected a version"),
            (Reply::Raw("nonsense\r\n\r\n".into()), "/latest/version: "),
            (Reply::Cut(1, "\"v9\"".into()), "/latest/version: "),
            (Reply::Close, "/latest/version: "),
        ];
        for (reply, expected) in table {
            metadata.set(|said| said.instead = Some(reply.clone()));
            let mut message = running.failure().await;
            // One that was on its way may be heard first.
            for _ in 0..3 {
                if !message.contains(expected) {
                    message = running.failure().await;
                }
            }
            assert!(message.contains(expected) && message.starts_with("http://127.0.0.1:"), "{reply:?}: {message}");
        }
        metadata.set(|said| said.instead = None);
        running.healthy().await;
        metadata.list(&["a", "b"]);
        assert_eq!(running.routers().await.len(), 2);
    }

    a_server_that_hangs_is_found_out {
        let metadata = Metadata::with(&["a"]);
        let fake = metadata.start();
        let mut running = Running::start(&options(&fake));
        running.routers().await;
        metadata.set(|said| said.instead = Some(Reply::Hang));
        assert!(running.failure().await.contains("/latest/version: no answer within"));
    }

    a_broken_list_is_a_failure_and_half_of_it_is_none {
        let metadata = Metadata::with(&["a"]);
        let fake = metadata.start();
        let mut running = Running::start(&options(&fake));
        running.routers().await;
        metadata.say(json!({ "type": "error", "code": 404 }));
        let message = running.failure().await;
        assert!(message.contains("/stacks: expected a list in JSON"), "{message}");
        metadata.list(&["b"]);
        assert_eq!(running.routers().await, ["frontend-PathPrefix-b"]);
    }

    an_environment_that_is_suddenly_empty_is_not_believed {
        let metadata = Metadata::with(&["a"]);
        let fake = metadata.start();
        let mut running = Running::start(&options(&fake));
        running.routers().await;
        metadata.say(json!([]));
        let message = running.failure().await;
        assert!(message.contains("suddenly lists no service"), "{message}");
        metadata.list(&["a"]);
        running.healthy().await;
        metadata.list(&["b"]);
        assert_eq!(running.routers().await, ["frontend-PathPrefix-b"]);
    }

    the_oldest_dialect_takes_three_lists {
        let fake = Fake::start(|request| match request.path() {
            "/2015-07-25/version" => Reply::ok("7"),
            "/2015-07-25/stacks" => Reply::ok(r#"[{"name":"shop","services":["web"]}]"#),
            "/2015-07-25/services" => Reply::ok(
                r#"[{"name":"web","stack_name":"shop","containers":["w1"],"labels":{"traefik.frontend.rule":"Host:a","traefik.port":"80"}}]"#,
            ),
            "/2015-07-25/containers" => Reply::ok(r#"[{"name":"w1","primary_ip":"10.42.0.9"}]"#),
            _ => Reply::status(404, ""),
        });
        let mut running = Running::start(&Options { prefix: "2015-07-25".into(), ..options(&fake) });
        assert_eq!(running.routers().await.len(), 1);
    }

    lists_between_which_something_changed_are_not_one_reading {
        // A container comes between the first reading's second list and its third.
        let version = Arc::new(Mutex::new(1));
        let fake = Fake::start(move |request| {
            let mut version = version.lock();
            match request.path() {
                "/2015-07-25/version" => Reply::ok(version.to_string()),
                "/2015-07-25/stacks" => Reply::ok(r#"[{"name":"shop","services":["web"]}]"#),
                "/2015-07-25/services" => {
                    let named = if *version == 1 { r#""w1""# } else { r#""w2""# };
                    *version = 2;
                    let labels = r#"{"traefik.frontend.rule":"Host:a","traefik.port":"80"}"#;
                    Reply::ok(format!(r#"[{{"name":"web","stack_name":"shop","containers":[{named}],"labels":{labels}}}]"#))
                }
                "/2015-07-25/containers" => Reply::ok(r#"[{"name":"w2","primary_ip":"10.42.0.9"}]"#),
                _ => Reply::status(404, ""),
            }
        });
        let mut running = Running::start(&Options { prefix: "2015-07-25".into(), ..options(&fake) });
        let EventKind::Configuration { raw, revision, .. } = running.heard.recv().await else { panic!("no configuration") };
        assert_eq!(revision, "2");
        assert!(format!("{raw:?}").contains("10.42.0.9"), "the first word is of one state: {raw:?}");
    }
}

#[test]
fn versions_are_opaque_texts() {
    for (body, expected) in [
        ("\"5a4c2e1f-1\"", Some("5a4c2e1f-1")),
        ("1234\n", Some("1234")),
        ("plain-text", Some("plain-text")),
        ("\"\"", None),
        ("", None),
        ("null", None),
        ("[1]", None),
        ("{\"code\":404}", None),
        ("<html>", None),
    ] {
        assert_eq!(version_of(body.as_bytes()).as_deref(), expected, "{body}");
    }
    assert_eq!(version_of(&[b'a'; 5000]), None);
    assert_eq!(escaped("a b&c=\"ü\""), "a%20b%26c%3D%22%C3%BC%22");
}
