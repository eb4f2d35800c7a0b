//! AdmissionReviews in, AdmissionReviews with their response out.

use std::io::Write as _;
use std::path::PathBuf;

use gavel_client::{review, v1 as pb};
use gavel_source::{Located, ManifestError};
use serde_json::Value;

use super::Options;
use crate::args::Output;
use crate::ask::Asked;
use crate::outcome::Outcome;
use crate::{input, render};

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
    let request = match review::read(&item.to_string().into()) {
        Ok(request) => pb::AdmitRequest { phase: options.phase.into(), explain: options.explain, ..request },
        Err(error) => return Ok(bad(&format!("{place}, AdmissionReview: {error}"))),
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
    Ok(review::Answer::from(answer.clone()).to_json()?)
}
