//! `fairlead healthcheck`: is the gateway with this configuration alive? For container health checks.

use super::{Exit, Outcome, load};
use fairlead_net::{
    dns,
    http::{Frame, RequestHead, ResponseHead, Sink as _, Source as _, Upstream as _},
    http1::{ClientConn, Limits},
    tcp,
    time::{self, Duration},
};
use std::{future::poll_fn, net::SocketAddr, process::ExitCode};

/// Asks `/ping` on the configured entry point.
///
/// # Errors
/// `ping` is not configured, or the gateway does not answer well.
pub fn health_check(arguments: &[String]) -> Outcome {
    let (config, _) = load::load(arguments)?;
    let ping = config.ping.ok_or_else(|| Exit::failed("ping is not enabled: add --ping to both commands"))?;
    let entry = config.entry_points.get(&ping.entry_point);
    let entry = entry.ok_or_else(|| Exit::failed(format!("ping.entryPoint={}: no such entry point", ping.entry_point)))?;
    let host = entry.address.ip.filter(|ip| !ip.is_unspecified()).map_or("127.0.0.1".to_owned(), |ip| match ip.is_ipv6() {
        true => format!("[{ip}]"),
        false => ip.to_string(),
    });
    let admin = format!("http://{host}:{}", entry.address.port);
    match super::runtime()?.block_on(get(&admin, "/ping")) {
        Ok((200, _)) => {
            println!("OK: {admin}/ping");
            Ok(ExitCode::SUCCESS)
        }
        Ok((status, _)) => Err(Exit::failed(format!("{admin}/ping answered {status}"))),
        Err(why) => Err(Exit::failed(format!("{admin}/ping: {why}"))),
    }
}

/// An answer larger than this is none of ours.
const MAX_BODY: usize = 1 << 20;

/// One GET over plain HTTP, within five seconds.
///
/// # Errors
/// In words, what did not work.
pub async fn get(base: &str, target: &str) -> Result<(u16, String), String> {
    let authority = base.strip_prefix("http://").ok_or("expected a URL that begins with http://")?.trim_end_matches('/');
    let fetched = time::timeout(Duration::from_secs(5), fetch(authority, target)).await;
    fetched.map_err(|_| "no answer within 5 s".to_owned())?
}

async fn fetch(authority: &str, target: &str) -> Result<(u16, String), String> {
    let (host, port) = authority.rsplit_once(':').map_or((authority, "80"), |(host, port)| (host, port));
    let port: u16 = port.parse().map_err(|_| format!("{authority}: expected host:port"))?;
    let addresses = dns::resolve(host.trim_matches(['[', ']'])).await.map_err(|e| format!("{host}: {e}"))?;
    let address = addresses.first().ok_or_else(|| format!("{host} has no address"))?;
    let stream = tcp::Stream::connect(SocketAddr::new(*address, port)).await.map_err(|e| e.to_string())?;
    let mut connection = ClientConn::new(stream, Limits::default());
    let head = RequestHead { target: target.to_owned(), authority: authority.to_owned(), ..RequestHead::default() };
    connection.send_head(&head).and_then(|()| connection.send_end(None)).map_err(|e| e.to_string())?;
    poll_fn(|cx| connection.poll_flush(cx)).await.map_err(|e| e.to_string())?;
    let mut response = ResponseHead::default();
    poll_fn(|cx| connection.poll_head(cx, &mut response)).await.map_err(|e| e.to_string())?;
    let mut body = Vec::new();
    loop {
        let taken = poll_fn(|cx| {
            connection.poll_frame(cx).map_ok(|frame| match frame {
                Frame::Data(data) => {
                    body.extend_from_slice(data);
                    Some(data.len())
                }
                Frame::End(_) => None,
            })
        });
        match taken.await.map_err(|e| e.to_string())? {
            Some(n) => connection.consume(n),
            None => break,
        }
        if body.len() > MAX_BODY {
            return Err("the answer is too large".into());
        }
    }
    Ok((response.status, String::from_utf8_lossy(&body).into_owned()))
}
