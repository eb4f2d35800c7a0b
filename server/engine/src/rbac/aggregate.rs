//! Aggregated ClusterRoles: their rules are those of the ClusterRoles that their selectors choose.
//!
//! Kubernetes' authorizer never looks at `aggregationRule`; the controller manager writes the rules
//! (`pkg/controller/clusterroleaggregation`). From manifests nobody does, so it is done here, and from a cluster it
//! is done again, with the same outcome.

use std::sync::Arc;

use crate::object::rbac::AggregationRule;
use crate::object::{Labels, PolicyRule, Role};
use crate::selector;

/// What each aggregated role grants, once nothing changes any more.
///
/// As the controller does: over the selectors in order, over the other roles in the order of their names, each rule
/// once. Roles may aggregate aggregated roles; where they do so in a circle, the rules as written go round in it,
/// hence the start from those.
pub(super) fn aggregate(
    roles: &imbl::OrdMap<Arc<str>, Arc<Role>>,
) -> imbl::OrdMap<Arc<str>, Arc<Vec<PolicyRule>>> {
    let mut rules: imbl::OrdMap<Arc<str>, Arc<Vec<PolicyRule>>> = roles
        .iter()
        .filter(|(_, role)| role.aggregation_rule.is_some())
        .map(|(name, role)| (name.clone(), Arc::new(role.rules.clone())))
        .collect();
    // Each round carries rules one role further, so that a chain of n roles needs n rounds.
    for _ in 0..=rules.len() {
        let mut changed = false;
        for (name, role) in roles {
            let Some(aggregation) = &role.aggregation_rule else { continue };
            let mut collected: Vec<PolicyRule> = Vec::new();
            for chosen in &aggregation.cluster_role_selectors {
                for (other_name, other) in roles {
                    if other_name == name || !selector::matches(chosen, &other.metadata.labels) {
                        continue;
                    }
                    let granted = rules.get(other_name).map_or(&other.rules, |rules| rules);
                    for rule in granted {
                        if !collected.contains(rule) {
                            collected.push(rule.clone());
                        }
                    }
                }
            }
            if rules.get(name).is_some_and(|rules| **rules != collected) {
                rules.insert(name.clone(), Arc::new(collected));
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    rules
}

/// Whether a role with these labels is chosen.
pub(super) fn chooses(rule: &AggregationRule, labels: &Labels) -> bool {
    rule.cluster_role_selectors.iter().any(|chosen| selector::matches(chosen, labels))
}
