//! The cases in the tree, differential and property tests, and the tidiness of the house.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod case_files;
mod crd;
mod native;
mod properties;
mod slow;
mod tidy;
mod typed;
