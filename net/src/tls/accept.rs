//! The server's handshake: the client's hello is read first, then the options for its name are chosen.

use super::TlsError;
use rustls::pki_types::CertificateDer;
use rustls::server::{Acceptor, ClientHello};
use rustls::{HandshakeKind, ServerConfig};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;

/// A terminated stream.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// What the client said before anything was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Lower case, without trailing dot. None: the client named no host, or an address.
    pub server_name: Option<String>,
    /// The protocols it offers.
    pub alpn: Vec<Vec<u8>>,
}

/// A finished handshake.
pub struct Accepted<S> {
    pub stream: ServerStream<S>,
    /// As in [`Hello`].
    pub server_name: Option<String>,
    /// The protocol both agreed on.
    pub alpn: Option<Vec<u8>>,
    /// As in access logs: `1.2` or `1.3`.
    pub version: &'static str,
    /// The IANA name.
    pub cipher: String,
    pub client_cert_present: bool,
    pub resumed: bool,
}

impl<S> Accepted<S> {
    /// The client's chain, leaf first; empty when it showed none.
    pub fn client_chain(&self) -> &[CertificateDer<'static>] {
        self.stream.get_ref().1.peer_certificates().unwrap_or_default()
    }
}

/// Performs a handshake. `select` chooses the configuration; `None` refuses the name with the alert `unrecognized_name`, as does a
/// configuration without a certificate for it.
///
/// The caller bounds the time, and drops the future when it is over.
///
/// # Errors
/// The name was refused, the peers did not agree, or the transport failed.
pub async fn accept<S>(io: S, select: impl FnOnce(&Hello) -> Option<Arc<ServerConfig>>) -> Result<Accepted<S>, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(TlsError::from_io)?;
    let hello = read_hello(&start.client_hello());
    let config = select(&hello).filter(|config| config.cert_resolver.resolve(start.client_hello()).is_some());
    let Some(config) = config else {
        refuse(start.io).await.map_err(TlsError::Io)?;
        return Err(TlsError::UnknownName(hello.server_name));
    };
    let stream = start.into_stream(config).await.map_err(TlsError::from_io)?;
    let session = stream.get_ref().1;
    let suite = session.negotiated_cipher_suite();
    Ok(Accepted {
        server_name: hello.server_name,
        alpn: session.alpn_protocol().map(<[u8]>::to_vec),
        version: version_name(session.protocol_version()),
        cipher: suite.map(suite_name).unwrap_or_default(),
        client_cert_present: session.peer_certificates().is_some(),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        stream,
    })
}

/// One spelling of a host name.
pub(super) fn normalise(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

pub(super) fn version_name(version: Option<rustls::ProtocolVersion>) -> &'static str {
    match version {
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        _ => "",
    }
}

/// rustls calls the suites of 1.3 `TLS13_…`; IANA does not.
fn suite_name(suite: rustls::SupportedCipherSuite) -> String {
    suite.suite().as_str().map(|name| name.replacen("TLS13_", "TLS_", 1)).unwrap_or_default()
}

fn read_hello(hello: &ClientHello<'_>) -> Hello {
    let alpn = hello.alpn().map(|offered| offered.map(<[u8]>::to_vec).collect()).unwrap_or_default();
    Hello { server_name: hello.server_name().map(normalise), alpn }
}

/// A fatal alert in the clear (RFC 8446 section 6.2, RFC 6066 section 3): nothing is encrypted yet.
async fn refuse<S: AsyncWrite + Unpin>(mut io: S) -> io::Result<()> {
    const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
    io.write_all(&UNRECOGNIZED_NAME).await?;
    io.shutdown().await
}
