//! TLS towards the servers that providers ask: what the operator's options mean, read anew at each connect, so that a
//! certificate that was exchanged is used without a restart.

use fairlead_core::config::static_::ClientTls;
use fairlead_net::{fs, tls};
use std::sync::Arc;

/// The configuration for `options`, which messages name as `flag` (`--providers.etcd.tls`). Protocols in `alpn` are offered.
pub(super) async fn client_config(
    options: Option<&ClientTls>,
    alpn: &[&str],
    flag: &str,
) -> Result<Arc<tls::ClientConfig>, String> {
    let mut config = tls::ClientOptions { alpn: alpn.iter().map(|p| (*p).to_owned()).collect(), ..Default::default() };
    if let Some(options) = options {
        config.insecure_skip_verify = options.insecure_skip_verify;
        if let Some(ca) = &options.ca {
            config.root_cas = vec![pem(ca, &format!("{flag}.ca")).await?];
        }
        match (&options.cert, &options.key) {
            (None, None) => {}
            (Some(cert), Some(key)) => {
                let key = pem(key.reveal(), &format!("{flag}.key")).await?;
                config.client_cert = Some((pem(cert, &format!("{flag}.cert")).await?, key));
            }
            _ => return Err(format!("{flag}.cert and {flag}.key are given together or not at all")),
        }
    }
    tls::client_config(&config).map_err(|e| format!("{flag}: {e}"))
}

/// PEM text as it is, or that of the file it names.
async fn pem(text_or_path: &str, flag: &str) -> Result<tls::Pem, String> {
    if text_or_path.contains("-----BEGIN") {
        return Ok(tls::Pem::new(flag, text_or_path));
    }
    let bytes = fs::read(text_or_path, tls::MAX_PEM).await.map_err(|e| format!("{flag}: {text_or_path} cannot be read: {e}"))?;
    Ok(tls::Pem::new(text_or_path, bytes))
}
