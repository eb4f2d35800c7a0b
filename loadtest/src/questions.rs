//! Questions about what stands in manifests: flows between its pods, and the pods' own admission.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use gavel_proto::v1;
use serde_json::Value;

/// One question.
#[derive(Clone, Debug)]
pub enum Question {
    /// May this pod open a connection to that one?
    CheckFlow(Box<v1::CheckFlowRequest>),
    /// May this pod be created?
    Admit(Box<v1::AdmitRequest>),
    /// Many flows at once.
    BatchCheckFlow(Box<v1::BatchCheckFlowRequest>),
    /// Many pods at once.
    BatchAdmit(Box<v1::BatchAdmitRequest>),
}

impl From<v1::CheckFlowRequest> for Question {
    fn from(question: v1::CheckFlowRequest) -> Self {
        Self::CheckFlow(Box::new(question))
    }
}

impl From<v1::AdmitRequest> for Question {
    fn from(question: v1::AdmitRequest) -> Self {
        Self::Admit(Box::new(question))
    }
}

/// Questions in turn.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    questions: Vec<Question>,
}

impl<T: Into<Question>> FromIterator<T> for Questions {
    fn from_iter<I: IntoIterator<Item = T>>(questions: I) -> Self {
        Self { questions: questions.into_iter().map(Into::into).collect() }
    }
}

impl Questions {
    /// The same questions, so many a call; the last call begins again with the first questions, so that all are of the
    /// same size.
    #[must_use]
    pub fn batched(&self, size: usize, detail: v1::AnswerDetail) -> Self {
        let batches = groups(&self.questions, size).map(|group| {
            let mut flows = v1::BatchCheckFlowRequest { detail: detail.into(), ..Default::default() };
            let mut admissions = v1::BatchAdmitRequest::default();
            for question in group {
                match question {
                    Question::CheckFlow(question) => flows.questions.push((**question).clone()),
                    Question::Admit(question) => admissions.questions.push((**question).clone()),
                    Question::BatchCheckFlow(batch) => flows.questions.extend_from_slice(&batch.questions),
                    Question::BatchAdmit(batch) => admissions.questions.extend_from_slice(&batch.questions),
                }
            }
            if admissions.questions.is_empty() {
                Question::BatchCheckFlow(Box::new(flows))
            } else {
                Question::BatchAdmit(Box::new(admissions))
            }
        });
        Self { questions: batches.collect() }
    }

    /// Messages of a stream, so many flows each.
    pub fn messages(&self, size: usize, detail: v1::AnswerDetail) -> Vec<v1::StreamCheckFlowRequest> {
        let messages = groups(&self.questions, size).map(|group| v1::StreamCheckFlowRequest {
            questions: group
                .filter_map(|question| match question {
                    Question::CheckFlow(question) => Some((**question).clone()),
                    _ => None,
                })
                .collect(),
            detail: detail.into(),
            ..Default::default()
        });
        messages.collect()
    }

    /// Flows from each pod of the manifests to the next ones, on the ports they declare.
    ///
    /// # Errors
    /// When the manifests cannot be read, or there are not two pods in them.
    pub fn check_flow(manifests: &[PathBuf]) -> anyhow::Result<Self> {
        /// How many others each pod asks about: as many questions as pods squared would be too many.
        const OTHERS: usize = 7;
        let pods = pods(manifests)?;
        ensure!(pods.len() > 1, "there are not two pods with an address in the manifests");
        let others = OTHERS.min(pods.len() - 1);
        let pairs = (0..pods.len()).flat_map(|from| (1..=others).map(move |step| (from, step)));
        let questions = pairs.map(|(from, step)| {
            let (source, destination) = (&pods[from], &pods[(from + step) % pods.len()]);
            Question::CheckFlow(Box::new(v1::CheckFlowRequest {
                source: Some(end(source)),
                destination: Some(end(destination)),
                protocol: v1::Protocol::Tcp.into(),
                port: port(destination),
                ..Default::default()
            }))
        });
        Ok(Self { questions: questions.collect() })
    }

