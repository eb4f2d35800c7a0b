//! Reviews that can be read, and those that cannot.

use bytes::Bytes;
use gavel_proto::v1 as pb;

use super::{Answer, read};

fn good(object: &str) -> Bytes {
    Bytes::from(format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u",
        "kind":{{"group":"","version":"v1","kind":"Pod"}},
        "resource":{{"group":"","version":"v1","resource":"pods"}},"subResource":"","name":"p","namespace":"shop",
        "operation":"UPDATE","userInfo":{{"username":"al\u0069ce","uid":"7","groups":["a","b"],"extra":{{"k":["v","w"]}}}},
        "object":{object},"oldObject":null,"dryRun":false,"options":null}}}}"#
    ))
}

#[test]
fn what_is_asked_for() {
    let object = r#"{ "metadata": {"name":"p"},   "x": 1.0e3}"#;
    let review = good(object);
    let request = read(&review).unwrap();
    let user = request.user.unwrap();
    assert_eq!((request.uid.as_str(), request.namespace.as_str(), request.name.as_str()), ("u", "shop", "p"));
    assert_eq!((user.username.as_str(), user.uid.as_str()), ("alice", "7"));
    assert_eq!(user.groups, ["a", "b"]);
    assert_eq!(user.extra["k"].items, ["v", "w"]);
    assert_eq!(request.operation, i32::from(pb::Operation::Update));
    assert_eq!(request.resource.unwrap().resource, "pods");
    assert!(request.old_object.is_empty(), "null is no object");
    assert_eq!(request.object, object.as_bytes(), "byte by byte");
    let place = review.as_ptr_range();
    assert!(place.contains(&request.object.as_ptr()), "not copied");
}

#[test]
fn what_cannot_be_read() {
    let head = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview""#;
    let request = |fields: &str| format!(r#"{head},"request":{{{fields}}}}}"#);
    let create = r#""uid":"1","operation":"CREATE""#;
    let cases = [
        (String::new(), "", "is not JSON"),
        ("nonsense".to_owned(), "", "is not JSON"),
        ("{".to_owned(), "", "is not JSON"),
        (format!("{head}}} more"), "", "is not JSON"),
        ("[]".to_owned(), "", "a JSON object"),
        ("{}".to_owned(), "kind", "must be AdmissionReview"),
        (r#"{"kind":"Pod"}"#.to_owned(), "kind", "must be AdmissionReview"),
        (r#"{"kind":7}"#.to_owned(), "kind", "invalid type: integer `7`, expected"),
        (
            r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}"#.to_owned(),
            "apiVersion",
            "must be admission.k8s.io/v1",
        ),
        (format!("{head}}}"), "request", "must be set"),
        (format!(r#"{head},"request":null}}"#), "request", "must be set"),
        (format!(r#"{head},"request":["1"]}}"#), "request", "must be set"),
        (request(""), "request.uid", "must be set"),
        (request(r#""uid":7"#), "request.uid", "invalid type: integer `7`, expected a string"),
        (request(r#""uid":"1","uid":"2""#), "request", "duplicate field"),
        (request(r#""uid":"1""#), "request.operation", "must be CREATE"),
        (request(create), "request.userInfo", "must be set"),
        (request(&format!(r#"{create},"userInfo":null"#)), "request.userInfo", "must be set"),
        (request(&format!(r#"{create},"userInfo":["alice"]"#)), "request.userInfo", "expected an object"),
        (
            request(&format!(r#"{create},"userInfo":{{"groups":["a",1]}}"#)),
            "request.userInfo.groups[1]",
            "invalid type",
        ),
        (request(&format!(r#"{create},"resource":"pods""#)), "request.resource", "expected an object"),
    ];
    for (text, field, message) in cases {
        let error = read(&Bytes::from(text.clone())).unwrap_err();
        assert_eq!(error.field, field, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
        assert!(!error.field.contains("request") || !error.message.contains(" at line"), "{error}");
    }
    let mut review = good("{}").to_vec();
    let at = review.windows(4).position(|part| part == b"shop").unwrap();
    review[at] = 0xff;
    assert!(read(&Bytes::from(review)).unwrap_err().message.contains("is not JSON"));
}

#[test]
fn answers() {
    let refused = Answer {
        uid: "u".to_owned(),
        code: 403,
        reason: "Forbidden",
        message: "no".to_owned(),
        patch: b"[]".to_vec(),
        ..Answer::default()
    };
    assert_eq!(
        refused.to_json().unwrap(),
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u","allowed":false,"status":{"status":"Failure","message":"no","reason":"Forbidden","code":403}}}"#
    );
    let decision = pb::AdmitResponse {
        uid: "u".to_owned(),
        allowed: true,
        code: 200,
        patch: b"[]".to_vec(),
        warnings: vec!["w".to_owned()],
        audit_annotations: [("k".to_owned(), "v".to_owned())].into(),
        decision_id: "d".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        Answer::from(decision).to_json().unwrap(),
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u","allowed":true,"patchType":"JSONPatch","patch":"W10=","warnings":["w"],"auditAnnotations":{"decision-id":"d","k":"v"}}}"#
    );
}
