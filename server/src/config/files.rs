//! What the settings name: whether it is there, and can be used. Nothing is bound, and nobody is asked.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use gavel_source::cluster;
use gavel_tls::{ClientFiles, ClientTls, ServerFiles, ServerTls};

use super::{Config, DecisionLogMode, DecisionLogTarget, Listen};

impl Config {
    /// Everything that is wrong: what cannot go together, and what the settings name and cannot be used. What can be
    /// used, and is not as it should be, goes to `warnings`. Called within a tokio runtime.
    pub async fn check(&self, warnings: &mut Vec<String>) -> Vec<String> {
        let mut errors = self.combination_errors();
        for path in &self.manifests {
            // A folder has to be listed, a file has to be read.
            let read = if path.is_dir() {
                std::fs::read_dir(path).map(drop)
            } else {
                std::fs::File::open(path).map(drop)
            };
            errors.extend(read.err().map(|error| format!("--manifests {}: {error}", path.display())));
        }
        if self.asks_the_cluster()
            && let Err(error) = cluster::check(self.kubeconfig.as_deref(), self.context.as_deref()).await
        {
            errors.push(format!("{}: {error}", self.cluster_flag()));
        }
        if let Some(folder) = &self.state_dir {
            errors.extend(told("--state-dir", folder, can_write_into(folder)));
        }
        errors.extend(self.socket_errors());
        errors.extend(self.tls_errors(warnings));
        errors.extend(self.access.settings().check_files().iter().map(ToString::to_string));
        errors.extend(gavel_telemetry::check(&self.telemetry.settings()).iter().map(ToString::to_string));
        if self.telemetry.decision_log != DecisionLogMode::Off
            && let DecisionLogTarget::File(path) = &self.telemetry.decision_log_to
        {
            errors.extend(told("--decision-log-to", path, can_append(path)));
        }
        errors
    }

    /// Which flag has an API server asked, and how.
    fn cluster_flag(&self) -> String {
        match (&self.kubeconfig, self.cluster, self.access.token_review) {
            (Some(path), ..) => format!("--kubeconfig {}", path.display()),
            (None, true, _) => "--cluster".to_owned(),
            (None, false, true) => "--token-review".to_owned(),
            (None, false, false) => "--token-keys cluster".to_owned(),
        }
    }

    /// The folder of a unix socket has to be there; it is not made.
    fn socket_errors(&self) -> Vec<String> {
        let error = |listen: &Listen| {
            let Listen::Unix(path) = listen else { return None };
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
            let is_folder = folder.is_dir();
            (!is_folder).then(|| format!("--listen {listen}: {} is no folder", folder.display()))
        };
        self.listen.iter().filter_map(error).collect()
    }

    /// What is wrong with the server's own certificate, and with the authorities of its clients; only where nothing is,
    /// their revocation lists can be looked at.
    fn tls_errors(&self, warnings: &mut Vec<String>) -> Vec<String> {
        let access = &self.access;
        let Some((cert, key)) = access.tls_cert.clone().zip(access.tls_key.clone()) else {
            return Vec::new();
        };
        let own = ServerFiles { cert, key, client_ca: None, client_crl: None };
        let mut errors = Vec::new();
        match ServerTls::load(&own, &[b"h2"]) {
            Ok((tls, _)) if tls.not_after < SystemTime::now() => {
                errors.push(format!("TLS: {}: the certificate has expired", own.cert.display()));
            }
            Ok((_, found)) => warnings.extend(found.into_iter().map(|warning| format!("TLS: {warning}"))),
            Err(error) => errors.push(format!("TLS: {error}")),
        }
        // Without authorities, revocation lists mean nothing, which is told elsewhere.
        let Some(ca) = access.tls_client_ca.clone() else { return errors };
        let authorities = ClientFiles { ca: ca.clone(), cert_and_key: None };
        let of_authorities = ClientTls::load(&authorities, &[b"h2"]).err();
        errors.extend(of_authorities.map(|error| format!("TLS: {error}")));
        if errors.is_empty() {
            let all = ServerFiles { client_ca: Some(ca), client_crl: access.tls_client_crl.clone(), ..own };
            errors.extend(ServerTls::load(&all, &[b"h2"]).err().map(|error| format!("TLS: {error}")));
        }
        errors
    }
}

fn told(flag: &str, path: &Path, tried: io::Result<()>) -> Option<String> {
    tried.err().map(|error| format!("{flag} {}: cannot be written to: {error}", path.display()))
}

/// Whether a file can be made in a folder: the only way to know is to make one. A folder that is not there yet is made by
/// the server, if what it is in can be written to.
fn can_write_into(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|ancestor| ancestor.exists());
    let there = there.unwrap_or(Path::new(""));
    make_and_remove(&there.join(format!(".gavel-check-{}", std::process::id())))
}

/// Whether a file can be written on, or made. Its folder has to be there.
fn can_append(path: &Path) -> io::Result<()> {
    if path.exists() {
        return std::fs::OpenOptions::new().append(true).open(path).map(drop);
    }
    let mut name: OsString = path.into();
    name.push(format!(".gavel-check-{}", std::process::id()));
    make_and_remove(Path::new(&name))
}

fn make_and_remove(path: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    std::fs::remove_file(path)
}