    /// Each pod of the manifests, created anew by its own service account.
    ///
    /// # Errors
    /// When the manifests cannot be read, or there is no pod in them.
    pub fn admit(manifests: &[PathBuf]) -> anyhow::Result<Self> {
        let pods = pods(manifests)?;
        ensure!(!pods.is_empty(), "there is no pod in the manifests");
        let questions = pods.iter().map(|pod| {
            let namespace = text(pod, "/metadata/namespace", "default");
            let account = text(pod, "/spec/serviceAccountName", "default");
            Question::Admit(Box::new(v1::AdmitRequest {
                operation: v1::Operation::Create.into(),
                user: Some(v1::UserInfo {
                    username: format!("system:serviceaccount:{namespace}:{account}"),
                    groups: vec![
                        "system:serviceaccounts".to_owned(),
                        format!("system:serviceaccounts:{namespace}"),
                        "system:authenticated".to_owned(),
                    ],
                    ..Default::default()
                }),
                namespace,
                name: text(pod, "/metadata/name", ""),
                object: pod.to_string().into_bytes().into(),
                ..Default::default()
            }))
        });
        Ok(Self { questions: questions.collect() })
    }

    /// The question of this number: they come again and again in the same order.
    ///
    /// # Errors
    /// When there are none.
    pub fn get(&self, number: u64) -> Result<&Question, String> {
        let count = self.questions.len() as u64;
        let index = number.checked_rem(count).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.questions.get(index)).ok_or_else(|| "there are no questions".to_owned())
    }

    /// How many different ones there are.
    pub fn len(&self) -> usize {
        self.questions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }
}

/// All of them in groups of a size; the last one is filled up from the beginning.
fn groups<T>(all: &[T], size: usize) -> impl Iterator<Item = impl Iterator<Item = &T>> {
    let size = size.max(1);
    (0..all.len().div_ceil(size)).map(move |group| all.iter().cycle().skip(group * size).take(size))
}

/// The pods as they are written.
fn pods(manifests: &[PathBuf]) -> anyhow::Result<Vec<Value>> {
    let files = gavel_source::manifests::files(manifests).map_err(|errors| {
        anyhow::anyhow!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let mut pods = Vec::new();
    for file in files {
        let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
        for document in gavel_source::manifests::documents(&text, &file.display().to_string()) {
            match document {
                Ok(document) => add_pods(document.item, &mut pods),
                Err(error) => bail!("{error}"),
            }
        }
    }
    Ok(pods)
}

fn add_pods(object: Value, pods: &mut Vec<Value>) {
    match object["kind"].as_str() {
        Some("Pod") => pods.push(object),
        Some("List" | "PodList") => {
            let Value::Object(mut list) = object else { return };
            if let Some(Value::Array(items)) = list.remove("items") {
                items.into_iter().for_each(|item| add_pods(item, pods));
            }
        }
        _ => {}
    }
}

fn text(object: &Value, pointer: &str, default: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or(default).to_owned()
}

fn end(pod: &Value) -> v1::End {
    v1::End {
        end: Some(v1::end::End::Pod(v1::PodRef {
            namespace: text(pod, "/metadata/namespace", "default"),
            name: text(pod, "/metadata/name", ""),
            ip: String::new(),
        })),
    }
}

/// The first port that the pod declares, else 80.
fn port(pod: &Value) -> u32 {
    let port = pod.pointer("/spec/containers/0/ports/0/containerPort").and_then(Value::as_u64);
    port.and_then(|port| u32::try_from(port).ok()).unwrap_or(80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_manifests() {
        let folder = tempfile::tempdir().unwrap();
        let pod = |name: &str| {
            format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: n}}, spec: {{containers: [{{name: c, ports: [{{containerPort: 81}}]}}]}}}}"
            )
        };
        let file = folder.path().join("pods.yaml");
        std::fs::write(&file, format!("{}\n---\n{}\n", pod("a"), pod("b"))).unwrap();
        let flows = Questions::check_flow(std::slice::from_ref(&file)).unwrap();
        assert_eq!(flows.len(), 2);
        let Question::CheckFlow(flow) = flows.get(3).unwrap() else { panic!() };
        assert_eq!(
            (flow.port, flow.source.as_ref()),
            (81, Some(&end(&serde_json::json!({"metadata": {"name": "b", "namespace": "n"}}))))
        );
        let admissions = Questions::admit(std::slice::from_ref(&file)).unwrap();
        let Question::Admit(admission) = admissions.get(0).unwrap() else { panic!() };
        assert_eq!(admission.user.as_ref().unwrap().username, "system:serviceaccount:n:default");
        let Question::BatchCheckFlow(batch) =
            flows.batched(3, v1::AnswerDetail::Verdict).get(0).unwrap().clone()
        else {
            panic!()
        };
        assert_eq!((batch.questions.len(), &batch.questions[2]), (3, &batch.questions[0]));
        assert_eq!(flows.messages(1, v1::AnswerDetail::Full).len(), 2);
        std::fs::write(&file, "{}: [").unwrap();
        assert!(Questions::check_flow(&[file]).is_err());
        assert!(Questions::default().get(0).is_err());
    }
}
