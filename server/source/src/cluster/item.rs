//! One object as an API server sends it: what it is called, and what can be read of it.

use gavel_engine::Object;
use gavel_engine::field::FieldError;
use gavel_engine::object::decode::decode_as;
use gavel_engine::object::meta::nullable;
use gavel_engine::object::{Kind, NetworkPolicy};
use serde::Deserialize;
use serde_json::Value;

use super::kinds;

/// What every object is called, whatever else is wrong with it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) namespace: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) resource_version: String,
}

impl Metadata {
    /// The number: API servers' resourceVersions compare as numbers (KEP-5504). 0 where it is none.
    pub(super) fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or_default()
    }
}

/// Reads an object of a kind.
pub(super) fn read(kind: Kind, json: &[u8]) -> Result<Object, Vec<FieldError>> {
    decode_as(kind, kinds::version(kind), json)
}

/// What can be saved of a NetworkPolicy that cannot be read: the pods it isolates, with none of its rules, so that it
/// lets pass too little rather than too much.
pub(super) fn isolation_of(json: &[u8]) -> Option<Object> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    let spec = value.get_mut("spec")?.as_object_mut()?;
    let has_egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    spec.retain(|field, _| field == "podSelector" || field == "policyTypes");
    let says_types = spec.get("policyTypes").and_then(Value::as_array).is_some_and(|types| !types.is_empty());
    match read(Kind::NetworkPolicy, &serde_json::to_vec(&value).ok()?).ok()? {
        // Its egress rules, gone by now, would have made it isolate egress.
        Object::NetworkPolicy(policy) => Some(Object::NetworkPolicy(NetworkPolicy {
            isolates_egress: policy.isolates_egress || (has_egress && !says_types),
            ..policy
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_cannot_be_read_still_isolates() {
        let policy = |spec: &str| {
            let json = format!(r#"{{"metadata":{{"name":"p","namespace":"n"}},"spec":{spec}}}"#);
            assert!(read(Kind::NetworkPolicy, json.as_bytes()).is_err(), "{json}");
            isolation_of(json.as_bytes())
        };
        let isolates = |spec: &str| match policy(spec) {
            Some(Object::NetworkPolicy(policy)) => {
                assert!(policy.ingress.is_empty() && policy.egress.is_empty());
                Some((policy.isolates_ingress, policy.isolates_egress))
            }
            _ => None,
        };
        assert_eq!(isolates(r#"{"podSelector":{},"ingress":[{"from":[{}]}]}"#), Some((true, false)));
        assert_eq!(isolates(r#"{"podSelector":{},"egress":[{"to":[{}]}]}"#), Some((true, true)));
        assert_eq!(
            isolates(r#"{"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{}]}],"new":1}"#),
            Some((false, true))
        );
        assert_eq!(isolates(r#"{"podSelector":{"matchLabels":7}}"#), None);
    }
}
