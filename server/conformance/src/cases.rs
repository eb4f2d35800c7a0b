//! Every form of case file, read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use flate2::read::GzDecoder;
use gavel_proto::v1 as pb;
use serde::Deserialize;
use serde_json::Value;

use crate::question::{Flow, Question};

/// Questions about one set of objects, and their answers.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// What the questions are about.
    pub objects: Vec<Value>,
    /// What is asked, and what Kubernetes answers.
    pub questions: Vec<(Question, Expected)>,
}

/// What Kubernetes answers.
#[derive(Clone, Debug)]
pub enum Expected {
    /// An admission; with the object that the patch is held against.
    Admission(Box<ExpectedAdmission>, Value),
    /// A flow, as far as the case tells.
    Flow(ExpectedFlow),
    /// An authorization; any of the reasons is right.
    Authorization {
        /// Whether it is granted.
        allowed: bool,
        /// Kubernetes visits bindings in no order, so that there may be several.
        reasons: Vec<String>,
    },
}

/// `expect` of a `psp` case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExpectedAdmission {
    /// Whether the pod is admitted.
    pub allowed: bool,
    /// `admit`, `validate`, `ignored`, or `unhandled`.
    pub stage: String,
    /// In Kubernetes' words.
    pub message: String,
    /// The policy chosen in the mutate phase.
    pub psp: String,
    /// The policy chosen in the validate phase.
    pub validate_psp: String,
    /// A patch that leads to the admitted pod; `None`: not to be compared.
    pub patch: Value,
    /// Each usable policy's part of the message.
    pub denials: BTreeMap<String, String>,
}

/// What a case tells of a flow.
#[derive(Clone, Copy, Debug)]
pub enum ExpectedFlow {
    /// Everything.
    Whole(Flow),
    /// Whether it is allowed.
    Allowed(bool),
}

/// The cases of a file `*.jsonl.gz`, or of a folder with `manifests.yaml` and `checks.jsonl`.
///
/// # Errors
/// When there is no such file, or it is of no known form.
pub fn read(path: &Path) -> anyhow::Result<Vec<Case>> {
    if path.is_dir() {
        return Ok(vec![folder(path).with_context(|| path.display().to_string())?]);
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let form = match name.split('.').next().unwrap_or_default() {
        "psp" => psp,
        "rbac" => rbac,
        "netpol" => netpol,
        other => bail!("{}: cases called {other} are of no known form", path.display()),
    };
    let mut text = String::new();
    GzDecoder::new(File::open(path).with_context(|| path.display().to_string())?)
        .read_to_string(&mut text)?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            let value = serde_json::from_str(line)?;
            form(&value).with_context(|| format!("{name}, line {}", index + 1))
        })
        .collect()
}

/// The folders of cases below a folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn folders(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry?.path();
        if entry.join("checks.jsonl").is_file() {
            folders.push(entry);
        }
    }
    folders.sort();
    Ok(folders)
}

