//! `gavel admit`.

mod created;
mod review;
mod service_account;
mod workloads;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gavel_client::v1 as pb;

use crate::args::{Asking, Output};
use crate::ask::Asked;
use crate::outcome::Outcome;

pub(crate) use created::{Created, created};
pub(crate) use workloads::question;

/// May these pods be created?
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    asking: Asking,

    /// AdmissionReviews (admission.k8s.io/v1) in JSON or YAML, one or more a file; - is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "filename")]
    review: Vec<PathBuf>,

    /// Pods and workloads: asked for as their controllers would create the pods; - is standard input
    #[arg(long, short, value_name = "FILE", num_args = 1.., conflicts_with = "review")]
    filename: Vec<PathBuf>,

    /// Who creates the pods [default: the workload's controller; of a bare Pod, kubernetes-admin]
    #[arg(long = "as", value_name = "USER", conflicts_with = "review")]
    user: Option<String>,

    /// Groups of who creates the pods
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    groups: Vec<String>,

    /// Namespace of workloads that name none
    #[arg(long, short, value_name = "NS", default_value = "default")]
    namespace: String,

    /// Which half of admission to ask for
    #[arg(long, value_name = "PHASE", default_value = "mutate-and-validate")]
    phase: Phase,

    /// Which evaluators to ask; `none` admits everything
    #[arg(long, value_name = "NAME", default_value = "pod-security-policy")]
    evaluators: gavel_server::config::Evaluator,

    /// Tell of every policy: who may use it, what it objects to, what it would change
    #[arg(long)]
    explain: bool,
}

const EXAMPLES: &str = "\
Examples:
  gavel admit --manifests policies/ rbac/ -f deployment.yaml
  gavel admit --manifests policies/ rbac/ -f pod.yaml --as alice --as-group dev --explain
  gavel admit --manifests policies/ rbac/ --review review.json -o json
  kubectl create deployment web --image web --dry-run=client -o yaml | gavel admit --server 127.0.0.1:9470 -f -

Workloads are asked for as an API server would see their pods: with the service account's token volume, and with the
workload's controller as the user. -o json prints an AdmissionReview with its response a line.";

/// A half of admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// As an API server does: fill in defaults, then validate what came out
    MutateAndValidate,
    /// Fill in defaults
    Mutate,
    /// Take the pod as it is, or not at all
    Validate,
}

/// How all questions of one command are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) phase: pb::Phase,
    pub(crate) explain: bool,
    pub(crate) output: Output,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let asked = Asked::new(&arguments.asking).await?;
    let asked = if arguments.evaluators == gavel_server::config::Evaluator::None {
        asked.without_admission()?
    } else {
        asked
    };
    let options = Options {
        phase: match arguments.phase {
            Phase::MutateAndValidate => pb::Phase::MutateAndValidate,
            Phase::Mutate => pb::Phase::Mutate,
            Phase::Validate => pb::Phase::Validate,
        },
        explain: arguments.explain,
        output: arguments.asking.output,
    };
    if arguments.filename.is_empty() {
        return review::run(&asked, &arguments.review, options).await;
    }
    let requester = arguments.user.map(|username| pb::UserInfo {
        username,
        groups: arguments.groups,
        ..Default::default()
    });
    workloads::run(&asked, &arguments.filename, &arguments.namespace, requester.as_ref(), options).await
}
