//! The ledger: what came of every policy, whoever may use it. The same evaluation that decides, kept and not thrown away.

use std::sync::Arc;

use super::evaluate::{Evaluation, evaluate};
use super::index::Index;
use super::patch::patch;
use super::pod::{PodView, Spec};
use super::policy::CompiledPolicy;
use super::request::Question;
use super::{Ledger, LedgerEntry, Outcome, UseGrant};
use crate::rbac::{self, User};

/// Which policy won a phase, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Won<'n> {
    /// The first that admits the pod as it is.
    Unchanged(&'n str),
    /// The first that admits it with changes, none doing so without.
    Changed(&'n str),
    /// None.
    Nobody {
        /// Policies that the requester may use.
        usable: usize,
    },
}

/// Fills the ledger of one phase, in the order in which the policies are tried: the hinted one first.
pub(super) fn ledger(
    index: &Index,
    rbac: &rbac::Index,
    request: &Question<'_>,
    pod: &PodView<'_>,
    spec: &Spec<'_>,
    hint: &str,
    won: Won<'_>,
) -> Ledger {
    let account = &*spec.service_account_name;
    let chosen = match won {
        Won::Unchanged(name) | Won::Changed(name) => Some(name),
        Won::Nobody { .. } => None,
    };
    let mut policies: Vec<(&Arc<str>, Result<&CompiledPolicy, &str>)> =
        index.policies().iter().map(|(name, policy)| (name, Ok(&**policy))).collect();
    policies.extend(index.unusable().iter().map(|(name, error)| (name, Err(&**error))));
    policies.sort_by_key(|(name, _)| (&***name != hint, *name));
    let entries = policies
        .into_iter()
        .map(|(name, policy)| {
            let outcome = match policy {
                Err(error) => Outcome::Unusable(error.to_owned()),
                Ok(policy) => outcome(pod, spec, evaluate(name, policy, pod, spec)),
            };
            LedgerEntry {
                grant: grant(rbac, request, account, name),
                chosen: chosen == Some(&**name),
                policy: name.to_string(),
                outcome,
            }
        })
        .collect();
    Ledger { entries, why: why(won), service_account: (!account.is_empty()).then(|| account.to_owned()) }
}

fn outcome(pod: &PodView<'_>, spec: &Spec<'_>, evaluation: Evaluation<'_>) -> Outcome {
    let Evaluation { overlay, violations } = evaluation;
    let changes = patch(pod, spec, &overlay, None, false);
    if !violations.is_empty() {
        Outcome::Refuses { violations, patch: changes }
    } else if overlay.is_empty() {
        Outcome::Admits
    } else {
        Outcome::AdmitsWithChanges(changes)
    }
}

/// The service account is asked for first, then the user (`isAuthorizedForPolicy`).
fn grant(rbac: &rbac::Index, request: &Question<'_>, account: &str, policy: &str) -> Option<UseGrant> {
    let of_account = || {
        let account = User::service_account(request.namespace, account);
        let grant = rbac.may_use(&account, request.namespace, policy)?;
        Some(UseGrant { through: "service account", grant })
    };
    let of_user = || {
        let grant = rbac.may_use(request.user, request.namespace, policy)?;
        Some(UseGrant { through: "user", grant })
    };
    if account.is_empty() { of_user() } else { of_account().or_else(of_user) }
}

fn why(won: Won<'_>) -> String {
    match won {
        Won::Unchanged(name) => {
            format!("{name} is the first policy the requester may use that admits the pod as it is")
        }
        Won::Changed(name) => format!(
            "no policy the requester may use admits the pod as it is; {name} is the first that admits it with changes"
        ),
        Won::Nobody { usable: 0 } => "the requester may use no policy".to_owned(),
        Won::Nobody { usable: 1 } => "the one policy the requester may use does not admit the pod".to_owned(),
        Won::Nobody { usable } => {
            format!("none of the {usable} policies the requester may use admits the pod")
        }
    }
}
