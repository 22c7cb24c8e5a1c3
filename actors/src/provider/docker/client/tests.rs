use super::*;
use crate::provider::{
    docker::{
        api::Service,
        fake::{Daemon, both},
    },
    fake::Reply,
};

async fn connect(daemon: &Daemon) -> Result<Engine, Failure> {
    let options = daemon.options("swarm");
    Engine::connect(&endpoints(&options).expect("an endpoint")[0], &options).await
}

async fn services(engine: &mut Engine) -> Result<Option<List<Service>>, Failure> {
    engine.list("/services", &Arc::default()).await
}

both! {
    the_version_is_the_older_of_both_and_found_out_where_the_daemon_does_not_say {
        for (told, version_path, expected) in [
            ("1.41", true, "/v1.41/services"),
            ("1.56", true, "/v1.44/services"),
            ("1.24", true, "/v1.24/services"),
            ("", true, "/v1.41/services"),
            ("", false, "/v1.41/services"),
        ] {
            let daemon = Daemon::start();
            daemon.change(|world| {
                world.version = told.into();
                if !version_path {
                    world.spoilt.insert("/version", Reply::status(403, "Forbidden"));
                }
            });
            let mut engine = connect(&daemon).await.expect("a daemon");
            services(&mut engine).await.expect("a list");
            assert_eq!(daemon.requests().last().expect("a request").target, expected, "{told}");
        }
    }

    a_version_that_nobody_can_speak_is_said_and_one_that_is_too_old_is_raised {
        let daemon = Daemon::start();
        daemon.change(|world| world.version = "1.22".into());
        let failure = connect(&daemon).await.err().expect("too old");
        assert_eq!(failure.kind, FailureKind::Configuration);
        assert!(failure.message.contains("1.22") && failure.message.contains("upgrade"), "{failure}");

        let modern = crate::provider::fake::Fake::start(|request| match request.target.as_str() {
            "/_ping" => Reply::Whole { status: 200, fields: vec![("Api-Version", "1.60".into())], body: "OK".into() },
            "/v1.50/services" => Reply::ok("null"),
            _ => Reply::status(
                400,
                r#"{"message":"client version 1.44 is too old. Minimum supported API version is 1.50, please upgrade"}"#,
            ),
        });
        let mut options = daemon.options("swarm");
        options.endpoints = vec![format!("http://{}", modern.address)];
        let mut engine = Engine::connect(&endpoints(&options).expect("an endpoint")[0], &options).await.expect("a daemon");
        assert_eq!(services(&mut engine).await.expect("a list").expect("new").values(), []);
    }

    refusals_are_sorted_by_what_may_help {
        use FailureKind::{Configuration, Electing, Transient};
        for (status, message, kind, remedy) in [
            (
                503,
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
                Configuration,
                "providers.docker",
            ),
            (
                503,
                "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.",
                Configuration,
                "name a manager",
            ),
            (
                503,
                "This node is not a swarm manager. Manager is being prepared or cannot reach the cluster",
                Electing,
                "asked again",
            ),
            (503, "Swarm is encrypted and needs to be unlocked before it can be used.", Configuration, "unlock"),
            (503, "Swarm certificates have expired.", Configuration, "renew"),
            (500, "rpc error: code = Unknown desc = The swarm does not have a leader.", Electing, "asked again"),
            (500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", Transient, "deadline"),
            (403, "", Configuration, "socket proxy"),
            (401, "", Configuration, ".username"),
        ] {
            let daemon = Daemon::start();
            let body = if message.is_empty() { "<html>no".into() } else { serde_json::json!({ "message": message }).to_string() };
            daemon.change(|world| drop(world.spoilt.insert("/services", Reply::status(status, body))));
            let mut engine = connect(&daemon).await.expect("a daemon");
            let failure = services(&mut engine).await.expect_err("refused");
            assert_eq!(failure.kind, kind, "{failure}");
            assert!(failure.message.contains(remedy) && failure.message.contains("/services"), "{failure}");
        }
    }

    an_object_is_gone_only_when_the_daemon_says_so {
        let daemon = Daemon::start();
        let mut engine = connect(&daemon).await.expect("a daemon");
        assert_eq!(engine.object::<Service>("/services/x").await, Ok(None));
        daemon.change(|world| drop(world.spoilt.insert("/services", Reply::status(404, "<html>not here"))));
        assert_eq!(engine.object::<Service>("/services/x").await.expect_err("a proxy").kind, FailureKind::Configuration);
        daemon.change(|world| drop(world.spoilt.insert("/services", Reply::ok("{\"ID\":"))));
        assert_eq!(engine.object::<Service>("/services/x").await.expect_err("garbage").kind, FailureKind::Transient);
    }
}

#[test]
fn filters_are_escaped() {
    assert_eq!(escape(r#"{"a":["b c"]}"#), "%7B%22a%22%3A%5B%22b%20c%22%5D%7D");
}
