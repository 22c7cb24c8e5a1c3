use super::*;
use crate::provider::{
    docker::fake::{Daemon, both, run},
    fake::Reply,
};
use fairlead_net::time::sleep;
use serde_json::json;

fn provider(daemon: &Daemon) -> PlainProvider {
    PlainProvider::new(&daemon.options("docker"))
}

fn labels() -> serde_json::Value {
    json!({"traefik.http.services.web.loadbalancer.server.port": "80"})
}

both! {
    containers_are_served_and_events_bring_changes_at_once {
        let daemon = Daemon::start();
        daemon.change(|world| world.container("web", "172.17.0.2", labels()));
        let mut running = run(provider(&daemon));
        assert_eq!(running.served().await["web"], ["172.17.0.2:80 web"]);
        // Docker lists it until it is gone.
        daemon.say("container", "kill", "web");
        let took = running.until("web", &[]).await;
        assert!(took <= Duration::from_millis(500), "{took:?}");
        daemon.change(|world| {
            world.container("web", "172.17.0.3", labels());
        });
        daemon.say("container", "start", "web");
        running.until("web", &["172.17.0.3:80 web"]).await;
        let asked = daemon.requests();
        assert!(asked.iter().all(|request| request.method == "GET"), "{asked:?}");
    }

    at_rest_little_is_asked_and_without_events_more {
        let daemon = Daemon::start();
        daemon.change(|world| world.container("web", "172.17.0.2", labels()));
        let mut running = run(provider(&daemon));
        running.served().await;
        assert!(running.is_steady(Duration::from_secs(3)).await);
        assert_eq!(daemon.count("/containers/json"), 1);
        daemon.change(|world| {
            world.spoilt.insert("/events", Reply::status(403, "Forbidden"));
            world.container("more", "172.17.0.9", json!({"traefik.http.services.more.loadbalancer.server.port": "80"}));
        });
        daemon.cut();
        running.until("more", &["172.17.0.9:80 more"]).await;
    }

    whatever_fails_what_was_served_stays {
        for reply in [Reply::Close, Reply::ok("[{"), Reply::ok("[]"), Reply::status(500, "{}")] {
            let daemon = Daemon::start();
            daemon.change(|world| world.container("web", "172.17.0.2", labels()));
            let mut running = run(provider(&daemon));
            running.served().await;
            let is_empty = matches!(&reply, Reply::Whole { body, .. } if body == "[]");
            daemon.change(|world| drop(world.spoilt.insert("/containers/json", reply)));
            daemon.say("network", "connect", "n");
            running.failing().await;
            if !is_empty {
                assert!(running.is_steady(Duration::from_secs(2)).await);
            }
            daemon.change(|world| world.spoilt.clear());
            running.healthy().await;
        }
    }

    a_stream_that_breaks_is_opened_again_and_everything_is_looked_at {
        let daemon = Daemon::start();
        daemon.change(|world| world.container("web", "172.17.0.2", labels()));
        let mut running = run(provider(&daemon));
        running.served().await;
        daemon.change(|world| world.container("web", "172.17.0.7", labels()));
        daemon.cut();
        let took = running.until("web", &["172.17.0.7:80 web"]).await;
        assert!(took <= Duration::from_secs(3), "{took:?}");
        sleep(Duration::from_millis(1)).await;
        assert!(daemon.count("/events") >= 2);
    }
}
