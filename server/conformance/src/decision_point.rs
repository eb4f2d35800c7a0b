//! Who is asked: the engine in this process, a server over gRPC, the command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use gavel_client::Client;
use gavel_engine::object::decode::decode;
use gavel_engine::{Change, Snapshot};
use gavel_proto::v1 as pb;
use gavel_server::{Config, decide, start};
use serde_json::{Value, json};

use crate::question::{Admission, Answer, Question};

/// Somebody who answers questions about some objects.
pub trait DecisionPoint: Sync {
    /// What messages call it.
    fn name(&self) -> &'static str;

    /// Answers the questions, in their order.
    ///
    /// # Errors
    /// When it cannot be asked at all, or refuses the objects.
    fn ask(&self, objects: &[Value], questions: &[&Question]) -> anyhow::Result<Vec<Answer>>;
}

/// The engine, by the functions that answer the wire's questions.
#[derive(Clone, Copy, Debug)]
pub struct Engine;

/// A server in this process, over gRPC.
#[derive(Clone, Copy, Debug)]
pub struct Grpc;

/// The command line.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// The program `gavel`.
    pub program: PathBuf,
}

/// A snapshot of some objects.
///
/// # Errors
/// When an object cannot be read.
pub fn snapshot(objects: &[Value]) -> anyhow::Result<Snapshot> {
    let mut changes = Vec::new();
    for object in objects {
        let read = decode(object).map_err(|errors| anyhow::anyhow!("{errors:?} in {object}"))?;
        changes.extend(read.map(Change::Upsert));
    }
    Ok(Snapshot::empty().apply(changes))
}

impl DecisionPoint for Engine {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn ask(&self, objects: &[Value], questions: &[&Question]) -> anyhow::Result<Vec<Answer>> {
        let snapshot = snapshot(objects)?;
        let answer = |question: &&Question| {
            let answer = match question {
                Question::Admit(request) => decide::admit(&snapshot, request).map(Answer::from),
                Question::CheckFlow(request) => decide::check_flow(&snapshot, request).map(Answer::from),
                Question::Authorize(request) => decide::authorize(&snapshot, request).map(Answer::from),
            };
            answer.unwrap_or_else(|status| Answer::Refused(status.message().to_owned()))
        };
        Ok(questions.iter().map(answer).collect())
    }
}

/// A folder with the objects in one file.
fn folder(objects: &[Value]) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
    std::fs::write(folder.path().join("objects.json"), lines.join("\n"))?;
    Ok(folder)
}

impl DecisionPoint for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn ask(&self, objects: &[Value], questions: &[&Question]) -> anyhow::Result<Vec<Answer>> {
        let folder = folder(objects)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut config = Config::local(vec![folder.path().to_owned()]);
            config.accept_refused = true;
            let mut running = start(config).await?;
            running.ready().await?;
            let client = Client::connect(running.listening.first().context("listens nowhere")?).await?;
            let mut answers = Vec::new();
            for question in questions {
                let answer = match question {
                    Question::Admit(request) => client.admit((**request).clone()).await.map(Answer::from),
                    Question::CheckFlow(request) => {
                        client.check_flow((**request).clone()).await.map(Answer::from)
                    }
                    Question::Authorize(request) => {
                        client.authorize((**request).clone()).await.map(Answer::from)
                    }
                };
                answers.push(match answer {
                    Err(gavel_client::Error::Invalid { message, .. }) => Answer::Refused(message),
                    answer => answer?,
                });
            }
            drop(client);
            running.shutdown().await?;
            Ok(answers)
        })
    }
}

