//! The server to ask: where it is, how it is known, and how it knows who asks.
//!
//! Environment variables are named after the flags. None of them is one that Kubernetes sets in pods beside a Service
//! called `gavel` or `gavel-server` (`GAVEL_SERVER_PORT=tcp://…`, `GAVEL_SERVER_SERVICE_HOST`): those all go on with
//! `_PORT` or `_SERVICE_` (`k8s.io/kubernetes/pkg/kubelet/envvars/envvars.go`).

use std::path::PathBuf;

use clap::Args;
use gavel_client::{Client, Security};

/// The server to ask.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Ask the server at this address: HOST:PORT, https://HOST:PORT, http://HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDR", env = "GAVEL_SERVER")]
    pub(crate) server: Option<String>,

    /// Ask it over TLS: the authorities of its certificate, in PEM, and no others
    #[arg(long, value_name = "FILE", env = "GAVEL_SERVER_CA", requires = "server", help_heading = TLS)]
    server_ca: Option<PathBuf>,

    /// Name that the server's certificate must be for [default: the host of the address]
    #[arg(long, value_name = "NAME", env = "GAVEL_SERVER_NAME", requires = "server_ca", help_heading = TLS)]
    server_name: Option<String>,

    /// Certificate to show to the server, followed by its intermediates, in PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "GAVEL_CLIENT_CERT",
        requires = "client_key",
        requires = "server_ca",
        help_heading = TLS
    )]
    client_cert: Option<PathBuf>,

    /// Private key of the client certificate, in PEM
    #[arg(long, value_name = "FILE", env = "GAVEL_CLIENT_KEY", requires = "client_cert", help_heading = TLS)]
    client_key: Option<PathBuf>,

    /// File with a token to show to the server, as `kubectl create token` prints it
    #[arg(long, value_name = "FILE", env = "GAVEL_TOKEN_FILE", requires = "server", help_heading = TLS)]
    token_file: Option<PathBuf>,

    /// Send the token also without TLS to an address that is not loopback: whoever sees the packets can use it
    #[arg(long, env = "GAVEL_TOKEN_WITHOUT_TLS", requires = "token_file", help_heading = TLS)]
    token_without_tls: bool,
}

const TLS: &str = "TLS and credentials";

impl Server {
    /// Connects to the server, if one is named.
    pub(crate) async fn connect(&self) -> anyhow::Result<Option<Client>> {
        let Self { server, server_ca, server_name, client_cert, client_key, token_file, token_without_tls } =
            self;
        let Some(address) = server else {
            // clap does not demand what is in conflict with something that is there.
            let files =
                [("--server-ca", server_ca), ("--client-cert", client_cert), ("--token-file", token_file)];
            if let Some((flag, _)) = files.iter().find(|(_, file)| file.is_some()) {
                anyhow::bail!("{flag} goes with --server");
            }
            return Ok(None);
        };
        let mut security = Security::default();
        security.server_ca.clone_from(server_ca);
        security.server_name.clone_from(server_name);
        security.client_cert_and_key = client_cert.clone().zip(client_key.clone());
        security.token_file.clone_from(token_file);
        security.token_without_tls = *token_without_tls;
        Ok(Some(Client::connect_with(address, &security).await?))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        _server: super::Server,
    }

    /// What the kubelet sets in pods beside our Services must not be taken for settings.
    #[test]
    fn no_variable_is_a_service_link() {
        for argument in Alone::command().get_arguments() {
            let Some(name) = argument.get_env().and_then(|name| name.to_str()) else { continue };
            assert!(
                name.starts_with("GAVEL_") && !name.contains("_PORT") && !name.contains("_SERVICE_"),
                "{name}"
            );
        }
    }
}
