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
    let cases = [
        (pb::AdmitRequest { operation: 0, ..good.clone() }, "operation"),
        (pb::AdmitRequest { operation: 77, ..good.clone() }, "operation"),
        (pb::AdmitRequest { phase: 77, ..good.clone() }, "phase"),
        (pb::AdmitRequest { user: None, ..good.clone() }, "user"),
    ];
    for (request, field) in cases {
        assert_eq!(blamed(super::admit(&Snapshot::empty(), &request)), field, "{request:?}");
    }
}
