//! Texts of settings: what can be read is written, and reads the same again.
#![no_main]

use gavel_access::{Grant, TokenKeys};
use gavel_server::config::{DecisionLogTarget, Listen, Mode, Ratio};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(grant) = text.parse::<Grant>() {
        assert!(!grant.calls.is_empty());
    }
    if let Ok(listen) = text.parse::<Listen>() {
        assert_eq!(listen.to_string().parse(), Ok(listen));
    }
    if let Ok(mode) = text.parse::<Mode>() {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    if let Ok(ratio) = text.parse::<Ratio>() {
        assert!((0.0..=1.0).contains(&ratio.0));
    }
    if let Ok(target) = text.parse::<DecisionLogTarget>() {
        assert_eq!(target.to_string(), text);
    }
    drop(text.parse::<TokenKeys>());
});
