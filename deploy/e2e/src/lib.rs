//! Scenarios against a real control plane.
