//! A JSON Web Key Set, and a token after it: nobody is let in, since nobody here can sign.
#![no_main]

use gavel_access::{KeySet, Verdict};
use libfuzzer_sys::fuzz_target;

/// Keys of an issuer that signed nothing.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"one","use":"sig","alg":"ES256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (keys, token) = text.split_once('\n').unwrap_or(("", text));
    let audiences = ["gavel".to_owned()];
    for keys in [keys, KEYS] {
        if let Ok(keys) = KeySet::parse(keys, "https://kubernetes.default.svc", &audiences) {
            let verdict = keys.verify(token);
            assert!(!matches!(verdict, Verdict::Good { .. }), "{token} of {keys:?}");
        }
    }
});
