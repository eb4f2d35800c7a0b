//! Flags of programs that ask servers: how these are reached, and who asks them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gavel_tls::{ClientFiles, ClientTls};

use crate::Security;

/// How the servers are reached, and who asks them. Variables are named by the program.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Servers")]
pub struct Access {
    /// Ask servers over TLS: the authorities of their certificates, in PEM, and no others. Read again when changed.
    /// Over unix sockets no TLS is spoken
    #[arg(long, value_name = "FILE")]
    pub server_ca: Option<PathBuf>,

    /// Name that the servers' certificates must be for [default: the host of the address]
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,

    /// Certificate to show to the servers, followed by its intermediates, in PEM. Read again when changed
    #[arg(long, value_name = "FILE")]
    pub client_cert: Option<PathBuf>,

    /// Private key of the client certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub client_key: Option<PathBuf>,

    /// Token to send to the servers (`authorization: Bearer …`), such as a service account's. Read again when changed
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Send the token also without TLS to addresses that are not loopback: whoever sees the packets can use it
    #[arg(long)]
    pub token_without_tls: bool,
}

impl Access {
    /// The same, as clients take it.
    pub fn security(&self, reload_every: Duration) -> Security {
        let Self { server_ca, server_name, client_cert, client_key, token_file, token_without_tls } =
            self.clone();
        Security {
            server_ca,
            server_name,
            client_cert_and_key: client_cert.zip(client_key),
            token_file,
            token_without_tls,
            reload_every,
        }
    }

    /// What cannot go together, all of it.
    pub fn combination_errors(&self) -> Vec<String> {
        let Self { server_ca, server_name, client_cert, client_key, token_file, token_without_tls } = self;
        let wrong = [
            (server_name.is_some() && server_ca.is_none(), "--server-name goes with --server-ca"),
            (client_cert.is_some() != client_key.is_some(), "--client-cert and --client-key go together"),
            (client_cert.is_some() && server_ca.is_none(), "--client-cert goes with --server-ca"),
            (*token_without_tls && token_file.is_none(), "--token-without-tls goes with --token-file"),
        ];
        wrong.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, why)| why.to_owned()).collect()
    }

    /// What these flags, and `servers`, name and cannot be used. What can be used, and is not as it should be, goes to
    /// `warnings`. What cannot go together is not told here. Nobody is asked.
    pub fn check(&self, servers: &[String], warnings: &mut Vec<String>) -> Vec<String> {
        if let Some(ca) = self.server_ca.clone() {
            let files =
                ClientFiles { ca, cert_and_key: self.client_cert.clone().zip(self.client_key.clone()) };
            // What cannot be used is told below.
            if let Ok((_, found)) = ClientTls::load(&files, &[b"h2"]) {
                warnings.extend(found.iter().map(|warning| format!("--server: {warning}")));
            }
        }
        let mut security = self.security(Duration::ZERO);
        if security.server_ca.is_none() {
            // Told as what cannot go together, in the words of settings.
            security.server_name = None;
            security.client_cert_and_key = None;
        }
        crate::check(servers, &security).iter().map(|error| format!("--server: {error}")).collect()
    }
}
