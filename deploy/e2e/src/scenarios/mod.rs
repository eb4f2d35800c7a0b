//! The scenarios: what has to hold against a real control plane, one file each.

mod side_by_side;
mod tutorial;

use crate::kit::Runner;

/// All of them, in the order they start in.
pub(crate) fn add_to(runner: &mut Runner) {
    runner.add("tutorial", |scenario| Box::pin(tutorial::play(scenario)));
    runner.add("side-by-side", |scenario| Box::pin(side_by_side::play(scenario)));
}
