//! What the settings name: whether it is there, and can be used. Nothing is bound, and nobody is asked.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use gavel_source::cluster;
use gavel_tls::{ServerFiles, ServerTls};

use super::{Config, DecisionLogMode, DecisionLogTarget};

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

    fn tls_errors(&self, warnings: &mut Vec<String>) -> Option<String> {
        let (cert, key) = self.access.tls_cert.clone().zip(self.access.tls_key.clone())?;
        let client_ca = self.access.tls_client_ca.clone();
        // Without authorities they mean nothing, which is told elsewhere.
        let client_crl = self.access.tls_client_crl.clone().filter(|_| client_ca.is_some());
        let files = ServerFiles { cert, key, client_ca, client_crl };
        match ServerTls::load(&files, &[b"h2"]) {
            Ok((tls, _)) if tls.not_after < SystemTime::now() => {
                Some(format!("TLS: {}: the certificate has expired", files.cert.display()))
            }
            Ok((_, found)) => {
                warnings.extend(found.into_iter().map(|warning| format!("TLS: {warning}")));
                None
            }
            Err(error) => Some(format!("TLS: {error}")),
        }
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
