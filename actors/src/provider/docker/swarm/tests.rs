use super::*;
use crate::provider::{
    docker::fake::{Daemon, both, run},
    fake::Reply,
};
use fairlead_net::time::sleep;
use serde_json::json;

fn provider(daemon: &Daemon) -> SwarmProvider {
    SwarmProvider::new(&daemon.options("swarm"))
}

both! {
    services_are_served_and_only_get_was_ever_said {
        for chunk in [None, Some(7)] {
            let daemon = Daemon::start();
            daemon.change(|world| {
                world.serve("web", 2, 10);
                world.chunk = chunk;
            });
            let mut running = run(provider(&daemon));
            let served = running.served().await;
            assert_eq!(served["web"], ["10.0.1.10:80 web-1", "10.0.1.11:80 web-2"]);
            let asked = daemon.requests();
            assert!(asked.iter().all(|request| request.method == "GET"), "{asked:?}");
            assert!(asked.iter().all(|request| request.target == "/_ping" || request.target.starts_with("/v1.41/")), "{asked:?}");
            let expected =
                ["/_ping", "/events", "/networks", "/nodes", "/services", "/tasks"].map(|path| (path, 1));
            assert_eq!(expected.map(|(path, _)| (path, daemon.count(path))), expected);
        }
    }

    steady_polling_asks_and_says_nothing_new {
        let daemon = Daemon::start();
        daemon.change(|world| world.serve("web", 2, 10));
        let mut running = run(provider(&daemon));
        running.served().await;
        assert!(running.is_steady(Duration::from_secs(4)).await);
        let (services, tasks) = (daemon.count("/services"), daemon.count("/tasks"));
        assert!((6..=20).contains(&tasks), "{tasks} polls in 4 s");
        assert!(services.abs_diff(tasks) <= 1, "{services} and {tasks}");
    }

    a_task_that_is_to_stop_leaves_with_the_next_poll_and_its_successor_comes {
        let daemon = Daemon::start();
        daemon.change(|world| world.serve("web", 2, 10));
        let mut running = run(provider(&daemon));
        running.served().await;
        daemon.change(|world| world.update("web-1", |task| task["DesiredState"] = "shutdown".into()));
        let took = running.until("web", &["10.0.1.11:80 web-2"]).await;
        assert!(took <= Duration::from_millis(1000), "{took:?}");
        daemon.change(|world| world.task("web-3", "web", 1, "10.0.1.10"));
        running.until("web", &["10.0.1.11:80 web-2", "10.0.1.10:80 web-3"]).await;
        // Scaled, over chunked answers.
        daemon.change(|world| (3..9).for_each(|n| world.task(&format!("web-{n}"), "web", n, &format!("10.0.1.{}", 20 + n))));
        let served = running.served().await;
        assert_eq!(served["web"].len(), 7);
    }

    an_event_about_one_service_reads_that_service_only {
        let daemon = Daemon::start();
        daemon.change(|world| {
            world.serve("web", 1, 10);
            world.serve("shop", 1, 20);
        });
        let mut options = daemon.options("swarm");
        options.refresh = Duration::from_secs(20);
        let mut running = run(SwarmProvider::new(&options));
        running.served().await;
        // The first look's aftermath is over.
        sleep(Duration::from_secs(4)).await;
        let before = (daemon.count("/services"), daemon.count("/tasks"));
        daemon.change(|world| {
            world.update("web", |service| {
                service["Spec"]["Labels"]["traefik.http.services.web.loadbalancer.server.port"] = "8080".into();
            });
        });
        daemon.say("service", "update", "web");
        let took = running.until("web", &["10.0.1.10:8080 web-1"]).await;
        assert!(took <= Duration::from_millis(1000), "{took:?}");
        assert_eq!((daemon.count("/services"), daemon.count("/services/web")), (before.0, 1));
        assert!(daemon.count("/tasks") <= before.1 + 2, "its own tasks, and a poll in its aftermath");
        daemon.change(|world| drop(world.services.remove("web")));
        daemon.say("service", "remove", "web");
        loop {
            let served = running.served().await;
            assert!(served.contains_key("shop"), "{served:?}");
            if !served.contains_key("web") {
                break;
            }
        }
    }

    an_event_does_not_wait_for_a_long_list_and_the_list_does_not_undo_it {
        let daemon = Daemon::start();
        daemon.change(|world| {
            world.serve("web", 1, 10);
            world.serve("shop", 1, 20);
        });
        let mut running = run(provider(&daemon));
        running.served().await;
        daemon.change(|world| world.slow = Some(Duration::from_secs(3)));
        let polls = daemon.count("/tasks");
        while daemon.count("/tasks") == polls {
            sleep(Duration::from_millis(10)).await;
        }
        daemon.change(|world| {
            world.update("web", |service| {
                service["Spec"]["Labels"]["traefik.http.services.web.loadbalancer.server.port"] = "8080".into();
            });
        });
        daemon.say("service", "update", "web");
        let took = running.until("web", &["10.0.1.10:8080 web-1"]).await;
        assert!(took <= Duration::from_secs(1), "{took:?}");
        // The list began before and ends later.
        assert!(running.is_steady(Duration::from_secs(4)).await);
    }

    what_was_read_alone_is_held_against_a_list_that_did_not_change {
        let daemon = Daemon::start();
        daemon.change(|world| world.serve("web", 1, 10));
        let mut running = run(provider(&daemon));
        running.served().await;
        // One manager knows of an update, and the one that is asked for lists does not.
        daemon.change(|world| {
            let mut service = world.services["web"].clone();
            service["Version"]["Index"] = 99.into();
            service["Spec"]["Labels"]["traefik.http.services.web.loadbalancer.server.port"] = "8080".into();
            world.spoilt.insert("/services/web", Reply::ok(service.to_string()));
        });
        daemon.say("service", "update", "web");
        running.until("web", &["10.0.1.10:8080 web-1"]).await;
        let (message, _) = running.failing().await;
        assert!(message.contains("older"), "{message}");
        assert!(running.is_steady(Duration::from_secs(2)).await);
        // Until the other one knows it too.
        daemon.change(|world| {
            world.spoilt.clear();
            world.update("web", |service| {
                service["Version"]["Index"] = 99.into();
                service["Spec"]["Labels"]["traefik.http.services.web.loadbalancer.server.port"] = "8080".into();
            });
        });
        running.healthy().await;
    }

    a_change_that_no_event_told_is_found_and_the_stream_given_up {
        let daemon = Daemon::start();
        daemon.change(|world| world.serve("web", 1, 10));
        let mut running = run(provider(&daemon));
        running.served().await;
        daemon.change(|world| world.serve("shop", 1, 20));
        running.until("shop", &["10.0.1.20:80 shop-1"]).await;
        while daemon.count("/events") < 2 {
            sleep(Duration::from_millis(100)).await;
        }
    }

    without_events_polling_does {
        let daemon = Daemon::start();
        daemon.change(|world| {
            world.serve("web", 1, 10);
            world.spoilt.insert("/events", Reply::status(403, "Forbidden"));
        });
        let mut running = run(provider(&daemon));
        running.served().await;
        daemon.change(|world| world.serve("shop", 1, 20));
        let took = running.until("shop", &["10.0.1.20:80 shop-1"]).await;
        assert!(took <= Duration::from_secs(2), "{took:?}");
    }

    whatever_fails_what_was_served_stays_and_it_is_said_since_when {
        let garbage = || Reply::ok("[{\"ID\":");
        for (path, reply) in [
            ("/tasks", Reply::Cut(20, "[{\"ID\":\"aaaaaaaaaaaaaaaaaaaaa\"}]".into())),
            ("/tasks", garbage()),
            ("/tasks", Reply::Close),
            ("/tasks", Reply::status(500, r#"{"message":"rpc error: code = DeadlineExceeded"}"#)),
            ("/services", garbage()),
            ("/services", Reply::ok("{}")),
            ("/", Reply::Close),
            ("/", Reply::status(502, "bad gateway")),
        ] {
            let daemon = Daemon::start();
            daemon.change(|world| world.serve("web", 1, 10));
            let mut running = run(provider(&daemon));
            let before = now();
            running.served().await;
            daemon.change(|world| drop(world.spoilt.insert(path, reply.clone())));
            daemon.cut();
            let (message, since) = running.failing().await;
            assert!(message.contains(&daemon.endpoint().replace("tcp", "http")), "{message}");
            assert!(since >= before, "{reply:?}");
            assert!(running.is_steady(Duration::from_secs(1)).await, "{reply:?}");
            daemon.change(|world| world.spoilt.clear());
            running.healthy().await;
            daemon.change(|world| world.task("web-2", "web", 2, "10.0.1.11"));
            running.until("web", &["10.0.1.10:80 web-1", "10.0.1.11:80 web-2"]).await;
        }
    }

    a_manager_that_hangs_is_given_up_for_the_next {
        let (first, second) = (Daemon::start(), Daemon::start());
        for daemon in [&first, &second] {
            daemon.change(|world| world.serve("web", 1, 10));
        }
        let mut options = first.options("swarm");
        options.endpoints.push(second.endpoint());
        options.timeout = Some(Duration::from_millis(300));
        let mut running = run(SwarmProvider::new(&options));
        running.served().await;
        assert_eq!(second.asked(), Vec::<String>::new());
        first.change(|world| drop(world.spoilt.insert("/", Reply::Hang)));
        second.change(|world| world.task("web-2", "web", 2, "10.0.1.11"));
        running.until("web", &["10.0.1.10:80 web-1", "10.0.1.11:80 web-2"]).await;
    }

    what_only_the_operator_can_mend_is_asked_for_slowly {
        let daemon = Daemon::start();
        let message = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state.";
        daemon.change(|world| {
            world.serve("web", 1, 10);
            world.spoilt.insert("/services", Reply::status(503, json!({ "message": message }).to_string()));
        });
        let mut running = run(provider(&daemon));
        let (told, _) = running.failing().await;
        assert!(told.contains("name a manager"), "{told}");
        assert!(running.is_steady(Duration::from_secs(3)).await);
        assert_eq!(daemon.count("/services"), 1);
    }

    everything_gone_at_once_is_believed_when_it_is_said_again {
        let daemon = Daemon::start();
        daemon.change(|world| {
            world.serve("web", 1, 10);
            world.spoilt.insert("/events", Reply::status(403, "Forbidden"));
        });
        let mut running = run(provider(&daemon));
        running.served().await;
        let kept = std::cell::RefCell::new(None);
        daemon.change(|world| {
            kept.replace(Some((std::mem::take(&mut world.services), std::mem::take(&mut world.tasks))));
        });
        let (message, _) = running.failing().await;
        assert!(message.contains("no service"), "{message}");
        daemon.change(|world| (world.services, world.tasks) = kept.take().expect("they were taken"));
        running.healthy().await;
        daemon.change(|world| (world.services, world.tasks) = Default::default());
        let served = running.served().await;
        assert!(!served.contains_key("web"), "{served:?}");
    }

    an_older_state_of_another_manager_withdraws_nothing {
        let (first, second) = (Daemon::start(), Daemon::start());
        second.change(|world| world.serve("web", 1, 10));
        first.change(|world| {
            world.serve("web", 1, 10);
            world.serve("shop", 1, 20);
        });
        let mut options = first.options("swarm");
        options.endpoints.push(second.endpoint());
        let mut running = run(SwarmProvider::new(&options));
        running.served().await;
        first.change(|world| drop(world.spoilt.insert("/", Reply::Close)));
        first.cut();
        let message = loop {
            let (message, _) = running.failing().await;
            if message.contains("older") {
                break message;
            }
        };
        assert!(message.contains("lags"), "{message}");
        assert!(running.is_steady(Duration::from_secs(2)).await);
        second.change(|world| world.serve("shop", 1, 20));
        running.healthy().await;
    }

    once_means_once {
        let daemon = Daemon::start();
        daemon.change(|world| world.serve("web", 1, 10));
        let mut options = daemon.options("swarm");
        options.watch = false;
        let mut running = run(SwarmProvider::new(&options));
        running.served().await;
        daemon.change(|world| world.serve("shop", 1, 20));
        assert!(running.is_steady(Duration::from_secs(2)).await);
        assert_eq!((daemon.count("/tasks"), daemon.count("/events")), (1, 0));
    }
}