fn list(case: &Value, field: &str) -> Vec<Value> {
    case.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn strings(value: &Value, field: &str) -> Vec<String> {
    list(value, field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `{policies, rbac, request, raw, expect}`. Of a pod that is created, the raw one has the same decision.
fn psp(case: &Value) -> anyhow::Result<Case> {
    let request = case.get("request").context("request")?;
    let expected: ExpectedAdmission =
        serde_json::from_value(case.get("expect").cloned().unwrap_or_default())?;
    let operation = match text(request, "operation").as_str() {
        "CREATE" => pb::Operation::Create,
        "UPDATE" => pb::Operation::Update,
        "DELETE" => pb::Operation::Delete,
        "CONNECT" => pb::Operation::Connect,
        other => bail!("operation {other}"),
    };
    let phase = match text(request, "phase").as_str() {
        "" => pb::Phase::MutateAndValidate,
        "validate" => pb::Phase::Validate,
        other => bail!("phase {other}"),
    };
    let user = request.get("user").context("request.user")?;
    let bytes = |value: &Value| if value.is_null() { Vec::new() } else { value.to_string().into_bytes() };
    let question = |object: &Value| {
        Question::Admit(Box::new(pb::AdmitRequest {
            uid: "case".to_owned(),
            operation: operation.into(),
            namespace: text(request, "namespace"),
            name: text(request, "name"),
            user: Some(pb::UserInfo {
                username: text(user, "name"),
                groups: strings(user, "groups"),
                ..Default::default()
            }),
            object: bytes(object).into(),
            old_object: bytes(request.get("oldObject").unwrap_or(&Value::Null)).into(),
            phase: phase.into(),
            explain: false,
            consistency: None,
            set_seccomp_fields: false,
            subresource: text(request, "subresource"),
            resource: None,
            pod: None,
            old_pod: None,
        }))
    };
    let object = request.get("object").context("request.object")?;
    let mut questions =
        vec![(question(object), Expected::Admission(Box::new(expected.clone()), object.clone()))];
    if let (pb::Operation::Create, Some(raw)) = (operation, case.get("raw")) {
        // The patch of the case leads from the defaulted object; the raw one's is its own.
        let expected = ExpectedAdmission { patch: Value::Null, ..expected };
        questions.push((question(raw), Expected::Admission(Box::new(expected), Value::Null)));
    }
    Ok(Case {
        id: text(case, "id"),
        objects: [list(case, "policies"), list(case, "rbac")].concat(),
        questions,
    })
}

/// `{rbac, attributes, expect}`.
fn rbac(case: &Value) -> anyhow::Result<Case> {
    let attributes = case.get("attributes").context("attributes")?;
    let expect = case.get("expect").context("expect")?;
    let of = |field: &str| text(attributes, field);
    let is_path = attributes.get("path").is_some();
    let request = pb::AuthorizeRequest {
        user: of("user"),
        groups: strings(attributes, "groups"),
        resource_attributes: (!is_path).then(|| pb::ResourceAttributes {
            namespace: of("namespace"),
            verb: of("verb"),
            group: of("apiGroup"),
            version: "*".to_owned(),
            resource: of("resource"),
            subresource: of("subresource"),
            name: of("name"),
        }),
        non_resource_attributes: is_path
            .then(|| pb::NonResourceAttributes { path: of("path"), verb: of("verb") }),
        ..Default::default()
    };
    let mut reasons = strings(expect, "reasons");
    reasons.push(text(expect, "reason"));
    let allowed = expect.get("allowed").and_then(Value::as_bool).context("expect.allowed")?;
    Ok(Case {
        id: text(case, "id"),
        objects: list(case, "rbac"),
        questions: vec![(
            Question::Authorize(Box::new(request)),
            Expected::Authorization { allowed, reasons },
        )],
    })
}

/// `{namespaces, pods, policies, traffic, expect}`. Each end that is a pod is asked for by its address and by its name.
fn netpol(case: &Value) -> anyhow::Result<Case> {
    let traffic = case.get("traffic").context("traffic")?;
    let expect = case.get("expect").context("expect")?;
    let is =
        |field: &str| expect.get(field).and_then(Value::as_bool).with_context(|| format!("expect.{field}"));
    let expected = ExpectedFlow::Whole(Flow {
        allowed: is("allowed")?,
        egress: is("egress")?,
        ingress: is("ingress")?,
        egress_isolated: is("egressIsolated")?,
        ingress_isolated: is("ingressIsolated")?,
    });
    let end = |field: &str, by_name: bool| -> anyhow::Result<pb::End> {
        let end = traffic.get(field).with_context(|| format!("traffic.{field}"))?;
        let ip = text(end, "ip");
        let pod = text(end, "pod");
        let end = match pod.split_once('/') {
            Some((namespace, name)) if by_name => {
                pb::end::End::Pod(pb::PodRef { namespace: namespace.to_owned(), name: name.to_owned(), ip })
            }
            _ => pb::end::End::Ip(ip),
        };
        Ok(pb::End { end: Some(end) })
    };
    let mut questions = Vec::new();
    for by_name in [false, true] {
        let request = pb::CheckFlowRequest {
            source: Some(end("from", by_name)?),
            destination: Some(end("to", by_name)?),
            protocol: protocol(&text(traffic, "protocol"))?.into(),
            port: port(traffic)?,
            explain: false,
            consistency: None,
        };
        questions.push((Question::CheckFlow(Box::new(request)), Expected::Flow(expected)));
    }
    let objects = [list(case, "namespaces"), list(case, "pods"), list(case, "policies")].concat();
    Ok(Case { id: text(case, "id"), objects, questions })
}

fn protocol(name: &str) -> anyhow::Result<pb::Protocol> {
    pb::Protocol::from_str_name(&format!("PROTOCOL_{name}")).with_context(|| format!("protocol {name}"))
}

fn port(value: &Value) -> anyhow::Result<u32> {
    Ok(u32::try_from(value.get("port").and_then(Value::as_u64).context("port")?)?)
}

/// `manifests.yaml`, and `checks.jsonl` with `{source, destination, protocol, port, allowed}`.
fn folder(path: &Path) -> anyhow::Result<Case> {
    let id = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let manifests = std::fs::read(path.join("manifests.yaml"))?;
    let mut objects = Vec::new();
    for document in gavel_source::manifests::documents(&manifests, "manifests.yaml") {
        objects.push(document?.item);
    }
    let mut questions = Vec::new();
    for line in std::fs::read_to_string(path.join("checks.jsonl"))?.lines().filter(|line| !line.is_empty()) {
        let check: Value = serde_json::from_str(line)?;
        let request = pb::CheckFlowRequest {
            source: Some(workload_or_ip(&check, "source")?),
            destination: Some(workload_or_ip(&check, "destination")?),
            protocol: protocol(&text(&check, "protocol"))?.into(),
            port: port(&check)?,
            explain: false,
            consistency: None,
        };
        let allowed = check.get("allowed").and_then(Value::as_bool).context("allowed")?;
        questions
            .push((Question::CheckFlow(Box::new(request)), Expected::Flow(ExpectedFlow::Allowed(allowed))));
    }
    Ok(Case { id, objects, questions })
}

/// `{"ip": …}` or `{"workload": "namespace/name[Kind]"}`.
fn workload_or_ip(check: &Value, field: &str) -> anyhow::Result<pb::End> {
    let end = check.get(field).with_context(|| field.to_owned())?;
    let workload = text(end, "workload");
    let end = if workload.is_empty() {
        pb::end::End::Ip(text(end, "ip"))
    } else {
        let parts = workload.strip_suffix(']').and_then(|rest| rest.split_once('['));
        let (path, kind) = parts.with_context(|| workload.clone())?;
        let (namespace, name) = path.split_once('/').with_context(|| workload.clone())?;
        pb::end::End::Workload(pb::WorkloadRef {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        })
    };
    Ok(pb::End { end: Some(end) })
}
