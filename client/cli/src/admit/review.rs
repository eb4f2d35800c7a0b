//! AdmissionReviews in, AdmissionReviews with their response out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gavel_client::v1 as pb;
use gavel_source::{Located, ManifestError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write as _;

use super::Options;
use crate::args::Output;
use crate::ask::Asked;
use crate::outcome::Outcome;
use crate::{input, render};

/// `AdmissionRequest` of `admission.k8s.io/v1`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    uid: String,
    resource: Option<Resource>,
    sub_resource: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    operation: String,
    user_info: Option<UserInfo>,
    object: Value,
    old_object: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    group: String,
    version: String,
    resource: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    username: String,
    uid: String,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

/// `AdmissionReview`, with its response alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'a str, &'a str>,
}

/// `metav1.Status` of a refusal.
#[derive(Serialize)]
struct Status<'a> {
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    code: i32,
}

pub(super) async fn run(asked: &Asked, paths: &[PathBuf], options: Options) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Yes;
    for path in paths {
        let (bytes, name) = input::read(path)?;
        let documents = gavel_source::manifests::documents(&bytes, &name);
        if documents.is_empty() {
            outcome = outcome.max(bad(&format!("{name}: there is no AdmissionReview in it")));
        }
        for document in documents {
            outcome = outcome.max(one(asked, document, options).await?);
        }
    }
    Ok(outcome)
}

async fn one(
    asked: &Asked,
    document: Result<Located<Value>, ManifestError>,
    options: Options,
) -> anyhow::Result<Outcome> {
    let Located { place, item } = match document {
        Ok(document) => document,
        Err(error) => return Ok(bad(&error.to_string())),
    };
    let request = match read(item, options) {
        Ok(request) => request,
        Err((field, message)) => return Ok(bad(&format!("{place}, AdmissionReview: {field}: {message}"))),
    };
    match asked.admit(request.clone()).await? {
        Ok(answer) => {
            print(&request, &answer, options.output)?;
            Ok(Outcome::of(answer.allowed))
        }
        Err(refused) => {
            // The wire's names of the object's fields are those of the review.
            Ok(bad(&format!("{place}, AdmissionReview: request.{refused}")))
        }
    }
}

fn bad(message: &str) -> Outcome {
    anstream::eprintln!("{}: {message}", render::style::error("error"));
    Outcome::Bad
}

/// An AdmissionReview as a question; or the field that is wrong, and how.
fn read(review: Value, options: Options) -> Result<pb::AdmitRequest, (String, String)> {
    let fail = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
    let text = |field: &str| review.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("kind") != "AdmissionReview" {
        return fail("kind", "must be AdmissionReview");
    }
    if text("apiVersion") != "admission.k8s.io/v1" {
        return fail("apiVersion", "must be admission.k8s.io/v1");
    }
    let request = match review {
        Value::Object(mut fields) => fields.remove("request").unwrap_or_default(),
        _ => Value::Null,
    };
    if !request.is_object() {
        return fail("request", "must be set: what is asked for?");
    }
    let request: Request = serde_path_to_error::deserialize(request)
        .map_err(|error| (format!("request.{}", error.path()), error.inner().to_string()))?;
    let Request { uid, resource, sub_resource, name, namespace, operation, user_info, object, old_object } =
        request;
    if uid.is_empty() {
        return fail("request.uid", "must be set: the response is known by it");
    }
    let operation = match operation.as_str() {
        "CREATE" => pb::Operation::Create,
        "UPDATE" => pb::Operation::Update,
        "DELETE" => pb::Operation::Delete,
        "CONNECT" => pb::Operation::Connect,
        _ => return fail("request.operation", "must be CREATE, UPDATE, DELETE or CONNECT"),
    };
    let Some(UserInfo { username, uid: user_uid, groups, extra }) = user_info else {
        return fail("request.userInfo", "must be set: who asks?");
    };
    let bytes = |value: &Value| if value.is_null() { Vec::new() } else { value.to_string().into_bytes() };
    Ok(pb::AdmitRequest {
        uid,
        operation: operation.into(),
        namespace: namespace.unwrap_or_default(),
        name: name.unwrap_or_default(),
        user: Some(pb::UserInfo {
            username,
            groups: groups.unwrap_or_default(),
            uid: user_uid,
            extra: extra
                .unwrap_or_default()
                .into_iter()
                .map(|(key, items)| (key, pb::ExtraValue { items }))
                .collect(),
        }),
        object: bytes(&object).into(),
        old_object: bytes(&old_object).into(),
        phase: options.phase.into(),
        explain: options.explain,
        subresource: sub_resource.unwrap_or_default(),
        resource: resource.map(|Resource { group, version, resource }| pb::GroupVersionResource {
            group,
            version,
            resource,
        }),
        consistency: None,
    })
}

/// Prints an answer; in JSON as an AdmissionReview.
pub(super) fn print(
    request: &pb::AdmitRequest,
    answer: &pb::AdmitResponse,
    output: Output,
) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    match output {
        Output::Json => writeln!(out, "{}", json(answer)?)?,
        Output::Text => {
            let name = if request.name.is_empty() { &request.uid } else { &request.name };
            let what = format!("Pod {}/{name}", request.namespace);
            write!(out, "{}", render::admission::text(&what, answer))?;
        }
    }
    Ok(())
}

/// An answer as an AdmissionReview.
///
/// The keys of audit annotations are those of Kubernetes' own admission plugin.
pub(super) fn json(answer: &pb::AdmitResponse) -> anyhow::Result<String> {
    let has_patch = !answer.patch.is_empty();
    Ok(serde_json::to_string(&Answered {
        api_version: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response: Response {
            uid: &answer.uid,
            allowed: answer.allowed,
            status: (!answer.allowed).then_some(Status {
                status: "Failure",
                message: &answer.message,
                reason: "Forbidden",
                code: answer.code,
            }),
            patch_type: has_patch.then_some("JSONPatch"),
            patch: has_patch.then(|| BASE64.encode(&answer.patch)),
            warnings: &answer.warnings,
            audit_annotations: answer
                .audit_annotations
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
        },
    })?)
}
