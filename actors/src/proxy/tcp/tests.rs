//! Connections through a whole gateway, on both arms: real sockets, and simulated ones in virtual time.

use crate::{
    config_watch::Make,
    gateway::{Gateway, Options},
    provider::{EventKind, Provider, ProviderError, Sender, fake::Fake},
    telemetry::{self, MetricsOptions, Telemetry},
};
use fairlead_core::{
    config::{
        StaticConfig, decode,
        file::{Format, parse},
        static_::{Address, EntryPoint, Protocol},
    },
    drain::Outcome,
};
use fairlead_net::{
    tcp::{ListenOptions, Listener, Stream},
    time::{Duration, sleep, timeout},
};
use std::{future::Future, net::SocketAddr, pin::Pin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

/// Nothing takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says one thing, once.
struct Once(String);

impl Provider for Once {
    fn name(&self) -> &str {
        "test"
    }

    fn run<'a>(&'a mut self, out: &'a Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>> {
        Box::pin(async move {
            let tree = parse(&self.0, Format::Yaml, "test.yml", 1 << 20).expect("YAML");
            let (raw, rejections) = decode(&tree);
            out.send(EventKind::Configuration { raw, rejections, revision: String::new() });
            std::future::pending().await
        })
    }
}

/// A gateway with one router of connections before these servers.
async fn gateway(rule: &str, more: &str, servers: &[SocketAddr]) -> (Gateway, SocketAddr) {
    let servers: Vec<String> = servers.iter().map(|server| format!("{{address: '{server}'}}")).collect();
    let dynamic = format!(
        "tcp:\n  routers: {{r: {{rule: '{rule}', service: s{more}}}}}\n  services: {{s: {{loadBalancer: {{servers: [{}]}}}}}}\n",
        servers.join(", ")
    );
    let mut config = StaticConfig::default();
    let address = Address { ip: Some([127, 0, 0, 1].into()), port: 0, protocol: Protocol::Tcp };
    let mut entry = EntryPoint::new("web", address);
    entry.life_cycle.grace = Duration::from_millis(200);
    config.entry_points.insert("web".into(), entry);
    config.default_entry_points = ["web".into()].into();
    let make: Make = Box::new(move || Box::new(Once(dynamic.clone())) as Box<dyn Provider>);
    let metrics = Some(MetricsOptions::default());
    let telemetry = Telemetry::new(telemetry::Options { workers: 1, seed: 1, metrics, access_log: None, tracing: None });
    let options = Options {
        config,
        telemetry,
        workers: 1,
        pin: false,
        host_name: "gateway".into(),
        providers: vec![("test".into(), make)],
    };
    let gateway = Gateway::start(options).await.expect("it starts");
    let web = gateway.address("web").expect("it listens");
    while gateway.shared().published.load().snapshot.tcp_routers().len() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    (gateway, web)
}

fn listener() -> (Listener, SocketAddr) {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), ListenOptions::default()).expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

async fn accept(listener: &Listener) -> Stream {
    timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a connection").0
}

async fn hear(stream: &mut Stream, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("in time").expect("so many bytes");
    bytes
}

async fn ends(stream: &mut Stream) {
    let read = timeout(PATIENCE, stream.read(&mut [0])).await.expect("in time");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

/// Names `a.example`; what else it holds does not matter.
fn hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0, 0, 18, 0, 0, 0, 14, 0, 12, 0, 0, 9]);
    body.extend(b"a.example");
    [&[22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8][..], &body].concat()
}

both! {
    tls_goes_through_in_pieces_and_each_side_ends_by_itself {
        let (server, address) = listener();
        let (_gateway, web) = gateway("HostSNI(`a.example`)", ", tls: {passthrough: true}", &[address]).await;
        let mut client = Stream::connect(web).await.expect("it accepts");
        let hello = hello();
        for piece in hello.chunks(9) {
            client.write_all(piece).await.expect("sent");
            client.flush().await.expect("sent");
            sleep(Duration::from_millis(2)).await;
        }
        let mut up = accept(&server).await;
        assert_eq!(hear(&mut up, hello.len()).await, hello);
        client.shutdown().await.expect("ended");
        ends(&mut up).await;
        up.write_all(b"late").await.expect("sent");
        assert_eq!(hear(&mut client, 4).await, b"late");
        drop(up);
        ends(&mut client).await;
    }

    a_slow_reader_holds_the_other_side_back {
        let (server, address) = listener();
        let (gateway, web) = gateway("HostSNI(`*`)", "", &[address]).await;
        let mut client = Stream::connect(web).await.expect("it accepts");
        let mut up = accept(&server).await;
        // Far more than sockets and the gateway hold between the two.
        let piece = vec![7; 64 * 1024];
        let mut sent = 0_usize;
        while let Ok(written) = timeout(Duration::from_millis(500), up.write(&piece)).await {
            sent += written.expect("it is open");
            assert!(sent < 256 << 20, "nothing holds the server back");
        }
        let mut heard = 0;
        while heard < sent {
            heard += hear(&mut client, (sent - heard).min(1 << 16)).await.len();
        }
        drop((client, up));
        let down = || {
            let text = gateway.shared().telemetry.render_prometheus(Duration::ZERO);
            text.contains(&format!("fairlead_service_tcp_bytes_total{{direction=\"to_client\",service=\"s@test\"}} {sent}\n"))
        };
        timeout(PATIENCE, async {
            while !down() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("every byte is counted");
    }

    what_is_open_at_the_deadline_is_cut_off {
        let (server, address) = listener();
        let (gateway, web) = gateway("HostSNI(`*`)", "", &[address]).await;
        let mut client = Stream::connect(web).await.expect("it accepts");
        let mut up = accept(&server).await;
        up.write_all(b"hi").await.expect("sent");
        assert_eq!(hear(&mut client, 2).await, b"hi");
        let shared = gateway.shared().clone();
        assert_eq!(gateway.drain(std::future::pending).await, Outcome::DeadlinePassed);
        ends(&mut client).await;
        ends(&mut up).await;
        let text = shared.telemetry.render_prometheus(Duration::ZERO);
        assert!(text.contains("fairlead_responses_total{reason=\"draining\",entrypoint=\"web\"} 1\n"), "{text}");
        assert!(text.contains("fairlead_service_tcp_open_connections{service=\"s@test\"} 0\n"), "{text}");
    }
}

/// In virtual time an hour is nothing.
#[cfg(madsim)]
#[madsim::test]
async fn a_tunnel_that_is_silent_for_an_hour_is_closed() {
    Fake::world();
    let (server, address) = listener();
    let (_gateway, web) = gateway("HostSNI(`*`)", "", &[address]).await;
    let mut client = Stream::connect(web).await.expect("it accepts");
    let mut up = accept(&server).await;
    for _ in 0..3 {
        sleep(Duration::from_secs(3000)).await;
        up.write_all(b"x").await.expect("it is open");
        assert_eq!(hear(&mut client, 1).await, b"x", "a byte now and then keeps it open");
    }
    sleep(Duration::from_secs(3595)).await;
    assert!(timeout(Duration::from_secs(1), client.read(&mut [0])).await.is_err(), "its time is not over");
    sleep(Duration::from_secs(10)).await;
    ends(&mut client).await;
    ends(&mut up).await;
}
