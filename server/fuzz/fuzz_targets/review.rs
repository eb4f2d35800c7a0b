//! AdmissionReviews, as a webhook is sent them.
#![no_main]

use gavel_client::review;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let body = body.to_vec().into();
    match review::read(&body) {
        Ok(request) => {
            assert!(!request.uid.is_empty() && request.user.is_some());
            // What goes on is the object's own text.
            assert!(request.object.is_empty() || serde_json::from_slice::<serde_json::Value>(&request.object).is_ok());
        }
        Err(error) => assert!(!error.message.is_empty()),
    }
});
