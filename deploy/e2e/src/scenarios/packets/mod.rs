//! Packets: what `CheckFlow` denies does not arrive.

mod bad_input;
mod cases;
mod changes;
mod cni;
mod cost;
mod faults;
mod holds;
mod shop;
mod tutorial;

use crate::kit::Runner;

pub(super) fn add_to(runner: &mut Runner) {
    runner.add_packets("packets-cases", |scenario| Box::pin(cases::play(scenario)));
    runner.add_packets("packets-faults", |scenario| Box::pin(faults::play(scenario)));
    runner.add_packets("packets-changes", |scenario| Box::pin(changes::play(scenario)));
    runner.add_packets("packets-bad-input", |scenario| Box::pin(bad_input::play(scenario)));
    runner.add_packets("packets-holds", |scenario| Box::pin(holds::play(scenario)));
    runner.add_packets("packets-cni", |scenario| Box::pin(cni::play(scenario)));
    runner.add_packets_alone("packets-cost", |scenario| Box::pin(cost::play(scenario)));
    runner.add_packets("packets-tutorial", |scenario| Box::pin(tutorial::play(scenario)));
}
