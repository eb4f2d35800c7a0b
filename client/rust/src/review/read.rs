//! From an AdmissionReview to a question.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use gavel_proto::v1 as pb;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::{API_VERSION, KIND};

/// Why an AdmissionReview cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", field, if field.is_empty() { "" } else { ": " })]
pub struct ReadError {
    /// Path of the field that is wrong: `request.userInfo`. Empty when the whole is.
    pub field: String,
    /// What is wrong with it, and what it should be.
    pub message: String,
}

/// The outermost level of an `AdmissionReview`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow, default)]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
}

/// `AdmissionRequest`, as far as policies look at it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(default)]
    uid: String,
    #[serde(default, deserialize_with = "object")]
    resource: Option<Resource>,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(borrow, default)]
    operation: Cow<'a, str>,
    #[serde(default, deserialize_with = "object")]
    user_info: Option<UserInfo>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    group: String,
    version: String,
    resource: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    username: String,
    uid: String,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

/// The question that an AdmissionReview asks. Its phase is left open, and no explanation is asked for.
///
/// # Errors
/// When it is no AdmissionReview of `admission.k8s.io/v1`, or lacks what a question needs: which field, and what it
/// should be.
pub fn read(review: &Bytes) -> Result<pb::AdmitRequest, ReadError> {
    if !begins_an_object(review) {
        return match serde_json::from_slice::<serde::de::IgnoredAny>(review) {
            Ok(_) => fail("", "must be an AdmissionReview: a JSON object"),
            Err(error) => fail("", &format!("is not JSON: {error}")),
        };
    }
    let Review { api_version, kind, request } = decode(review, "")?;
    if kind.as_deref() != Some(KIND) {
        return fail("kind", &format!("must be {KIND}"));
    }
    if api_version.as_deref() != Some(API_VERSION) {
        return fail("apiVersion", &format!("must be {API_VERSION}"));
    }
    match request {
        Some(request) if begins_an_object(request.get().as_bytes()) => question(request, review),
        _ => fail("request", "must be set: what is asked for?"),
    }
}

fn question(request: &RawValue, review: &Bytes) -> Result<pb::AdmitRequest, ReadError> {
    let Request { uid, resource, sub_resource, name, namespace, operation, user_info, object, old_object } =
        decode(request.get().as_bytes(), "request")?;
    if uid.is_empty() {
        return fail("request.uid", "must be set: the response is known by it");
    }
    let operation = match &*operation {
        "CREATE" => pb::Operation::Create,
        "UPDATE" => pb::Operation::Update,
        "DELETE" => pb::Operation::Delete,
        "CONNECT" => pb::Operation::Connect,
        _ => return fail("request.operation", "must be CREATE, UPDATE, DELETE or CONNECT"),
    };
    let Some(UserInfo { username, uid: user_uid, groups, extra }) = user_info else {
        return fail("request.userInfo", "must be set: who asks?");
    };
    let extra = extra.unwrap_or_default().into_iter();
    let part = |value: Option<&RawValue>| {
        value.map(|value| review.slice_ref(value.get().as_bytes())).unwrap_or_default()
    };
    Ok(pb::AdmitRequest {
        uid,
        operation: operation.into(),
        namespace: namespace.unwrap_or_default(),
        name: name.unwrap_or_default(),
        user: Some(pb::UserInfo {
            username,
            groups: groups.unwrap_or_default(),
            uid: user_uid,
            extra: extra.map(|(key, items)| (key, pb::ExtraValue { items })).collect(),
        }),
        object: part(object),
        old_object: part(old_object),
        phase: pb::Phase::Unspecified.into(),
        explain: false,
        set_seccomp_fields: false,
        subresource: sub_resource.unwrap_or_default(),
        resource: resource.map(|Resource { group, version, resource }| pb::GroupVersionResource {
            group,
            version,
            resource,
        }),
        consistency: None,
        pod: None,
        old_pod: None,
    })
}

fn fail<T>(field: &str, message: &str) -> Result<T, ReadError> {
    Err(ReadError { field: field.to_owned(), message: message.to_owned() })
}

/// serde would take a list for a struct, its items for the fields in their order.
fn begins_an_object(json: &[u8]) -> bool {
    json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn decode<'a, T: Deserialize<'a>>(json: &'a [u8], at: &str) -> Result<T, ReadError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        match error.classify() {
            Category::Data => {
                let separator = if at.is_empty() || path.is_empty() || path == "." { "" } else { "." };
                let path = if path == "." { "" } else { &path };
                ReadError { field: format!("{at}{separator}{path}"), message: without_position(&error) }
            }
            Category::Io | Category::Syntax | Category::Eof => {
                ReadError { field: at.to_owned(), message: format!("is not JSON: {error}") }
            }
        }
    })?;
    match deserializer.end() {
        Ok(()) => Ok(value),
        Err(error) => fail(at, &format!("is not JSON: {error}")),
    }
}

/// The field says where; the position would be one within the part that was being decoded.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

/// An object, or null; a list is not taken for one.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(ObjectOrNull(PhantomData))
}

struct ObjectOrNull<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectOrNull<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Option<T>, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}
