//! Bad requests, each refused with the field that is to blame. (Good ones: `server/conformance`.)

use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use tonic_types::StatusExt as _;

fn blamed<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> String {
    let status = answer.expect_err("must be refused");
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("has field violations");
    details.field_violations.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>().join(",")
}

fn ip(address: &str) -> Option<pb::End> {
    Some(pb::End { end: Some(pb::end::End::Ip(address.into())) })
}

#[test]
fn flows() {
    use pb::end::End;
    let good = pb::CheckFlowRequest {
        source: ip("10.0.0.1"),
        destination: ip("10.0.0.2"),
        port: 80,
        ..Default::default()
    };
    let pod = |namespace: &str, name: &str, ip: &str| {
        Some(pb::End {
            end: Some(End::Pod(pb::PodRef { namespace: namespace.into(), name: name.into(), ip: ip.into() })),
        })
    };
    let labelled = |count: u32| {
        let labels = (0..count).map(|number| (number.to_string(), String::new())).collect();
        Some(pb::End { end: Some(End::Labels(pb::LabelsRef { namespace: "n".into(), labels })) })
    };
    let cases = [
        (pb::CheckFlowRequest { source: None, ..good.clone() }, "source"),
        (pb::CheckFlowRequest { destination: Some(pb::End { end: None }), ..good.clone() }, "destination"),
        (pb::CheckFlowRequest { source: ip("10.0.0"), ..good.clone() }, "source.ip"),
        (pb::CheckFlowRequest { source: pod("", "p", ""), ..good.clone() }, "source.pod.namespace"),
        (pb::CheckFlowRequest { source: pod("n", "", ""), ..good.clone() }, "source.pod.name"),
        (pb::CheckFlowRequest { source: pod("n", "p", "x"), ..good.clone() }, "source.pod.ip"),
        (pb::CheckFlowRequest { port: 0, ..good.clone() }, "port"),
        (pb::CheckFlowRequest { port: 65_536, ..good.clone() }, "port"),
        (pb::CheckFlowRequest { protocol: 9, ..good.clone() }, "protocol"),
        (pb::CheckFlowRequest { source: labelled(20_000), ..good.clone() }, "source.labels.labels"),
    ];
    for (request, field) in cases {
        assert_eq!(blamed(super::check_flow(&Snapshot::empty(), &request)), field, "{request:?}");
    }
}

#[test]
fn authorizations() {
    let resource = Some(pb::ResourceAttributes::default());
    let path = Some(pb::NonResourceAttributes::default());
    let cases = [
        (pb::AuthorizeRequest { resource_attributes: resource.clone(), ..Default::default() }, "user"),
        (pb::AuthorizeRequest { user: "u".into(), ..Default::default() }, "resourceAttributes"),
        (
            pb::AuthorizeRequest {
                user: "u".into(),
                resource_attributes: resource,
                non_resource_attributes: path,
                ..Default::default()
            },
            "resourceAttributes",
        ),
        (pb::AuthorizeRequest { groups: vec![String::new(); 20_000], ..Default::default() }, "groups"),
    ];
    for (request, field) in cases {
        assert_eq!(blamed(super::authorize(&Snapshot::empty(), &request)), field, "{request:?}");
    }
}

#[test]
fn admissions() {
    let good = pb::AdmitRequest {
        operation: pb::Operation::Create.into(),
        user: Some(pb::UserInfo::default()),
        object: b"{}".as_slice().into(),
        ..Default::default()
    };
    let update = pb::Operation::Update.into();
    let containers = vec!["{}"; 100_000].join(",");
    let many_containers: bytes::Bytes = format!(r#"{{"spec":{{"containers":[{containers}]}}}}"#).into();
    let cases = [
        (pb::AdmitRequest { operation: 0, ..good.clone() }, "operation"),
        (pb::AdmitRequest { operation: 77, ..good.clone() }, "operation"),
        (pb::AdmitRequest { phase: 77, ..good.clone() }, "phase"),
        (pb::AdmitRequest { user: None, ..good.clone() }, "user"),
        (
            pb::AdmitRequest {
                user: Some(pb::UserInfo { groups: vec![String::new(); 20_000], ..Default::default() }),
                ..good.clone()
            },
            "user.groups",
        ),
        (pb::AdmitRequest { object: many_containers.clone(), ..good.clone() }, "object"),
        (
            pb::AdmitRequest { old_object: many_containers.clone(), operation: update, ..good.clone() },
            "oldObject",
        ),
    ];
    // What policies do not look at is as large as it likes.
    let resource = Some(pb::GroupVersionResource { resource: "configmaps".into(), ..Default::default() });
    let other = pb::AdmitRequest { object: many_containers, resource, ..good.clone() };
    assert!(super::admit(&Snapshot::empty(), &other).is_ok_and(|answer| answer.allowed));
    for (request, field) in cases {
        assert_eq!(blamed(super::admit(&Snapshot::empty(), &request)), field, "{request:?}");
    }
}
