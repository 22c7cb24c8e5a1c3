//! From an endpoint to an HTTP/1.1 connection, over whatever stream it takes.

use super::super::tls::client_config;
use super::{Endpoint, Error, Fault, Options};
use fairlead_net::{
    dns,
    http1::{ClientConn, Limits},
    tcp,
    time::{Duration, timeout},
    tls, unix,
};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// A connection that is silent for so long is probed by the kernel: nothing else notices that the peer of a stream of
/// events is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Any stream. The indirection costs nothing beside a system call.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Io for T {}

/// See the module.
pub(super) type Connection = ClientConn<Box<dyn Io>>;

/// Connects to the first address that answers.
pub(super) async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Connection, Error> {
    let io = match endpoint {
        Endpoint::Unix(path) => {
            let connected = timeout(options.connect, unix::Stream::connect(path)).await;
            let stream = connected.map_err(|_| late(options))?.map_err(|e| unreachable(explain(&e)))?;
            Box::new(stream) as Box<dyn Io>
        }
        Endpoint::Tcp { host, port, secure } => {
            let config = match secure {
                true => Some(client_config(options.tls.as_ref(), &["http/1.1"], options.tls_option).await.map_err(unreachable)?),
                false => None,
            };
            let resolved = timeout(options.connect, dns::resolve(host)).await.map_err(|_| late(options))?;
            let addresses = resolved.map_err(|e| unreachable(format!("the name cannot be resolved: {e}")))?;
            let mut result = Err(unreachable("the name has no address".to_owned()));
            for ip in addresses.into_iter().take(MAX_ADDRESSES) {
                let attempt = open(SocketAddr::new(ip, *port), host, config.as_deref(), options.tls_option);
                result = timeout(options.connect, attempt).await.unwrap_or_else(|_| Err(late(options)));
                if result.is_ok() {
                    break;
                }
            }
            result?
        }
    };
    let limits = Limits { head_bytes: super::MAX_HEAD, ..Limits::default() };
    Ok(ClientConn::new(io, limits))
}

async fn open(address: SocketAddr, host: &str, config: Option<&tls::ClientConfig>, option: &str) -> Result<Box<dyn Io>, Error> {
    let stream = tcp::Stream::connect(address).await.map_err(|e| unreachable(e.to_string()))?;
    // A system that cannot probe leaves us the other ways of noticing.
    stream.set_keepalive(Some(KEEP_ALIVE)).ok();
    let Some(config) = config else { return Ok(Box::new(stream)) };
    let connected = tls::connect(stream, config, host).await.map_err(|e| unreachable(format!("TLS: {e} ({option}.*)")))?;
    Ok(Box::new(connected.stream))
}

/// What the operator can do about a socket file that does not answer.
fn explain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such socket: is it mounted into this container?".to_owned(),
        std::io::ErrorKind::PermissionDenied => {
            "permission denied: let this process's user or group read and write the socket, or use a socket proxy".to_owned()
        }
        std::io::ErrorKind::ConnectionRefused => "nobody listens at this socket: is the daemon running?".to_owned(),
        _ => error.to_string(),
    }
}

fn late(options: &Options) -> Error {
    Error { fault: Fault::Late, message: format!("no connection within {:?}", options.connect) }
}

fn unreachable(message: String) -> Error {
    Error { fault: Fault::Unreachable, message }
}
