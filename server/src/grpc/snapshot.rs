//! `GetSnapshot`: what the answers are made from.

use std::time::{Duration, SystemTime};

use gavel_engine::snapshot::Diagnostic;
use gavel_proto::v1 as pb;

use crate::publisher::{Published, Publisher};
use crate::status::{Finding, SourceState, SourceStatus};

pub(super) fn to_response(publisher: &Publisher) -> pb::GetSnapshotResponse {
    let mut response = pb::GetSnapshotResponse {
        instance: publisher.instance().to_owned(),
        staleness: publisher.staleness().map(to_duration),
        ..Default::default()
    };
    for source in publisher.sources() {
        let (status, findings) = to_source(source);
        response.sources.push(status);
        response.diagnostics.extend(findings.into_iter().map(to_diagnostic));
    }
    if let Some(published) = publisher.published() {
        let Published { snapshot, created_at, created, changed: _, versions: _ } = &*published;
        response.revision = snapshot.revision();
        response.created_at = Some(to_timestamp(*created_at));
        response.age = Some(to_duration(created.elapsed()));
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

fn to_source(source: SourceStatus) -> (pb::SourceStatus, Vec<Finding>) {
    let SourceStatus { name, state, detail, last_synced_at, heard, resource_version, findings } = source;
    let state = match state {
        SourceState::Pending => pb::SourceState::Pending,
        SourceState::Synced => pb::SourceState::Synced,
        SourceState::Failing => pb::SourceState::Failing,
        SourceState::Absent => pb::SourceState::Absent,
        SourceState::Restored => pb::SourceState::Restored,
    };
    let status = pb::SourceStatus {
        name,
        state: state.into(),
        detail,
        last_synced_at: last_synced_at.map(to_timestamp),
        resource_version: if resource_version > 0 { resource_version.to_string() } else { String::new() },
        staleness: heard.map(|heard| to_duration(heard.elapsed())),
    };
    (status, findings)
}

fn to_diagnostic(finding: Finding) -> pb::Diagnostic {
    let Finding { is_error, object, file, document, line, field, message } = finding;
    let severity = if is_error { pb::Severity::Error } else { pb::Severity::Warning };
    pb::Diagnostic { severity: severity.into(), object, file, document, line, field, message }
}

pub(super) fn to_duration(duration: Duration) -> pbjson_types::Duration {
    pbjson_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

pub(super) fn to_timestamp(time: SystemTime) -> pbjson_types::Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    pbjson_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    }
}
