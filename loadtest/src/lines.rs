//! Questions as `generate` writes them: one a line.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use gavel_proto::v1;

/// Flows: a `CheckFlowRequest` a line, in protobuf's JSON mapping.
///
/// # Errors
/// When the file cannot be read: which line of it, and why.
pub fn flows(path: &Path) -> anyhow::Result<Vec<v1::CheckFlowRequest>> {
    lines(path, |line| Ok(serde_json::from_slice(line)?))
}

/// Admissions: an AdmissionReview (`admission.k8s.io/v1`) a line.
///
/// # Errors
/// As [`flows`].
pub fn admissions(path: &Path) -> anyhow::Result<Vec<v1::AdmitRequest>> {
    lines(path, |line| Ok(gavel_client::review::read(line)?))
}

fn lines<T>(path: &Path, read: impl Fn(&Bytes) -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    let text = Bytes::from(std::fs::read(path).with_context(|| path.display().to_string())?);
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let questions = lines.filter(|(_, line)| !line.is_empty()).map(|(index, line)| {
        read(&text.slice_ref(line)).with_context(|| format!("{}: line {}", path.display(), index + 1))
    });
    let questions = questions.collect::<anyhow::Result<Vec<T>>>()?;
    anyhow::ensure!(!questions.is_empty(), "{}: there are no questions in it", path.display());
    Ok(questions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let size = gavel_generator::Size { pods: 20, namespaces: 3, ..Default::default() };
        let cluster = gavel_generator::Cluster::new(size).unwrap();
        gavel_generator::write(&cluster, folder.path(), 30, 20).unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(flows(&path("check-flow.jsonl")).unwrap().len(), 30);
        let admissions = admissions(&path("admit.jsonl")).unwrap();
        assert!(admissions.len() == 20 && admissions.iter().all(|question| question.object.len() > 4000));
        std::fs::write(path("bad"), "{}\n{\"port\": \"x\"}\n").unwrap();
        let error = format!("{:#}", flows(&path("bad")).unwrap_err());
        assert!(error.contains("bad: line 2: "), "{error}");
        std::fs::write(path("bad"), "\n").unwrap();
        assert!(flows(&path("bad")).unwrap_err().to_string().contains("no questions"));
    }
}
