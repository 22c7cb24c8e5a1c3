//! All servers of a service are replaced while a request is on its way to one.

use crate::testing::{Site, answering};
use std::net::SocketAddr;

/// The password `x`. Its verification takes long enough for a change of the configuration.
const USER: &str = "x:$2b$11$abcdefghijklmnopqrstuu6lhDwPpwPR5H6lygyoxPy//diwvHrV2";

fn guarded(server: SocketAddr) -> String {
    format!(
        "http:\n  routers:\n    all: {{rule: PathPrefix(`/`), service: s, middlewares: [guard]}}\n  middlewares:\n    guard: {{basicAuth: {{users: ['{USER}']}}}}\n  services:\n    s:\n      loadBalancer:\n        servers:\n          - url: http://{server}\n"
    )
}

#[test]
fn a_request_that_was_held_up_meets_the_servers_that_are_there_now() {
    for round in 0..4 {
        let site = Site::start(&guarded(answering("old")));
        let mut client = site.connect();
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\nAuthorization: Basic eDp4\r\n\r\n");
        site.configure(&guarded(answering("new")));
        let response = client.response();
        // A request that had not been read when the configuration changed has met the new one all the same.
        assert_eq!((response.status, response.body.as_str()), (200, "new"), "round {round}");
    }
}
