//! The shell around the engine.
