//! What can be wrong with settings.

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The trust domain is none.
    #[error("--spiffe-trust-domain {domain:?}: {why}")]
    TrustDomain {
        /// What was given.
        domain: String,
        /// What is wrong with it.
        why: String,
    },
    /// Tokens are verified, and it is not said for whom they have to be.
    #[error(
        "--token-audience must be given and not be empty: tokens that are meant for others must not be taken"
    )]
    NoAudience,
    /// Keys without an issuer.
    #[error(
        "--token-keys needs --token-issuer: the issuer (`iss`) of the tokens that these keys sign, as in \
         `kubectl get --raw /.well-known/openid-configuration`"
    )]
    NoIssuer,
    /// The API server is needed, and there is no client for it.
    #[error("{flag} needs an API server to ask: say --kubeconfig FILE, or run in a pod")]
    NoCluster {
        /// What needs it.
        flag: &'static str,
    },
    /// The keys' file.
    #[error("--token-keys {0}")]
    Keys(#[from] gavel_tls::Error),
}
