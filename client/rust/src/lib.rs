//! Rust client of Gavel, the Kubernetes policy decision point.
//!
//! [`Client`] asks one server, [`Balanced`] all replicas of one, and [`review`] reads and answers the AdmissionReviews of
//! an API server. [`Security`] is how servers are known, and how they know who asks; [`trace`] makes calls part of a
//! trace.
//!
//! ```no_run
//! use gavel_client::{Client, v1};
//!
//! # async fn example() -> Result<(), gavel_client::Error> {
//! let client = Client::connect("127.0.0.1:9470").await?;
//! let pod = |name: &str| v1::End {
//!     end: Some(v1::end::End::Pod(v1::PodRef { namespace: "shop".into(), name: name.into(), ip: String::new() })),
//! };
//! let answer = client
//!     .check_flow(v1::CheckFlowRequest {
//!         source: Some(pod("web")),
//!         destination: Some(pod("db")),
//!         port: 5432,
//!         ..Default::default()
//!     })
//!     .await?;
//! println!("{}", answer.reason);
//! # Ok(())
//! # }
//! ```

pub mod balanced;
mod client;
mod connect;
mod error;
#[cfg(feature = "flags")]
pub mod flags;
pub mod review;
mod security;
pub mod trace;

pub use balanced::Balanced;
pub use client::Client;
pub use error::{Error, FieldViolation};
/// The messages of the wire contract.
pub use gavel_proto::v1;
pub use security::{Security, SecurityStatus, check};
pub use trace::TraceContext;
