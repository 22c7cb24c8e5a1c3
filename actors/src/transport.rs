//! How servers are spoken to over TLS: a transport's files, read and made into a configuration.
//!
//! Fails closed: what cannot be read is an error, never a default.

use crate::backend::Security;
use fairlead_core::config::dynamic::Transport;
use fairlead_net::{
    fs,
    tls::{self, ClientOptions, MAX_PEM, Pem},
};

/// Reads a transport's certificates and builds its TLS configuration.
pub async fn load(transport: &Transport) -> Security {
    match options(transport).await.and_then(|options| tls::client_config(&options).map_err(|e| e.to_string())) {
        Ok(config) => Security::Tls(config),
        Err(why) => {
            tracing::error!(transport = %transport.name, error = why, "https servers of this transport get no requests");
            Security::Broken(why)
        }
    }
}

async fn options(transport: &Transport) -> Result<ClientOptions, String> {
    let mut root_cas = Vec::new();
    for ca in &transport.root_cas {
        root_cas.push(pem(ca).await?);
    }
    let client_cert = match transport.certificates.first() {
        Some((cert, key)) => Some((pem(cert).await?, pem(key).await?)),
        None => None,
    };
    let alpn = if transport.disable_http2 { vec!["http/1.1".into()] } else { vec!["h2".into(), "http/1.1".into()] };
    Ok(ClientOptions {
        server_name: (!transport.server_name.is_empty()).then(|| transport.server_name.clone()),
        insecure_skip_verify: transport.insecure_skip_verify,
        root_cas,
        client_cert,
        alpn,
        min_version: transport.min_version.clone(),
        max_version: transport.max_version.clone(),
        cipher_suites: transport.cipher_suites.clone(),
        ..ClientOptions::default()
    })
}

/// PEM text as it stands, or the file that the text names.
///
/// # Errors
/// The file cannot be read.
pub async fn pem(text: &str) -> Result<Pem, String> {
    if text.contains("-----BEGIN") {
        return Ok(Pem::new("inline PEM", text));
    }
    let bytes = fs::read(text, MAX_PEM).await.map_err(|e| format!("{text}: {e}; is the file mounted and readable?"))?;
    Ok(Pem::new(text, bytes))
}
