//! What cannot go together, and what the settings name but cannot be used.

use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use gavel_tls::{ServerFiles, ServerTls};

use super::{Config, DecisionLogMode, DecisionLogTarget, Evaluator, Listen};

impl Config {
    /// What cannot go together.
    pub(super) fn errors(&self) -> Vec<String> {
        let mut errors = self.exposure();
        let mut refuse = |is_wrong: bool, why: &str| {
            if is_wrong {
                errors.push(why.to_owned());
            }
        };
        refuse(
            self.evaluators.contains(&Evaluator::None) && self.evaluators.len() > 1,
            "--evaluators none goes with no other evaluator",
        );
        refuse(
            !self.cluster && self.manifests.is_empty(),
            "say --manifests PATH…, or --cluster: where do objects come from?",
        );
        refuse(
            self.cluster && !self.manifests.is_empty(),
            "--cluster goes without --manifests: objects come from one of the two",
        );
        // Bookmarks come two seconds before the end.
        refuse(self.watch_seconds < 5, "--watch-seconds must be at least 5");
        let asks_the_cluster = self.cluster || self.access.settings().needs_cluster();
        refuse(
            self.kubeconfig.is_some() && !asks_the_cluster,
            "--kubeconfig goes with --cluster, --token-review or --token-keys cluster",
        );
        refuse(
            self.context.is_some() && !asks_the_cluster,
            "--context goes with --cluster, --token-review or --token-keys cluster",
        );
        refuse(self.state_dir.is_some() && !self.cluster, "--state-dir goes with --cluster");
        errors.extend(self.access_errors());
        errors.extend(self.limit_errors());
        errors.extend(self.telemetry_errors());
        errors
    }

    /// Nothing is told to whoever comes along, unless somebody says so.
    fn exposure(&self) -> Vec<String> {
        let reachable = |address: &SocketAddr| !address.ip().is_loopback();
        let access = &self.access;
        let mut errors = Vec::new();
        for listen in &self.listen {
            let Listen::Tcp(address) = listen else { continue };
            if !reachable(address) || access.insecure {
                continue;
            }
            if !access.is_authenticated() {
                errors.push(format!(
                    "--listen {address} can be reached by others, and callers are not authenticated: say \
                     --tls-client-ca, --token-review or --token-keys, listen on a loopback address or a unix socket, \
                     or say --insecure"
                ));
            } else if access.tls_cert.is_none() {
                errors.push(format!(
                    "--listen {address} can be reached by others, and tokens would travel in clear: say --tls-cert and \
                     --tls-key, or --insecure"
                ));
            }
        }
        if reachable(&self.admin_listen) && !access.admin_insecure {
            errors.push(format!(
                "--admin-listen {} can be reached by others: listen on a loopback address, or say --admin-insecure",
                self.admin_listen
            ));
        }
        errors
    }

    fn access_errors(&self) -> Vec<String> {
        let access = &self.access;
        let takes_tokens = access.settings().takes_tokens();
        let wrong = [
            (access.tls_cert.is_some() != access.tls_key.is_some(), "--tls-cert and --tls-key go together"),
            (
                access.tls_client_ca.is_some() && access.tls_cert.is_none(),
                "--tls-client-ca goes with --tls-cert and --tls-key",
            ),
            (
                access.tls_client_crl.is_some() && access.tls_client_ca.is_none(),
                "--tls-client-crl goes with --tls-client-ca",
            ),
            (
                access.spiffe_trust_domain.is_some() && access.tls_client_ca.is_none(),
                "--spiffe-trust-domain goes with --tls-client-ca",
            ),
            (
                access.token_keys.is_some() && access.token_issuer.is_none(),
                "--token-keys goes with --token-issuer",
            ),
            (
                access.token_issuer.is_some() && access.token_keys.is_none(),
                "--token-issuer goes with --token-keys",
            ),
            (
                takes_tokens && access.token_audience.iter().any(String::is_empty),
                "--token-audience must not be empty",
            ),
            (
                !access.grant.is_empty() && !access.is_authenticated(),
                "--grant goes with --tls-client-ca, --token-review or --token-keys: nobody is known otherwise, and \
                 everybody may ask",
            ),
        ];
        told(&wrong)
    }

