//! What cannot go together, and what the settings name and cannot be used.

use gavel_tls::{ClientFiles, ClientTls};

use super::{Access, Config, FlowLogMode};
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
        let Access { server_ca, client_cert, client_key, .. } = &self.access;
        if let Some(ca) = server_ca.clone() {
            let files = ClientFiles { ca, cert_and_key: client_cert.clone().zip(client_key.clone()) };
            // What cannot be used is told below.
            if let Ok((_, found)) = ClientTls::load(&files, &[b"h2"]) {
                warnings.extend(found.iter().map(|warning| format!("--server: {warning}")));
            }
        }
        let mut security = self.access.security(self.reload());
        if security.server_ca.is_none() {
            // Told above, in the words of settings.
            security.server_name = None;
            security.client_cert_and_key = None;
        }
        errors.extend(
            gavel_client::check(&self.server, &security).iter().map(|error| format!("--server: {error}")),
        );
        errors.extend(gavel_telemetry::check(&telemetry::settings(self)).iter().map(ToString::to_string));
        errors.extend(firewall::missing_programs(self.enforce.cut_connections).await);
        errors
    }
}

impl Access {
    fn combination_errors(&self) -> Vec<String> {
        let Self { server_ca, server_name, client_cert, client_key, token_file, token_without_tls } = self;
        told(&[
            (server_name.is_some() && server_ca.is_none(), "--server-name goes with --server-ca"),
            (client_cert.is_some() != client_key.is_some(), "--client-cert and --client-key go together"),
            (client_cert.is_some() && server_ca.is_none(), "--client-cert goes with --server-ca"),
            (*token_without_tls && token_file.is_none(), "--token-without-tls goes with --token-file"),
        ])
    }
}

fn told(wrong: &[(bool, &str)]) -> Vec<String> {
    wrong.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, why)| (*why).to_owned()).collect()
}
