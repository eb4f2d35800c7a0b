//! Client certificates, as TLS hands them on: whom do they name?
#![no_main]

use gavel_access::identity_of_der;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    for trust_domain in [None, Some("cluster.local")] {
        match identity_of_der(der, trust_domain) {
            Ok(identity) => assert!(!identity.user.name.is_empty()),
            Err(why) => assert!(!why.is_empty()),
        }
    }
});
