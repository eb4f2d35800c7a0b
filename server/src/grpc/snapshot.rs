//! `GetSnapshot`: what the answers are made from.

use std::time::SystemTime;

use gavel_engine::snapshot::Diagnostic;
use gavel_proto::v1 as pb;

use crate::publisher::{Finding, Published, SourceState, SourceStatus};

pub(super) fn to_response(published: Option<&Published>, source: SourceStatus) -> pb::GetSnapshotResponse {
    let SourceStatus { name, state, detail, last_synced_at, findings } = source;
    let mut response = pb::GetSnapshotResponse {
        diagnostics: findings.into_iter().map(to_diagnostic).collect(),
        sources: vec![pb::SourceStatus {
            name: name.to_owned(),
            state: match state {
                SourceState::Pending => pb::SourceState::Pending,
                SourceState::Synced => pb::SourceState::Synced,
                SourceState::Failing => pb::SourceState::Failing,
            }
            .into(),
            detail,
            last_synced_at: last_synced_at.map(to_timestamp),
        }],
        ..Default::default()
    };
    if let Some(Published { snapshot, created_at, created }) = published {
        response.revision = snapshot.revision();
        response.created_at = Some(to_timestamp(*created_at));
        let age = created.elapsed();
        response.age = Some(pbjson_types::Duration {
            seconds: i64::try_from(age.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(age.subsec_nanos()).unwrap_or_default(),
        });
        response.objects = snapshot.counts().map(|(kind, count)| (kind.to_string(), count)).collect();
        response.diagnostics.extend(snapshot.diagnostics().map(|Diagnostic { object, field, message }| {
            pb::Diagnostic {
                severity: pb::Severity::Warning.into(),
                object: object.to_string(),
                field: field.clone(),
                message: message.clone(),
                ..Default::default()
            }
        }));
    }
    response
}

fn to_diagnostic(finding: Finding) -> pb::Diagnostic {
    let Finding { is_error, object, file, document, line, field, message } = finding;
    let severity = if is_error { pb::Severity::Error } else { pb::Severity::Warning };
    pb::Diagnostic { severity: severity.into(), object, file, document, line, field, message }
}

fn to_timestamp(time: SystemTime) -> pbjson_types::Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    pbjson_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    }
}
