//! What cannot go together, and what has no effect.

use std::net::SocketAddr;

use super::{Config, DecisionLogMode, DecisionLogTarget, Evaluator, Listen, Telemetry};

impl Config {
    /// What cannot go together, all of it.
    pub(super) fn combination_errors(&self) -> Vec<String> {
        let mut errors = self.exposure();
        errors.extend(self.same_addresses());
        errors.extend(self.source_errors());
        errors.extend(self.access_errors());
        errors.extend(self.limit_errors());
        errors
    }

    /// Whether an API server is asked anything.
    pub(super) fn asks_the_cluster(&self) -> bool {
        self.cluster || self.access.settings().needs_cluster()
    }

    fn source_errors(&self) -> Vec<String> {
        let asks_the_cluster = self.asks_the_cluster();
        told(&[
            (
                self.evaluators.contains(&Evaluator::None) && self.evaluators.len() > 1,
                "--evaluators none goes with no other evaluator",
            ),
            (
                !self.cluster && self.manifests.is_empty(),
                "say --manifests PATH…, or --cluster: where do objects come from?",
            ),
            (
                self.cluster && !self.manifests.is_empty(),
                "--cluster goes without --manifests: objects come from one of the two",
            ),
            (
                self.kubeconfig.is_some() && !asks_the_cluster,
                "--kubeconfig goes with --cluster, --token-review or --token-keys cluster",
            ),
            (
                self.context.is_some() && !asks_the_cluster,
                "--context goes with --cluster, --token-review or --token-keys cluster",
            ),
            (self.state_dir.is_some() && !self.cluster, "--state-dir goes with --cluster"),
        ])
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

    /// An address is bound once. Port 0 is any free one, each time another.
    fn same_addresses(&self) -> Vec<String> {
        let is_fixed = |listen: &Listen| !matches!(listen, Listen::Tcp(address) if address.port() == 0);
        let mut errors = Vec::new();
        for (at, listen) in self.listen.iter().enumerate().filter(|(_, listen)| is_fixed(listen)) {
            if self.listen.iter().take(at).any(|before| before == listen) {
                errors.push(format!("--listen {listen} is there twice"));
            } else if *listen == Listen::Tcp(self.admin_listen) {
                errors.push(format!("--listen {listen} is --admin-listen, too: they need different ports"));
            }
        }
        errors
    }

    fn access_errors(&self) -> Vec<String> {
        let access = &self.access;
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
                access.token_issuer.is_some() && access.token_keys.is_none(),
                "--token-issuer goes with --token-keys",
            ),
            (
                !access.grant.is_empty() && !access.is_authenticated(),
                "--grant goes with --tls-client-ca, --token-review or --token-keys: nobody is known otherwise, and \
                 everybody may ask",
            ),
        ];
        let mut errors = told(&wrong);
        errors.extend(access.settings().check_values().iter().map(ToString::to_string));
        errors
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

    /// What is said, and does nothing. That is no error: what it belongs to may be switched off for a while, by a flag
    /// over the file.
    pub(super) fn without_effect(&self) -> Vec<String> {
        let (now, untold) = (&self.telemetry, super::defaults::<Telemetry>());
        let is_file = matches!(now.decision_log_to, DecisionLogTarget::File(_));
        let is_off = now.decision_log == DecisionLogMode::Off;
        let has_socket = self.listen.iter().any(|listen| matches!(listen, Listen::Unix(_)));
        told(&[
            (
                now.decision_log_to != untold.decision_log_to && is_off,
                "--decision-log-to has no effect without --decision-log sampled or all: no decision is logged",
            ),
            (
                now.decision_log_sample != untold.decision_log_sample
                    && now.decision_log != DecisionLogMode::Sampled,
                "--decision-log-sample has no effect without --decision-log sampled",
            ),
            (
                now.decision_log_question != untold.decision_log_question && is_off,
                "--decision-log-question has no effect without --decision-log",
            ),
            (
                now.decision_log_max_bytes != untold.decision_log_max_bytes && (is_off || !is_file),
                "--decision-log-max-bytes has no effect without --decision-log and --decision-log-to FILE",
            ),
            (
                now.decision_log_keep != untold.decision_log_keep && (is_off || !is_file),
                "--decision-log-keep has no effect without --decision-log and --decision-log-to FILE",
            ),
            (
                self.access.unix_socket_mode.is_some() && !has_socket,
                "--unix-socket-mode has no effect without --listen unix:PATH",
            ),
        ])
    }
}

fn told(wrong: &[(bool, &str)]) -> Vec<String> {
    wrong.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, why)| (*why).to_owned()).collect()
}
