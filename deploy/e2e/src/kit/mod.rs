//! The kit that scenarios are made with: a control plane, Gavel's programs, and what may happen to them.

mod apply;
mod ask;
mod certificates;
mod control_plane;
mod folder;
mod helm;
mod http;
mod kubectl;
mod manifests;
pub(crate) mod objects;
mod ports;
mod process;
mod proxy;
mod rest;
mod scenario;
mod secure;
mod server;
pub(crate) mod wait;
pub(crate) mod webhook;

pub(crate) use apply::apply;
pub(crate) use ask::{NumberedPolicy, admission, admission_after};
pub(crate) use control_plane::{ControlPlane, Version};
pub(crate) use folder::Folder;
pub(crate) use helm::{CHART, helm, try_helm};
pub(crate) use http::Http;
pub(crate) use http::Response;
pub(crate) use manifests::{MANIFESTS, flow, review};
pub(crate) use ports::free_port;
pub(crate) use process::{Process, Program};
pub(crate) use proxy::{Mode, Proxy};
pub(crate) use rest::{Rest, path, resource_version};
pub(crate) use scenario::{Runner, Scenario, in_repository, install_crd};
pub(crate) use secure::Authority;
pub(crate) use server::{GavelServer, at_least, program, seconds};
pub(crate) use webhook::{Webhook, WebhookFlags, webhook_name};
