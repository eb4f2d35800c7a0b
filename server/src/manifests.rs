//! Follows the manifest source.
use crate::config::Config;
use crate::publisher::Publisher;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
pub(crate) async fn follow(
    _config: Config,
    _publisher: Arc<Publisher>,
    _stop: CancellationToken,
) -> anyhow::Result<()> {
    Ok(())
}
