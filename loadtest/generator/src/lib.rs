//! Realistic clusters of any size, and questions about them: always the same for the same numbers.
//!
//! A few namespaces are large and most are small; in each, few applications have most of the pods. Deployments,
//! StatefulSets and DaemonSets own their pods as controllers have it, and the pods of a StatefulSet have a label of
//! their own each. Policies are those that people write: default deny, DNS, application to application, other
//! namespaces, addresses outside, named ports, ranges of ports.
//!
//! ```
//! let size = gavel_generator::Size { pods: 1000, ..Default::default() };
//! let cluster = gavel_generator::Cluster::new(size)?;
//! assert_eq!(cluster.objects().filter(|object| object["kind"] == "Pod").count(), 1000);
//! let flow = cluster.flows().next();
//! # assert!(flow.is_some());
//! # Ok::<(), gavel_generator::SizeError>(())
//! ```

mod access;
mod cluster;
mod folder;
mod network;
mod psp;
mod questions;
mod random;
mod size;
mod template;
mod workload;

pub use cluster::Cluster;
pub use folder::{OBJECTS_A_FILE, Written, write};
pub use size::{Size, SizeError};
