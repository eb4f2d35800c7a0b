//! Policies, grants and pods of a generated cluster, as an API server would send them.

#![allow(dead_code, reason = "not every benchmark uses everything")]
#![allow(clippy::panic, reason = "a generator that writes nonsense is a mistake to be seen")]

use gavel_engine::admission::pod::PodView;
use gavel_engine::admission::{AdmitRequest, Object, Operation, Phase};
use gavel_engine::object::decode::decode_slice;
use gavel_engine::rbac::User;
use gavel_engine::{Change, Snapshot};
use gavel_generator::{Cluster, Size};
use serde_json::Value;

/// Who asks for which pod.
pub(crate) struct Question {
    /// Where, and what the request calls it.
    pub(crate) namespace: String,
    name: String,
    /// Who.
    pub(crate) user: User,
    json: Vec<u8>,
}

impl Question {
    fn of(review: &Value) -> Self {
        let request = &review["request"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let user = &request["userInfo"];
        let groups = user["groups"].as_array().into_iter().flatten().map(text).collect();
        Self {
            namespace: text(&request["namespace"]),
            name: text(&request["name"]),
            user: User { name: text(&user["username"]), groups },
            json: request["object"].to_string().into_bytes(),
        }
    }

    /// About the bytes of its pod.
    pub(crate) fn json(&self) -> AdmitRequest<'_> {
        self.request(Object::Json { object: &self.json, old_object: None })
    }

    /// About the pod that somebody has read already.
    pub(crate) fn decoded(&self) -> AdmitRequest<'_> {
        let pod: PodView<'_> = match serde_json::from_slice(&self.json) {
            Ok(pod) => pod,
            Err(error) => panic!("the generator wrote what cannot be read: {error}"),
        };
        self.request(Object::Typed { pod, is_only_gc: false })
    }

    fn request<'a>(&'a self, object: Object<'a>) -> AdmitRequest<'a> {
        AdmitRequest {
            operation: Operation::Create,
            group: "",
            resource: "pods",
            subresource: "",
            namespace: &self.namespace,
            name: &self.name,
            user: &self.user,
            object,
            phase: Phase::MutateAndValidate,
            explain: false,
            sets_seccomp_fields: false,
        }
    }
}

/// A snapshot of so many policies and ten times as many bindings, and questions about it.
pub(crate) fn admissions(policies: u32, questions: usize) -> (Snapshot, Vec<Question>) {
    let size = Size {
        namespaces: 20,
        pods: 1_000,
        policies: 10,
        pod_security_policies: policies,
        bindings: policies * 10,
        seed: 1,
    };
    let cluster = match Cluster::new(size) {
        Ok(cluster) => cluster,
        Err(error) => panic!("{error}"),
    };
    let changes = cluster.objects().map(|object| match decode_slice(object.to_string().as_bytes()) {
        Ok(Some(object)) => Change::Upsert(object),
        other => panic!("the generator wrote what cannot be read: {other:?}: {object}"),
    });
    let questions = cluster.admissions().take(questions).map(|review| Question::of(&review)).collect();
    (Snapshot::empty().apply(changes), questions)
}
