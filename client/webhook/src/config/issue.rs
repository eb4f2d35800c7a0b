//! What a certificate that is issued here is for, and where it is kept.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Issue a certificate authority and a serving certificate, where there is no cert-manager
///
/// What is there already is kept, unless it is for other names, or a third of its life or less is left. The authority's
/// key is not kept: it signs one certificate and is forgotten.
#[derive(Clone, Debug, Args)]
#[command(after_help = ISSUE_EXAMPLES)]
pub struct IssueCertificate {
    /// Secret of type kubernetes.io/tls to keep it in: ca.crt, tls.crt, tls.key
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        env = "GAVEL_WEBHOOK_SECRET",
        required_unless_present = "out",
        conflicts_with = "out"
    )]
    pub secret: Option<SecretName>,

    /// Folder to keep it in, as ca.crt, tls.crt and tls.key
    #[arg(long, value_name = "DIR", env = "GAVEL_WEBHOOK_OUT")]
    pub out: Option<PathBuf>,

    /// What it is for, and who has to trust it
    #[command(flatten)]
    pub issue: Issue,
}

/// What an issued certificate is for, and who has to trust it.
#[derive(Clone, Debug, Default, Args)]
pub struct Issue {
    /// DNS names (NAME.NAMESPACE.svc of the webhook's Service) or IP addresses of the certificate. May be repeated
    #[arg(long, value_name = "NAME", env = "GAVEL_WEBHOOK_DNS_NAME", num_args = 1.., value_delimiter = ',')]
    pub dns_name: Vec<String>,

    /// Mutating- or ValidatingWebhookConfigurations whose webhooks get the authority as their caBundle. May be repeated
    #[arg(
        long,
        value_name = "NAME",
        env = "GAVEL_WEBHOOK_WEBHOOK_CONFIGURATION",
        num_args = 1..,
        value_delimiter = ','
    )]
    pub webhook_configuration: Vec<String>,

    /// How long an issued certificate is good for
    #[arg(
        long,
        value_name = "DAYS",
        env = "GAVEL_WEBHOOK_DAYS",
        default_value_t = 365,
        value_parser = clap::value_parser!(u16).range(1..=3650)
    )]
    pub days: u16,

    /// Kubeconfig by which to reach the API server [default: $KUBECONFIG, ~/.kube/config, or that of the pod]
    #[arg(long, value_name = "FILE", env = "GAVEL_WEBHOOK_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", env = "GAVEL_WEBHOOK_CONTEXT")]
    pub context: Option<String>,
}

const ISSUE_EXAMPLES: &str = "\
Examples:
  gavel-webhook issue-certificate --out ./certificate --dns-name 127.0.0.1
  gavel-webhook issue-certificate --secret gavel-system/gavel-webhook-tls \\
    --dns-name gavel-webhook.gavel-system.svc --webhook-configuration gavel";

/// A Secret's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("must be NAMESPACE/NAME".to_owned()),
        }
    }
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