    fn limit_errors(&self) -> Vec<String> {
        let limits = &self.limits;
        let wrong = [
            (
                limits.max_object_bytes > limits.max_request_bytes,
                "--max-object-bytes must not be above --max-request-bytes",
            ),
            (
                limits.caller_in_flight > limits.max_in_flight,
                "--caller-in-flight must not be above --max-in-flight",
            ),
            (
                limits.max_connections_per_address > limits.max_connections,
                "--max-connections-per-address must not be above --max-connections",
            ),
            (
                limits.caller_burst.is_some() && limits.caller_rate == 0,
                "--caller-burst goes with --caller-rate",
            ),
            (
                limits.request_seconds < self.max_wait_seconds,
                "--request-seconds must not be below --max-wait-seconds: a request that waits is not answered otherwise",
            ),
            (
                limits.max_held_bytes < limits.max_request_bytes,
                "--max-held-bytes must not be below --max-request-bytes",
            ),
        ];
        told(&wrong)
    }

    fn telemetry_errors(&self) -> Vec<String> {
        let telemetry = &self.telemetry;
        let is_off = telemetry.decision_log == DecisionLogMode::Off;
        let wrong = [(
            is_off && telemetry.decision_log_to != DecisionLogTarget::Stdout,
            "--decision-log-to goes with --decision-log sampled or all",
        )];
        told(&wrong)
    }

    /// What the settings name, and cannot be used; what can be used, and is not as it should be, goes to `warnings`.
    /// Nothing is bound, and nobody is asked.
    pub fn file_errors(&self, warnings: &mut Vec<String>) -> Vec<String> {
        let mut errors = Vec::new();
        for path in &self.manifests {
            if let Err(error) = std::fs::metadata(path) {
                errors.push(format!("--manifests {}: {error}", path.display()));
            }
        }
        if let Some(path) = &self.kubeconfig
            && let Err(error) = std::fs::File::open(path)
        {
            errors.push(format!("--kubeconfig {}: {error}", path.display()));
        }
        if let Some(folder) = &self.state_dir {
            errors.extend(unwritable("--state-dir", folder));
        }
        if let (Some(cert), Some(key)) = (&self.access.tls_cert, &self.access.tls_key) {
            let files = ServerFiles {
                cert: cert.clone(),
                key: key.clone(),
                client_ca: self.access.tls_client_ca.clone(),
                client_crl: self.access.tls_client_crl.clone(),
            };
            match ServerTls::load(&files, &[b"h2"]) {
                Ok((tls, _)) if tls.not_after < SystemTime::now() => {
                    errors.push(format!("TLS: {}: the certificate has expired", files.cert.display()));
                }
                Ok((_, found)) => warnings.extend(found.into_iter().map(|warning| format!("TLS: {warning}"))),
                Err(error) => errors.push(format!("TLS: {error}")),
            }
        }
        errors.extend(self.access.settings().check().err().map(|error| format!("tokens: {error}")));
        errors.extend(gavel_telemetry::check(&self.telemetry.log).err().map(|error| error.to_string()));
        if self.telemetry.decision_log != DecisionLogMode::Off
            && let DecisionLogTarget::File(path) = &self.telemetry.decision_log_to
        {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            errors.extend(unwritable("--decision-log-to", folder.unwrap_or(Path::new("."))));
        }
        errors
    }
}

fn told(wrong: &[(bool, &str)]) -> Vec<String> {
    wrong.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, why)| (*why).to_owned()).collect()
}

/// Whether a folder can be written to: the only way to know is to write. One that is not there yet is made by the server,
/// if what it is in can be written to.
fn unwritable(flag: &str, folder: &Path) -> Option<String> {
    let mut there = folder;
    while !there.exists() {
        there = there.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    }
    let probe = there.join(format!(".gavel-check-{}", std::process::id()));
    let written = std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe));
    written.err().map(|error| format!("{flag} {}: cannot be written to: {error}", folder.display()))
}
