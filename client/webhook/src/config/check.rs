//! What cannot go together, what has no effect, and what the settings name and cannot be used.

use gavel_tls::{ServerFiles, ServerTls};

use super::Config;
use crate::certificate;
use crate::listener::Tls;
use crate::telemetry;

impl Config {
    /// What cannot go together, all of it.
    pub(super) fn combination_errors(&self) -> Vec<String> {
        let certified = self.tls_cert.is_some() || self.tls_key.is_some();
        let self_issued = self.self_issued.is_some();
        let mut errors = told(&[
            (
                self.server.is_empty(),
                "--server ADDR must be given: which replicas of gavel-server are to be asked?",
            ),
            (
                !self.admin_listen.ip().is_loopback() && !self.admin_insecure,
                "--admin-listen can be reached by others, who would see figures and the servers' addresses: listen on \
                 a loopback address, or say --admin-insecure",
            ),
            (
                !certified && !self_issued,
                "--tls-cert FILE and --tls-key FILE, or --self-issued NAMESPACE/SECRET, must be given: what is HTTPS \
                 served with?",
            ),
            (
                self.listen == self.admin_listen && self.listen.port() != 0,
                "--listen and --admin-listen need different ports",
            ),
            (self.tls_cert.is_some() != self.tls_key.is_some(), "--tls-cert and --tls-key go together"),
            (
                certified && self_issued,
                "--self-issued cannot be used with --tls-cert and --tls-key: HTTPS is served with one of the two",
            ),
            (
                self_issued && self.issue.dns_name.is_empty(),
                "--self-issued goes with --dns-name: what is the certificate for?",
            ),
            (
                self_issued && self.issue.webhook_configuration.is_empty(),
                "--self-issued goes with --webhook-configuration: who has to trust the certificate?",
            ),
            (
                self.callers.max_connections_per_address > self.callers.max_connections,
                "--max-connections-per-address must not be above --max-connections",
            ),
        ]);
        errors.extend(self.access.combination_errors());
        errors
    }

    /// What is said, and does nothing.
    pub(super) fn without_effect(&self) -> Vec<String> {
        let issue = &self.issue;
        let is_said = !issue.dns_name.is_empty()
            || !issue.webhook_configuration.is_empty()
            || issue.kubeconfig.is_some()
            || issue.context.is_some();
        told(&[(
            is_said && self.self_issued.is_none(),
            "--dns-name, --webhook-configuration, --kubeconfig and --context have no effect without --self-issued",
        )])
    }

    /// Everything that is wrong: what cannot go together, and what the settings name and cannot be used. What can be
    /// used, and is not as it should be, goes to `warnings`. Nothing is bound, and nobody is asked. Called within a tokio
    /// runtime.
    pub async fn check(&self, warnings: &mut Vec<String>) -> Vec<String> {
        let mut errors = self.combination_errors();
        if let Some((cert, key)) = self.tls_cert.clone().zip(self.tls_key.clone()) {
            let files = ServerFiles { cert, key, client_ca: None, client_crl: None };
            match ServerTls::load(&files, &[b"h2"]) {
                Ok((tls, _)) if tls.not_after < std::time::SystemTime::now() => {
                    errors.push(format!("HTTPS: {}: the certificate has expired", files.cert.display()));
                }
                Ok((_, found)) => warnings.extend(found.iter().map(|warning| format!("HTTPS: {warning}"))),
                Err(error) => errors.push(format!("HTTPS: {error}")),
            }
        }
        if let Some(path) = &self.callers.client_ca {
            errors.extend(Tls::check(path).err().map(|error| format!("--client-ca: {error}")));
        }
        errors.extend(self.access.check(&self.server, warnings));
        if self.self_issued.is_some() {
            let wrong = certificate::check(&self.issue).await;
            errors.extend(wrong.iter().map(|error| format!("--self-issued: {error:#}")));
        }
        errors.extend(gavel_telemetry::check(&telemetry::settings(self)).iter().map(ToString::to_string));
        errors
    }
}

fn told(wrong: &[(bool, &str)]) -> Vec<String> {
    wrong.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, why)| (*why).to_owned()).collect()
}
