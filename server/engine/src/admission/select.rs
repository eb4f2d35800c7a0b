//! Which policy decides. From `plugin/pkg/admission/security/podsecuritypolicy/admission.go`: `shouldIgnore`, `Admit`,
//! `Validate`, `computeSecurityContext`.
//!
//! Kubernetes evaluates every policy and asks RBAC afterwards. Errors of policies that one may not use stay hidden, and
//! their approval does not count, so that only those need evaluating that the requester may use.

use std::sync::Arc;

use smallvec::SmallVec;

use super::controls::seccomp;
use super::evaluate::{admits, check_as_is, evaluate};
use super::index::Index;
use super::ledger::{Won, ledger};
use super::overlay::Overlay;
use super::patch::{CHOSEN, patch};
use super::pod::{PodView, complete, read};
use super::policy::CompiledPolicy;
use super::request::{AdmitRequest, InvalidRequest, Object, Operation, Phase, Question};
use super::{Decision, Reason, Violation, gc_update, help};
use crate::rbac::{self, Requester, Usable, User};
use crate::text::{Joined, quote};

const AUDIT_ADMIT: &str = "podsecuritypolicy.policy.k8s.io/admit-policy";
const AUDIT_VALIDATE: &str = "podsecuritypolicy.policy.k8s.io/validate-policy";

/// Decides one request.
pub(super) fn admit(
    index: &Index,
    rbac: &rbac::Index,
    request: AdmitRequest<'_>,
) -> Result<Decision, InvalidRequest> {
    let is_pod = request.group.is_empty() && request.resource == "pods" && request.subresource.is_empty();
    let is_looked_at = match (request.operation, request.phase) {
        (Operation::Create, _) | (Operation::Update, Phase::Validate | Phase::MutateAndValidate) => is_pod,
        // Only CREATE is mutated; on updates Kubernetes only validates.
        (Operation::Update, Phase::Mutate) | (Operation::Delete | Operation::Connect, _) => false,
    };
    if !is_looked_at {
        return Ok(not_applicable(request.phase));
    }
    let AdmitRequest {
        operation, phase, object, namespace, name, user, explain, sets_seccomp_fields, ..
    } = request;
    let is_update = operation == Operation::Update;
    let (mut pod, is_only_gc) = match object {
        Object::Typed { pod, is_only_gc } => (complete("pod", pod)?, is_update && is_only_gc),
        Object::Json { object, old_object } => {
            let pod = read("object", object)?;
            let is_only_gc = match old_object.filter(|_| is_update) {
                Some(old) => {
                    read("oldObject", old)?;
                    gc_update::is_only_gc(object, old, phase == Phase::MutateAndValidate)
                }
                None => false,
            };
            (pod, is_only_gc)
        }
    };
    if is_only_gc {
        return Ok(not_applicable(phase));
    }
    let request = Question { namespace, name, user, explain, sets_seccomp_fields };
    let asker = Asker::new(index, rbac, request, &pod);
    let mutated = if operation == Operation::Create && phase != Phase::Validate {
        let mut outcome = asker.try_policies(&pod, true);
        let decision = asker.mutated(&pod, &mut outcome);
        match outcome.won {
            Some(win) if phase == Phase::MutateAndValidate => {
                let (name, is_unchanged) = (win.name, win.overlay.is_empty());
                win.overlay.apply(&mut pod);
                pod.annotate(CHOSEN, name.to_string());
                if !seccomp::agree(&mut pod) && is_unchanged {
                    // The policy that is asked first now has just admitted this very pod; the annotation that names it
                    // is none that it looks at.
                    return Ok(asker.approved(&pod, name, Some(decision)));
                }
                Some(decision)
            }
            _ => return Ok(decision),
        }
    } else {
        None
    };
    let mut outcome = asker.try_policies(&pod, false);
    Ok(asker.validated(&pod, &mut outcome, mutated))
}

/// Everything that stays the same for one request.
struct Asker<'r> {
    index: &'r Index,
    rbac: &'r rbac::Index,
    request: Question<'r>,
    usable: Usable,
}

/// What came of trying the policies.
struct Tried<'p> {
    won: Option<Win<'p>>,
    /// In the order of the policies' names.
    violations: Vec<Violation>,
    /// Policies that would admit the pod, but with changes that the phase may not make.
    passed_over: Vec<(&'p Arc<str>, &'p CompiledPolicy)>,
    /// How many policies the requester may use.
    usable: usize,
}

