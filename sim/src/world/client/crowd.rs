//! A crowd: connections that are opened at once and held, some of them with a request that never gets whole.

use crate::{
    fault::{Fault, Phase},
    world::{World, gateway, server::line::Line},
};
use fairlead_net::{
    tcp::Stream,
    time::{Duration, sleep, sleep_until},
};

/// Opens them, and holds them.
pub(super) async fn run(world: &World, index: usize, connections: usize, holds: u64) {
    sleep_until(world.at(world.plan.clients[index].start)).await;
    world.note(&world.clients[index].name, &format!("opens {connections} connections"));
    world.strikes(Fault::Client, Phase::Once);
    let mut held = Vec::new();
    for n in 0..connections {
        // A gateway that takes no more of them does what it should.
        let Ok(stream) = Stream::connect(gateway::address(world.plan.clients[index].gateway)).await else { continue };
        let mut line = Line::new(stream);
        let part: &[u8] = match n % 3 {
            0 => b"",
            1 => b"GET /request/0 HTTP/1.1\r\nHost: s0.te",
            _ => b"\r\n",
        };
        if line.write_only(part).await.is_ok() {
            held.push(line);
        }
    }
    sleep(Duration::from_millis(holds)).await;
    world.note(&world.clients[index].name, "lets its connections go");
}
