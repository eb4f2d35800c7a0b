//! What cannot go together, and what the settings name and cannot be used.

use super::{Config, FlowLogMode};
use crate::{firewall, telemetry};

impl Config {
    /// What cannot go together, all of it.
    pub(super) fn combination_errors(&self) -> Vec<String> {
        let mut errors = told(&[
            (self.server.is_empty(), "--server ADDR must be given: which gavel-server is to be asked?"),
            (
                !self.admin_listen.ip().is_loopback() && !self.admin_insecure,
                "--admin-listen can be reached by others, who would see figures and the servers' addresses: listen on \
                 a loopback address, or say --admin-insecure",
            ),
            (
                self.flow_log_to.is_some() && self.flow_log == FlowLogMode::Off,
                "--flow-log-to goes with --flow-log denied or all",
            ),
            (
                self.node_name.as_deref() == Some(""),
                "--node-name must not be empty: leave it out if pods of all nodes are here",
            ),
        ]);
        errors.extend(self.access.combination_errors());
        errors
    }

    /// Everything that is wrong: what cannot go together, and what the settings name and cannot be used. What can be
    /// used, and is not as it should be, goes to `warnings`. Nothing is bound, no rule is written, and nobody is asked.
    /// Called within a tokio runtime.
    pub async fn check(&self, warnings: &mut Vec<String>) -> Vec<String> {
        let mut errors = self.combination_errors();
        errors.extend(self.access.check(&self.server, warnings));
        errors.extend(gavel_telemetry::check(&telemetry::settings(self)).iter().map(ToString::to_string));
        errors.extend(firewall::missing_programs(self.enforce.cut_connections).await);
        errors
    }
}

fn told(wrong: &[(bool, &str)]) -> Vec<String> {
    wrong.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, why)| (*why).to_owned()).collect()
}
