//! What happens to files that are followed.

/// What happened to files that are followed. Each is told once, and not at every look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// They changed, and the new contents are used from now on.
    Reloaded,
    /// They changed, and the new contents cannot be used: the old ones are used on.
    Failed(String),
    /// They are used, but are not as they should be: a certificate has expired, a key can be read by everybody.
    Warning(String),
}

impl Event {
    /// Writes the event to the log; `what` says whose files they are (`"TLS certificate"`).
    pub fn log(&self, what: &str) {
        match self {
            Event::Reloaded => tracing::info!("{what}: files changed, the new ones are used"),
            Event::Failed(error) => {
                tracing::error!(error, "{what}: the new files cannot be used, the old ones stay");
            }
            Event::Warning(warning) => tracing::warn!("{what}: {warning}"),
        }
    }
}
