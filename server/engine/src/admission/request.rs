//! The question, and why it may be no question at all.

use super::pod::PodView;
use crate::rbac::User;

/// Operation of an admission request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// Not looked at.
    Delete,
    /// Not looked at.
    Connect,
}

/// Which half of admission is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// What an API server does: CREATE is mutated, then what came out is validated; UPDATE is validated.
    #[default]
    MutateAndValidate,
    /// Defaults may be filled in. Of an UPDATE nothing is looked at.
    Mutate,
    /// The object as it is, or not at all.
    Validate,
}

/// The object of a request, in one of two forms, to which the answers are the same.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of it a request, and a box costs more than a move"
)]
pub enum Object<'a> {
    /// As JSON.
    Json {
        /// The pod.
        object: &'a [u8],
        /// The pod before an UPDATE.
        old_object: Option<&'a [u8]>,
    },
    /// As somebody has read it already.
    Typed {
        /// The pod.
        pod: PodView<'a>,
        /// Whether an UPDATE changes nothing but what the garbage collector writes: it is not looked at then.
        is_only_gc: bool,
    },
}

/// The question: may this object be created or updated, by this user?
#[derive(Clone, Debug)]
pub struct AdmitRequest<'a> {
    /// What is done to the object.
    pub operation: Operation,
    /// Group of the resource; empty for pods.
    pub group: &'a str,
    /// Plural name of the resource; `pods` is all that is looked at.
    pub resource: &'a str,
    /// Empty for the object itself; anything else is not looked at.
    pub subresource: &'a str,
    /// Namespace of the request: policies are used there.
    pub namespace: &'a str,
    /// Name of the request; may be empty on CREATE.
    pub name: &'a str,
    /// Who asks.
    pub user: &'a User,
    /// What is created or updated.
    pub object: Object<'a>,
    /// Which half of admission.
    pub phase: Phase,
    /// Whether to fill [`Decision::ledger`](super::Decision::ledger).
    pub explain: bool,
    /// Whether the patch also sets the fields that seccomp annotations stand for. API servers did so up to Kubernetes
    /// 1.26, between the two phases (`applySeccompVersionSkew`); nodes of today look at fields alone.
    pub sets_seccomp_fields: bool,
}

/// What a request asks besides its object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub user: &'a User,
    pub explain: bool,
    pub sets_seccomp_fields: bool,
}

/// The request cannot be answered: it is not what it says it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidRequest {
    /// Field of the request, with the path inside of the object where there is one: `object.spec.containers`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}
