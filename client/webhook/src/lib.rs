//! The admission webhook: AdmissionReviews in, Gavel's decisions out, over HTTPS.
//!
//! It decodes just enough of a review to ask `Admit` of the server's replicas, and turns the decision into a review
//! with its response. It knows no rule of Kubernetes.
//!
//! - `listener` gives out connections, and ends them; `room` is how much may be asked at a time;
//! - `handler` takes the requests, `deadline` tells how long they may take, `answer` turns decisions into answers;
//! - `trace` makes them part of the API server's traces;
//! - [`certificate`] loads what is served with, follows it as it changes, and issues it where nobody else does;
//! - `admin` and `metrics` are what the operator sees;
//! - [`run`] wires them up: what `main` calls, and what tests start on port 0.

mod admin;
mod answer;
pub mod certificate;
pub mod config;
mod deadline;
mod handler;
mod listener;
mod metrics;
mod room;
pub mod run;
pub mod telemetry;
mod trace;

pub use config::Config;
pub use run::{Running, start, start_traced};
