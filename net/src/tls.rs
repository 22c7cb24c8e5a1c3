//! TLS over any byte stream: termination with certificates chosen by server name, and connections to servers.
//!
//! Owns what an operator's options mean to rustls, the certificate store, the handshakes, and a look at a hello before any. Everything here fails closed: an
//! unreadable CA, an unknown name or a key that does not fit is an error that says what to do, never a default.
//!
//! Deliberately absent: files and time-outs (the caller reads; the clock is looked at only to choose among certificates), issuing certificates, and the choice
//! of options by name, which is routing's.

mod accept;
mod certificate;
mod client;
mod error;
pub mod hello;
mod options;
mod prefixed;
mod self_signed;
mod server;
mod store;

pub use accept::{Accepted, Hello, ServerStream, accept};
pub use certificate::{Certificate, KeyKind, MAX_PEM, Pem};
pub use client::{ClientConfig, ClientOptions, ClientStream, Connected, client_config, connect};
pub use error::TlsError;
pub use options::{CIPHER_SUITES, CURVES, VERSIONS, unsupported};
pub use prefixed::Prefixed;
pub use rustls::ServerConfig;
pub use rustls_pki_types::UnixTime;
pub use self_signed::self_signed_default;
pub use server::{ClientAuth, ClientAuthMode, ServerOptions, server_config, with_certificates};
pub use store::CertificateStore;

use rustls::crypto::CryptoProvider;
use std::sync::{Arc, OnceLock};

/// The cryptography of this build: aws-lc-rs, or ring in the simulator.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    #[cfg(not(madsim))]
    use rustls::crypto::aws_lc_rs::default_provider;
    #[cfg(madsim)]
    use rustls::crypto::ring::default_provider;
    PROVIDER.get_or_init(|| Arc::new(default_provider()))
}

#[cfg(all(test, madsim))]
mod simulated;
#[cfg(all(test, not(madsim)))]
mod tests;
