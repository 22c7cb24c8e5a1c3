//! WebSocket and other upgrades: a tunnel once the server agrees, and not a byte before.

use fairlead_tests::{
    Gateway, Server,
    server::{After, Exchange},
    until,
};
use std::io::{Read, Write};
use tungstenite::{Message, WebSocket, handshake::derive_accept_key, protocol::Role};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn agree(exchange: &mut Exchange<'_>) -> std::io::Result<()> {
    let accept = derive_accept_key(exchange.head.field("sec-websocket-key").unwrap_or_default().as_bytes());
    exchange.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

fn echo() -> Server {
    Server::start(|exchange| {
        agree(exchange)?;
        let stream = exchange.reader().get_ref().try_clone()?;
        let mut peer = WebSocket::from_raw_socket(stream, Role::Server, None);
        while let Ok(message) = peer.read() {
            if (message.is_text() || message.is_binary()) && peer.send(message).is_err() {
                break;
            }
        }
        Ok(After::Close)
    })
}

#[test]
fn messages_pass_both_ways() {
    let server = echo();
    let gateway = Gateway::over(&[&server]);
    let (mut client, response) = tungstenite::client("ws://localhost/ws", gateway.connect().into_stream()).expect("it opens");
    assert_eq!(response.status(), 101);
    let large = Message::binary((0..2_000_000u32).map(|n| n as u8).collect::<Vec<_>>());
    for message in [Message::text("hello"), Message::binary(vec![0, 1, 2]), large, Message::text("")] {
        client.send(message.clone()).expect("it is sent");
        assert!(client.read().expect("it comes back") == message);
    }
    client.close(None).expect("it closes");
    while client.read().is_ok() {}
    until("the server is let go", || server.connections() == 0);
}

/// Row 103 of the hostile table: what follows an upgrade request is not a request until the server has declined.
#[test]
fn nothing_passes_before_the_server_agrees() {
    let server = Server::start(|exchange| {
        if exchange.head.target() == "/ws" {
            exchange.reply(200, "", "declined")?;
        } else {
            exchange.reply(200, "", exchange.head.target().to_owned().as_str())?;
        }
        Ok(After::Keep)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    client.send(format!("{ASK}GET /admin HTTP/1.1\r\nHost: b\r\n\r\n"));
    assert_eq!(client.answer().text(), "declined");
    // Either a request of its own, routed and with forwarding fields like any other, or not answered at all.
    if let Ok(answer) = client.try_answer("GET") {
        assert_eq!(answer.text(), "/admin");
        let admin = server.seen().into_iter().find(|head| head.target() == "/admin").expect("it was forwarded");
        assert_eq!(admin.field("x-forwarded-for"), Some("127.0.0.1"), "it was smuggled: {admin:?}");
    } else {
        assert!(server.seen().iter().all(|head| head.target() != "/admin"));
    }
}

/// Row 105: each side may end first.
#[test]
fn a_half_closed_tunnel_still_carries_the_other_half() {
    let server = Server::start(|exchange| {
        agree(exchange)?;
        let mut text = String::new();
        exchange.reader().read_to_string(&mut text)?;
        exchange.send(format!("heard: {text}"))?;
        Ok(After::Close)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    client.send(ASK);
    assert_eq!(client.head().status(), 101);
    client.send("garbage that is no frame");
    client.finish();
    assert_eq!(client.rest(), b"heard: garbage that is no frame");
}

#[test]
fn early_bytes_reach_the_server_after_it_agreed() {
    let server = Server::start(|exchange| {
        agree(exchange)?;
        let mut early = [0; 5];
        exchange.reader().read_exact(&mut early)?;
        exchange.reader().get_mut().write_all(&early)?;
        Ok(After::Close)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    client.send(format!("{ASK}early"));
    assert_eq!(client.head().status(), 101);
    assert_eq!(client.read(5), b"early");
    assert!(client.is_closed());
}
