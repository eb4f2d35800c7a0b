//! Controls, phases and selection, case by case. (Thousands more, with Kubernetes' answers: `server/conformance`.)

mod controls;
mod pods;
mod selection;
mod support;
