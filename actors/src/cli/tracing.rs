//! Spans on their way to a collector, if tracing is configured.

use super::Exit;
use crate::otlp::{self, Endpoint, OtlpOptions};
use fairlead_actors::{pem, telemetry::Telemetry};
use fairlead_core::config::static_::{ClientTls, Otlp, OtlpProtocol, StaticConfig};
use fairlead_net::{
    task,
    tls::{self, ClientOptions},
};
use std::sync::Arc;

/// The exporter's task.
pub struct Spans(Option<task::Handle<()>>);

/// Starts the exporter.
///
/// # Errors
/// The collector's address or its TLS files are unusable.
pub async fn start(config: &StaticConfig, telemetry: &Telemetry) -> Result<Spans, Exit> {
    let (Some(wanted), Some(drain)) = (&config.tracing, telemetry.span_drain()) else { return Ok(Spans(None)) };
    let endpoint = endpoint(&wanted.otlp)?;
    let tls = if endpoint.tls { Some(client_config(wanted.otlp.tls.as_ref()).await?) } else { None };
    let options = OtlpOptions {
        endpoint,
        headers: wanted.otlp.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect(),
        tls,
        service_name: wanted.service_name.clone(),
        service_version: env!("CARGO_PKG_VERSION").to_owned(),
        resource_attributes: wanted.resource_attributes.clone(),
    };
    Ok(Spans(Some(task::spawn(otlp::export(telemetry.clone(), drain, options)))))
}

fn endpoint(wanted: &Otlp) -> Result<Endpoint, Exit> {
    let parsed = match wanted.protocol {
        OtlpProtocol::Http => Endpoint::http(&wanted.endpoint),
        OtlpProtocol::Grpc => Endpoint::grpc(&wanted.endpoint, wanted.insecure),
    };
    parsed.map_err(|e| Exit::usage(format!("tracing.otlp endpoint {}: {e}", wanted.endpoint)))
}

async fn client_config(wanted: Option<&ClientTls>) -> Result<Arc<tls::ClientConfig>, Exit> {
    let failed = |why: String| Exit::usage(format!("tracing.otlp tls: {why}"));
    let mut options = ClientOptions { alpn: vec!["h2".into(), "http/1.1".into()], ..ClientOptions::default() };
    if let Some(wanted) = wanted {
        options.insecure_skip_verify = wanted.insecure_skip_verify;
        if let Some(ca) = &wanted.ca {
            options.root_cas.push(pem(ca).await.map_err(failed)?);
        }
        if let (Some(cert), Some(key)) = (&wanted.cert, &wanted.key) {
            options.client_cert = Some((pem(cert).await.map_err(failed)?, pem(key.reveal()).await.map_err(failed)?));
        }
    }
    tls::client_config(&options).map_err(|e| failed(e.to_string()))
}

impl Spans {
    /// Waits for the last batch.
    pub async fn finish(self) {
        if let Some(task) = self.0
            && let Err(e) = task.await
        {
            tracing::error!(error = %e, "the last spans are lost");
        }
    }
}
