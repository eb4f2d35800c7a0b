//! Settings: who may ask.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args};
use gavel_access::{Grant, TokenKeys};

/// Who may ask: certificates, tokens, grants. RBAC of the snapshot grants, too: API group `gavel.dev`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Who may ask")]
pub struct Access {
    /// Certificate chain to serve gRPC with on TCP sockets, in PEM; read again whenever it changes
    #[arg(long, value_name = "FILE", env = "GAVEL_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", env = "GAVEL_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Authorities of client certificates, in PEM. Callers are then who their certificate says (CN the user, O the
    /// groups, or a SPIFFE ID); whoever has none needs a token
    #[arg(long, value_name = "FILE", env = "GAVEL_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,

    /// Revocation lists of these authorities, in PEM: one of each
    #[arg(long, value_name = "FILE", env = "GAVEL_TLS_CLIENT_CRL")]
    pub tls_client_crl: Option<PathBuf>,

    /// Trust domain whose SPIFFE IDs are service accounts (spiffe://DOMAIN/ns/NAMESPACE/sa/NAME); those of others are
    /// refused. Without it a SPIFFE ID is a user name as it is
    #[arg(long, value_name = "DOMAIN", env = "GAVEL_SPIFFE_TRUST_DOMAIN")]
    pub spiffe_trust_domain: Option<String>,

    /// Take tokens of service accounts, and have the API server verify them (TokenReview)
    #[arg(long, env = "GAVEL_TOKEN_REVIEW", action = ArgAction::SetTrue)]
    pub token_review: bool,

    /// Take tokens of service accounts, and verify them by these keys: a JSON Web Key Set in a file, or `cluster` for the
    /// API server's. Needs --token-issuer
    #[arg(long, value_name = "FILE|cluster", env = "GAVEL_TOKEN_KEYS")]
    pub token_keys: Option<TokenKeys>,

    /// Issuer of the tokens that --token-keys verify: `iss`, which is the API server's --service-account-issuer
    #[arg(long, value_name = "ISSUER", env = "GAVEL_TOKEN_ISSUER")]
    pub token_issuer: Option<String>,

    /// Audience that tokens have to be for; one of these, if it is repeated
    #[arg(
        long,
        value_name = "NAME",
        env = "GAVEL_TOKEN_AUDIENCE",
        value_delimiter = ',',
        default_value = "gavel"
    )]
    pub token_audience: Vec<String>,

    /// What somebody may call, beside RBAC: user:NAME=CALL,CALL or group:NAME=CALL,CALL, of Admit, CheckFlow, Authorize,
    /// GetSnapshot, WatchSnapshot, WatchNodePods, Reflection, or `*`. May be repeated; `;` between them in the variable
    #[arg(long, value_name = "SUBJECT=CALLS", env = "GAVEL_GRANT", value_delimiter = ';')]
    pub grant: Vec<Grant>,

    /// Mode of the files of unix sockets, octal: whoever may write to one may ask [default: by umask]
    #[arg(long, value_name = "MODE", env = "GAVEL_UNIX_SOCKET_MODE")]
    pub unix_socket_mode: Option<Mode>,

    /// Allow gRPC, without authentication, on addresses that others can reach: whoever reaches the server learns about
    /// the cluster's policies
    #[arg(long, env = "GAVEL_INSECURE", action = ArgAction::SetTrue)]
    pub insecure: bool,

    /// Allow --admin-listen on an address that others can reach. Probes and metrics name no policies
    #[arg(long, env = "GAVEL_ADMIN_INSECURE", action = ArgAction::SetTrue)]
    pub admin_insecure: bool,
}

/// Permissions of a file, as chmod has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_octal =
            (3..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        match u32::from_str_radix(text, 8) {
            Ok(mode) if is_octal && mode <= 0o777 => Ok(Self(mode)),
            _ => Err("must be permissions in octal, such as 0660".to_owned()),
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Access {
    /// Whether callers on TCP sockets have to say who they are.
    pub fn is_authenticated(&self) -> bool {
        self.tls_client_ca.is_some() || self.token_review || self.token_keys.is_some()
    }

    /// What callers are authenticated by.
    pub fn settings(&self) -> gavel_access::Settings {
        gavel_access::Settings {
            spiffe_trust_domain: self.spiffe_trust_domain.clone(),
            token_review: self.token_review,
            token_keys: self.token_keys.clone(),
            token_issuer: self.token_issuer.clone(),
            token_audiences: self.token_audience.clone(),
            ..gavel_access::Settings::default()
        }
    }
}