struct Win<'p> {
    name: &'p Arc<str>,
    overlay: Overlay<'p>,
}

impl<'r> Asker<'r> {
    fn new(index: &'r Index, rbac: &'r rbac::Index, request: Question<'r>, pod: &PodView<'_>) -> Self {
        let account = pod.spec.as_ref().map_or("", |spec| &*spec.service_account_name);
        let of_user = rbac.usable(request.user, request.namespace);
        let usable = if account.is_empty() {
            of_user
        } else {
            rbac.usable(&User::service_account(request.namespace, account), request.namespace).union(of_user)
        };
        Self { index, rbac, request, usable }
    }

    /// `computeSecurityContext`.
    fn try_policies(&self, pod: &PodView<'_>, may_change: bool) -> Tried<'r> {
        let mut tried = Tried { won: None, violations: Vec::new(), passed_over: Vec::new(), usable: 0 };
        let Some(spec) = &pod.spec else { return tried };
        let hint = if may_change { "" } else { pod.annotation(CHOSEN) };
        let mut objecting: SmallVec<[_; 8]> = SmallVec::new();
        for (name, policy) in self.in_order(hint) {
            tried.usable += 1;
            match admits(policy, pod, spec) {
                None => objecting.push((name, policy)),
                Some(overlay) if overlay.is_empty() => {
                    tried.won = Some(Win { name, overlay });
                    return tried;
                }
                Some(_) if !may_change => tried.passed_over.push((name, policy)),
                Some(overlay) if tried.won.is_none() => tried.won = Some(Win { name, overlay }),
                Some(_) => {}
            }
        }
        if tried.won.is_none() {
            // Kubernetes leaves the order open; here it is that of the names, also where a hint was tried first.
            objecting.sort_by_key(|(name, _)| *name);
            let violations = |(name, policy): &(&'r Arc<str>, &'r CompiledPolicy)| {
                evaluate(name, policy, pod, spec).violations
            };
            tried.violations = objecting.iter().flat_map(violations).collect();
        }
        tried
    }

    /// The policies that may be used: the hinted one first, then by the bytes of their names.
    fn in_order(&self, hint: &str) -> impl Iterator<Item = (&'r Arc<str>, &'r CompiledPolicy)> {
        let ready = |(name, policy): (&'r Arc<str>, &'r Arc<CompiledPolicy>)| (name, &**policy);
        let policies = self.index.policies();
        let mut names: SmallVec<[(&'r Arc<str>, &'r CompiledPolicy); 8]> = if self.usable.is_everything() {
            policies.iter().map(ready).collect()
        } else {
            self.usable.names().filter_map(|name| policies.get_key_value(name)).map(ready).collect()
        };
        let hinted = names.iter().position(|(name, _)| ***name == *hint);
        let first = hinted.map(|position| names.remove(position));
        first.into_iter().chain(names)
    }

    fn mutated(&self, pod: &PodView<'_>, tried: &mut Tried<'_>) -> Decision {
        let (Some(win), Some(spec)) = (&tried.won, &pod.spec) else {
            return self.refused(pod, tried, Phase::Mutate);
        };
        let won = if win.overlay.is_empty() { Won::Unchanged(win.name) } else { Won::Changed(win.name) };
        Decision {
            mutating_policy: Some(win.name.to_string()),
            patch: patch(pod, spec, &win.overlay, Some(win.name), self.request.sets_seccomp_fields),
            warnings: help::about_unusable_policies(self.index).collect(),
            audit_annotations: vec![(AUDIT_ADMIT.to_owned(), win.name.to_string())],
            ledger: self.ledger(pod, "", won),
            ..decided(true, Reason::Allowed, Phase::Mutate)
        }
    }

    /// The answer of the validate phase, on top of that of the mutate phase where there was one.
    fn validated(&self, pod: &PodView<'_>, tried: &mut Tried<'_>, mutated: Option<Decision>) -> Decision {
        if let Some(win) = &tried.won {
            return self.approved(pod, win.name, mutated);
        }
        let refused = self.refused(pod, tried, Phase::Validate);
        let admit = mutated.and_then(|decision| decision.mutating_policy);
        let audit = admit.iter().map(|name| (AUDIT_ADMIT.to_owned(), name.clone())).collect();
        Decision { mutating_policy: admit, audit_annotations: audit, ..refused }
    }

    /// The same, of a policy that admits the pod as it is.
    fn approved(&self, pod: &PodView<'_>, policy: &Arc<str>, mutated: Option<Decision>) -> Decision {
        let name = policy.to_string();
        let audit = (AUDIT_VALIDATE.to_owned(), name.clone());
        match mutated {
            Some(mut decision) => {
                decision.audit_annotations.push(audit);
                Decision { validating_policy: Some(name), decided_in: Phase::Validate, ..decision }
            }
            None => Decision {
                warnings: help::about_unusable_policies(self.index).collect(),
                audit_annotations: vec![audit],
                ledger: self.ledger(pod, pod.annotation(CHOSEN), Won::Unchanged(policy)),
                validating_policy: Some(name),
                ..decided(true, Reason::Allowed, Phase::Validate)
            },
        }
    }

    fn refused(&self, pod: &PodView<'_>, tried: &mut Tried<'_>, phase: Phase) -> Decision {
        let requester = Requester {
            namespace: self.request.namespace,
            service_account: pod.spec.as_ref().map_or("", |spec| &*spec.service_account_name),
            user: self.request.user,
        };
        let mut warnings: Vec<String> = help::about_unusable_policies(self.index).collect();
        let mut unmet = Vec::new();
        let (reason, what) = if self.index.policies().is_empty() {
            (Reason::NoPolicies, "no providers available to validate pod request".to_owned())
        } else {
            let verb = if phase == Phase::Mutate { "admit" } else { "validate" };
            let reason = if tried.usable == 0 {
                let granted: Vec<String> = self.usable.names().map(str::to_owned).collect();
                warnings.extend(help::about_missing_grants(self.rbac, &requester, &granted));
                Reason::NoUsablePolicy
            } else if tried.violations.is_empty() {
                Reason::NeedsChanges
            } else {
                Reason::Violations
            };
            if let Some(spec) = &pod.spec {
                for (name, policy) in &tried.passed_over {
                    warnings.push(format!(
                        "PodSecurityPolicy {} would admit the pod, but only with changes, which the validate phase may not make",
                        quote(name)
                    ));
                    unmet.extend(check_as_is(name, policy, pod, spec));
                }
            }
            (reason, format!("unable to {verb} pod: [{}]", Joined(&tried.violations, " ")))
        };
        let hint = if phase == Phase::Mutate { "" } else { pod.annotation(CHOSEN) };
        Decision {
            message: format!("pods {} is forbidden: PodSecurityPolicy: {what}", quote(self.name(pod))),
            violations: std::mem::take(&mut tried.violations),
            unmet,
            warnings,
            ledger: self.ledger(pod, hint, Won::Nobody { usable: tried.usable }),
            ..decided(false, reason, phase)
        }
    }

    /// `extractResourceName` of `k8s.io/apiserver/pkg/admission/errors.go`.
    fn name<'x>(&'x self, pod: &'x PodView<'_>) -> &'x str {
        [self.request.name, pod.name()].into_iter().find(|name| !name.is_empty()).unwrap_or("Unknown")
    }

    fn ledger(&self, pod: &PodView<'_>, hint: &str, won: Won<'_>) -> Option<super::Ledger> {
        let spec = pod.spec.as_ref().filter(|_| self.request.explain)?;
        Some(ledger(self.index, self.rbac, &self.request, pod, spec, hint, won))
    }
}

fn not_applicable(phase: Phase) -> Decision {
    let phase = if phase == Phase::Mutate { Phase::Mutate } else { Phase::Validate };
    decided(true, Reason::NotApplicable, phase)
}

fn decided(allowed: bool, reason: Reason, decided_in: Phase) -> Decision {
    Decision {
        allowed,
        reason,
        decided_in,
        mutating_policy: None,
        validating_policy: None,
        message: String::new(),
        violations: Vec::new(),
        unmet: Vec::new(),
        patch: Vec::new(),
        warnings: Vec::new(),
        audit_annotations: Vec::new(),
        ledger: None,
    }
}
