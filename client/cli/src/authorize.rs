//! `gavel authorize`.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use gavel_client::v1 as pb;
use serde::{Deserialize, Serialize};
use std::io::Write as _;

use crate::args::{Asking, Output};
use crate::ask::{Asked, Refused};
use crate::check_flow::BadLine;
use crate::input;
use crate::outcome::Outcome;
use crate::render::style;

/// May somebody do something, by RBAC?
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    asking: Asking,

    /// The verb: get, list, create, use, …
    #[arg(required_unless_present = "requests")]
    verb: Option<String>,

    /// RESOURCE, RESOURCE.GROUP, either with /NAME; or a path that begins with /
    #[arg(required_unless_present = "requests")]
    resource: Option<String>,

    /// Subresource, such as log
    #[arg(long, value_name = "NAME", default_value = "")]
    subresource: String,

    /// Who asks; a service account is system:serviceaccount:NAMESPACE:NAME
    #[arg(long = "as", value_name = "USER", default_value = "")]
    user: String,

    /// Groups of who asks
    #[arg(long = "as-group", value_name = "GROUP")]
    groups: Vec<String>,

    /// Namespace; without it the question is cluster-wide
    #[arg(long, short, value_name = "NS", default_value = "")]
    namespace: String,

    /// File with one SubjectAccessReview, or its spec, as JSON a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["verb", "resource", "user", "groups"])]
    requests: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  gavel authorize use podsecuritypolicies/restricted --as alice -n shop --manifests rbac/
  gavel authorize get pods --subresource log --as system:serviceaccount:shop:web -n shop --server 127.0.0.1:9470
  gavel authorize get /healthz --as-group system:authenticated --manifests rbac/
  gavel authorize --requests reviews.jsonl -o json --manifests rbac/";

/// `SubjectAccessReviewSpec`, also inside of a whole SubjectAccessReview.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Review {
    spec: Option<Box<Review>>,
    user: String,
    groups: Vec<String>,
    uid: String,
    extra: HashMap<String, Vec<String>>,
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<NonResourceAttributes>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceAttributes {
    namespace: String,
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NonResourceAttributes {
    path: String,
    verb: String,
}

/// `SubjectAccessReviewStatus`.
#[derive(Serialize)]
struct Status<'a> {
    allowed: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let asked = Asked::new(&arguments.asking).await?;
    let output = arguments.asking.output;
    let Some(path) = &arguments.requests else {
        let request = arguments.request();
        return match asked.authorize(request).await? {
            Ok(answer) => print(&answer, output),
            Err(refused) => anyhow::bail!("{refused}"),
        };
    };
    let (bytes, name) = input::read(path)?;
    let mut outcome = Outcome::Yes;
    for (number, line) in input::lines(&bytes, &name)? {
        let refused = match serde_json::from_str::<Review>(line) {
            Err(error) => {
                Refused { field: String::new(), message: format!("not a SubjectAccessReview: {error}") }
            }
            Ok(review) => match asked.authorize(review.into()).await? {
                Ok(answer) => {
                    outcome = outcome.max(print(&answer, output)?);
                    continue;
                }
                Err(refused) => refused,
            },
        };
        outcome = outcome.max(BadLine::new(&name, number, refused).print(output)?);
    }
    Ok(outcome)
}

fn print(answer: &pb::AuthorizeResponse, output: Output) -> anyhow::Result<Outcome> {
    let mut out = anstream::stdout();
    match output {
        Output::Json => {
            let status = Status { allowed: answer.allowed, reason: &answer.reason };
            writeln!(out, "{}", serde_json::to_string(&status)?)?;
        }
        Output::Text => {
            let word = if answer.allowed { style::good("yes") } else { style::error("no") };
            let reason = if answer.reason.is_empty() { "no binding grants it" } else { &answer.reason };
            writeln!(out, "{word}: {reason}")?;
        }
    }
    Ok(Outcome::of(answer.allowed))
}

impl Arguments {
    fn request(&self) -> pb::AuthorizeRequest {
        let verb = self.verb.clone().unwrap_or_default();
        let what = self.resource.as_deref().unwrap_or_default();
        let mut request = pb::AuthorizeRequest {
            user: self.user.clone(),
            groups: self.groups.clone(),
            ..Default::default()
        };
        if what.starts_with('/') {
            request.non_resource_attributes = Some(pb::NonResourceAttributes { path: what.to_owned(), verb });
        } else {
            let (resource, name) = what.split_once('/').unwrap_or((what, ""));
            let (resource, group) = match resource.split_once('.') {
                Some((resource, group)) => (resource, group),
                None => (resource, group_of(resource)),
            };
            request.resource_attributes = Some(pb::ResourceAttributes {
                namespace: self.namespace.clone(),
                verb,
                group: group.to_owned(),
                version: String::new(),
                resource: resource.to_owned(),
                subresource: self.subresource.clone(),
                name: name.to_owned(),
            });
        }
        request
    }
}

/// The API group of a well-known resource that is named without one, where kubectl would ask the API server.
fn group_of(resource: &str) -> &'static str {
    match resource {
        "podsecuritypolicies" | "poddisruptionbudgets" => "policy",
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "controllerrevisions" => "apps",
        "jobs" | "cronjobs" => "batch",
        "networkpolicies" | "ingresses" | "ingressclasses" => "networking.k8s.io",
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => "rbac.authorization.k8s.io",
        "horizontalpodautoscalers" => "autoscaling",
        "storageclasses" | "volumeattachments" | "csidrivers" | "csinodes" => "storage.k8s.io",
        "customresourcedefinitions" => "apiextensions.k8s.io",
        "leases" => "coordination.k8s.io",
        _ => "",
    }
}

impl From<Review> for pb::AuthorizeRequest {
    fn from(review: Review) -> Self {
        let Review { spec, user, groups, uid, extra, resource_attributes, non_resource_attributes } = review;
        if let Some(spec) = spec {
            return (*spec).into();
        }
        pb::AuthorizeRequest {
            user,
            groups,
            uid,
            extra: extra.into_iter().map(|(key, items)| (key, pb::ExtraValue { items })).collect(),
            resource_attributes: resource_attributes.map(|attributes| {
                let ResourceAttributes { namespace, verb, group, version, resource, subresource, name } =
                    attributes;
                pb::ResourceAttributes { namespace, verb, group, version, resource, subresource, name }
            }),
            non_resource_attributes: non_resource_attributes
                .map(|NonResourceAttributes { path, verb }| pb::NonResourceAttributes { path, verb }),
            consistency: None,
        }
    }
}
