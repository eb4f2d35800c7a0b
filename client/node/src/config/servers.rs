//! How the servers are reached, and who asks them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gavel_client::Security;

/// How the servers are reached, and who asks them.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Servers")]
pub struct Access {
    /// Ask servers over TLS: the authorities of their certificates, in PEM, and no others. Read again when changed.
    /// Over unix sockets no TLS is spoken
    #[arg(long, value_name = "FILE", env = "GAVEL_NODE_SERVER_CA")]
    pub server_ca: Option<PathBuf>,

    /// Name that the servers' certificates must be for [default: the host of the address]
    #[arg(long, value_name = "NAME", env = "GAVEL_NODE_SERVER_NAME")]
    pub server_name: Option<String>,

    /// Certificate to show to the servers, followed by its intermediates, in PEM. Read again when changed
    #[arg(long, value_name = "FILE", env = "GAVEL_NODE_CLIENT_CERT")]
    pub client_cert: Option<PathBuf>,

    /// Private key of the client certificate, in PEM
    #[arg(long, value_name = "FILE", env = "GAVEL_NODE_CLIENT_KEY")]
    pub client_key: Option<PathBuf>,

    /// Token to send to the servers (`authorization: Bearer …`), such as a service account's. Read again when changed
    #[arg(long, value_name = "FILE", env = "GAVEL_NODE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,

    /// Send the token also without TLS to addresses that are not loopback: whoever sees the packets can use it
    #[arg(long, env = "GAVEL_NODE_TOKEN_WITHOUT_TLS")]
    pub token_without_tls: bool,
}

impl Access {
    /// The same, as the client library takes it.
    pub(crate) fn security(&self, reload: Duration) -> Security {
        let mut security = Security::default();
        security.server_ca.clone_from(&self.server_ca);
        security.server_name.clone_from(&self.server_name);
        security.client_cert_and_key = self.client_cert.clone().zip(self.client_key.clone());
        security.token_file.clone_from(&self.token_file);
        security.token_without_tls = self.token_without_tls;
        security.reload_every = reload;
        security
    }
}
