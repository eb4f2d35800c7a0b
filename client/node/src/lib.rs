//! gavel-node: the node agent.
//!
//! The first packet of each new connection of a pod that policies isolate comes out of a queue of the kernel's
//! ([`queue`]), is read ([`packet`]), and looked up ([`cache`]) or asked about ([`link`]); packets of connections that are
//! known never come here. Which packets come is rules in the kernel ([`firewall`]), that follow from the node's pods
//! ([`rules`], [`agent`]).

mod admin;
mod agent;
mod cache;
pub mod config;
mod cut;
mod firewall;
mod flow;
mod flow_log;
mod holds;
mod link;
mod metrics;
mod packet;
mod queue;
mod rules;
mod run;
mod state;
pub mod telemetry;

pub use firewall::uninstall;
pub use run::run;
