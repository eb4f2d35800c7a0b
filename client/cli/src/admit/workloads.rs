//! Workloads in, what becomes of their pods out.

use std::io::Write as _;
use std::path::PathBuf;

use gavel_client::v1 as pb;
use gavel_source::manifests;
use serde_json::Value;

use super::{Created, Options, created, review, service_account};
use crate::args::Output;
use crate::ask::Asked;
use crate::outcome::Outcome;
use crate::{input, render};

pub(super) async fn run(
    asked: &Asked,
    paths: &[PathBuf],
    namespace: &str,
    requester: Option<&pb::UserInfo>,
    options: Options,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Yes;
    let mut asked_for = 0;
    for (bytes, name) in files(paths)? {
        for document in manifests::documents(&bytes, &name) {
            let document = match document {
                Ok(document) => document,
                Err(error) => {
                    anstream::eprintln!("{}: {error}", render::style::error("error"));
                    outcome = Outcome::Bad;
                    continue;
                }
            };
            for manifest in items(&document.item) {
                let Some(mut created) = created(manifest, namespace) else { continue };
                asked_for += 1;
                created.creator = requester.unwrap_or(&created.creator).clone();
                let request = question(created.clone(), options, |namespace, account| {
                    asked.mounts_token(namespace, account)
                });
                match asked.admit(request).await? {
                    Ok(answer) => {
                        print(&created, &answer, options.output)?;
                        outcome = outcome.max(Outcome::of(answer.allowed));
                    }
                    Err(refused) => {
                        let word = render::style::error("error");
                        anstream::eprintln!("{word}: {}, {}: {refused}", document.place, created.what);
                        outcome = Outcome::Bad;
                    }
                }
            }
        }
    }
    if asked_for == 0 && outcome == Outcome::Yes {
        anyhow::bail!("there is neither a pod nor a workload in the files given with -f");
    }
    Ok(outcome)
}

/// The files that are named, and those in the folders that are named.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<(Vec<u8>, String)>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let inside = manifests::files(std::slice::from_ref(path)).map_err(|errors| {
                anyhow::anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            })?;
            for file in inside {
                files.push(input::read(&file)?);
            }
        } else {
            files.push(input::read(path)?);
        }
    }
    Ok(files)
}

/// The objects of a document: those of a list, or the one it is.
fn items(document: &Value) -> Vec<&Value> {
    let is_list = document.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match document.get("items").and_then(Value::as_array) {
        Some(list) if is_list => list.iter().flat_map(items).collect(),
        _ => vec![document],
    }
}

/// The question whether a pod may be created, as the API server would put it. `mounts_token` tells of a service
/// account, by namespace and name, whether it wants its token mounted.
pub(crate) fn question(
    created: Created,
    options: Options,
    mounts_token: impl Fn(&str, &str) -> bool,
) -> pb::AdmitRequest {
    let Created { what, namespace, mut pod, creator } = created;
    service_account::admit(&mut pod, |account| mounts_token(&namespace, account));
    pb::AdmitRequest {
        uid: what,
        operation: pb::Operation::Create.into(),
        namespace,
        user: Some(creator),
        object: pod.to_string().into_bytes().into(),
        phase: options.phase.into(),
        explain: options.explain,
        ..Default::default()
    }
}

fn print(created: &Created, answer: &pb::AdmitResponse, output: Output) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    match output {
        Output::Json => writeln!(out, "{}", review::json(answer)?)?,
        Output::Text => write!(out, "{}", render::admission::text(&created.what, answer))?,
    }
    Ok(())
}