impl DecisionPoint for CommandLine {
    fn name(&self) -> &'static str {
        "cli"
    }

    /// All questions of a kind and phase go into one file.
    fn ask(&self, objects: &[Value], questions: &[&Question]) -> anyhow::Result<Vec<Answer>> {
        let folder = folder(objects)?;
        let mut answers: Vec<Option<Answer>> = vec![None; questions.len()];
        let mut batches: Vec<(Vec<&str>, Vec<usize>)> = Vec::new();
        for (index, question) in questions.iter().enumerate() {
            let arguments = arguments(question)?;
            match batches.iter_mut().find(|(batch, _)| *batch == arguments) {
                Some((_, indexes)) => indexes.push(index),
                None => batches.push((arguments, vec![index])),
            }
        }
        for (arguments, indexes) in batches {
            let lines: anyhow::Result<Vec<String>> = indexes
                .iter()
                .filter_map(|index| questions.get(*index))
                .map(|question| line(question))
                .collect();
            let output = self.run(folder.path(), &arguments, &lines?.join("\n"))?;
            ensure!(output.len() == indexes.len(), "{} answers to {} questions", output.len(), indexes.len());
            for (index, line) in indexes.into_iter().zip(output) {
                if let Some(slot) = answers.get_mut(index) {
                    *slot = Some(answer(&line)?);
                }
            }
        }
        answers.into_iter().map(|answer| answer.context("a question was not answered")).collect()
    }
}

impl CommandLine {
    fn run(&self, folder: &Path, arguments: &[&str], input: &str) -> anyhow::Result<Vec<Value>> {
        let file = folder.join("questions");
        std::fs::write(&file, input)?;
        let output = Command::new(&self.program)
            .args(arguments)
            .arg(&file)
            .args(["--output", "json", "--accept-refused", "--manifests"])
            .arg(folder.join("objects.json"))
            .stdin(Stdio::null())
            .output()
            .with_context(|| self.program.display().to_string())?;
        // 0 and 1 are answers.
        ensure!(
            output.status.code().is_some_and(|code| code < 2),
            "{:?}: {}",
            output.status.code(),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

fn arguments(question: &Question) -> anyhow::Result<Vec<&'static str>> {
    Ok(match question {
        Question::Admit(request) => {
            let phase = match request.phase() {
                pb::Phase::Validate => "validate",
                pb::Phase::Mutate => "mutate",
                _ => "mutate-and-validate",
            };
            vec!["admit", "--phase", phase, "--review"]
        }
        Question::CheckFlow(_) => vec!["check-flow", "--requests"],
        Question::Authorize(_) => vec!["authorize", "--requests"],
    })
}

/// A question as the command line reads it.
fn line(question: &Question) -> anyhow::Result<String> {
    let value = match question {
        Question::CheckFlow(request) => serde_json::to_value(request)?,
        // The mapping of a SubjectAccessReview's spec is that of the message.
        Question::Authorize(request) => serde_json::to_value(request)?,
        Question::Admit(request) => {
            let user = request.user.clone().unwrap_or_default();
            let object =
                |bytes: &[u8]| if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(bytes) };
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
                "uid": request.uid, "operation": request.operation().as_str_name().trim_start_matches("OPERATION_"),
                "namespace": request.namespace, "name": request.name, "subResource": request.subresource,
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "userInfo": {"username": user.username, "groups": user.groups},
                "object": object(&request.object)?, "oldObject": object(&request.old_object)?}})
        }
    };
    Ok(value.to_string())
}

/// An answer as the command line prints it.
fn answer(line: &Value) -> anyhow::Result<Answer> {
    if let Some(error) = line.get("error") {
        return Ok(Answer::Refused(error.to_string()));
    }
    if line.get("verdict").is_some() {
        return Ok(serde_json::from_value::<pb::CheckFlowResponse>(line.clone())?.into());
    }
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let Some(response) = line.get("response") else {
        let allowed = line.get("allowed").and_then(Value::as_bool).context("allowed")?;
        return Ok(Answer::Authorize { allowed, reason: text(line, "/reason") });
    };
    let patch = text(response, "/patch");
    let patch = if patch.is_empty() {
        json!([])
    } else {
        serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(patch)?)?
    };
    Ok(Answer::Admit(Box::new(Admission {
        allowed: response.get("allowed").and_then(Value::as_bool).context("response.allowed")?,
        message: text(response, "/status/message"),
        patch,
        admit_policy: text(response, "/auditAnnotations/podsecuritypolicy.policy.k8s.io~1admit-policy"),
        validate_policy: text(response, "/auditAnnotations/podsecuritypolicy.policy.k8s.io~1validate-policy"),
        stage: None,
        denials: None,
    })))
}
