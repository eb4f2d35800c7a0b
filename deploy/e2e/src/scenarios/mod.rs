//! The scenarios: what has to hold against a real control plane, one file each.

mod bad_input;
mod census;
mod chart;
mod deploy;
mod empty;
mod faults_apiserver;
mod faults_replicas;
mod faults_restart;
mod faults_watch;
mod figures;
mod flows;
mod hostile;
mod kinds;
mod meanwhile;
mod packets;
mod prometheus;
mod release;
mod rolling;
mod side_by_side;
mod storm;
mod traces;
mod tutorial;

use crate::kit::Runner;

/// All of them, in the order they start in: the long ones first, so that the others fill the time beside them.
pub(crate) fn add_to(runner: &mut Runner) {
    runner.add("faults-watch", |scenario| Box::pin(faults_watch::play(scenario)));
    runner.add("side-by-side", |scenario| Box::pin(side_by_side::play(scenario)));
    runner.add("tutorial", |scenario| Box::pin(tutorial::play(scenario)));
    runner.add("flows", |scenario| Box::pin(flows::play(scenario)));
    runner.add("empty", |scenario| Box::pin(empty::play(scenario)));
    runner.add("faults-apiserver", |scenario| Box::pin(faults_apiserver::play(scenario)));
    runner.add("faults-restart", |scenario| Box::pin(faults_restart::play(scenario)));
    runner.add("faults-replicas", |scenario| Box::pin(faults_replicas::play(scenario)));
    runner.add("storm", |scenario| Box::pin(storm::play(scenario)));
    runner.add("kinds", |scenario| Box::pin(kinds::play(scenario)));
    runner.add("bad-input", |scenario| Box::pin(bad_input::play(scenario)));
    runner.add("deploy", |scenario| Box::pin(deploy::play(scenario)));
    runner.add("chart", |scenario| Box::pin(chart::play(scenario)));
    runner.add("release", |scenario| Box::pin(release::play(scenario)));
    runner.add("prometheus", |scenario| Box::pin(prometheus::play(scenario)));
    runner.add("traces", |scenario| Box::pin(traces::play(scenario)));
    runner.add("rolling", |scenario| Box::pin(rolling::play(scenario)));
    packets::add_to(runner);
    runner.add_alone("hostile", |scenario| Box::pin(hostile::play(scenario)));
    runner.add_alone("figures", |scenario| Box::pin(figures::play(scenario)));
}
