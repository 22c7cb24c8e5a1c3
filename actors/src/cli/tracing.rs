//! Spans on their way to a collector, if tracing is configured.

use super::Exit;
use fairlead_actors::telemetry::Telemetry;
use fairlead_core::config::static_::StaticConfig;
use fairlead_net::task;

/// The exporter's task.
pub struct Spans(Option<task::Handle<()>>);

/// Starts the exporter.
///
/// # Errors
/// The collector's TLS files cannot be read.
pub async fn start(_config: &StaticConfig, _telemetry: &Telemetry) -> Result<Spans, Exit> {
    Ok(Spans(None))
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
