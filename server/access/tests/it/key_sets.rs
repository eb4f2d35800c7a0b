//! What a key set takes, and what it says of what it does not take.

use gavel_access::{KeySet, Unknown, Verdict};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use crate::issuer::{ISSUER, Signer, base64url, claims, claims_but, jwks, now};

fn key_set<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> KeySet {
    KeySet::parse(&jwks(signers), ISSUER, &["gavel".to_owned(), "other".to_owned()]).unwrap()
}

fn bad(verdict: Verdict) -> String {
    match verdict {
        Verdict::Bad(why) => why,
        other => format!("not bad: {other:?}"),
    }
}

#[test]
fn every_algorithm_that_is_taken() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let signer = Signer::of("one", algorithm);
        let verdict = key_set([&signer]).verify(&signer.sign(&claims()));
        let Verdict::Good { user, expires } = verdict else { panic!("{algorithm:?}: {verdict:?}") };
        assert_eq!(user.name, "system:serviceaccount:kube-system:agent");
        assert_eq!(
            user.groups,
            ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"]
        );
        assert!(expires > std::time::SystemTime::now());
    }
}

#[test]
fn claims_that_are_no_good() {
    let signer = Signer::new("one");
    let keys = key_set([&signer]);
    for (changes, why) in [
        (json!({"exp": now() - 60}), "the token has expired"),
        (json!({"exp": null}), "not those of a service account"),
        (json!({"exp": "tomorrow"}), "not those of a service account"),
        (json!({"exp": -1}), "claim \"exp\""),
        (json!({"nbf": now() + 60}), "not valid yet"),
        (json!({"nbf": "today"}), "not those of a service account"),
        (json!({"aud": "vault"}), "has to be for gavel or other"),
        (json!({"aud": ["vault", "Gavel", "gavel "]}), "has to be for gavel or other"),
        (json!({"aud": []}), "has to be for gavel or other"),
        (json!({"aud": null}), "claim \"aud\""),
        (json!({"aud": {"gavel": true}}), "claim \"aud\""),
        (json!({"sub": null}), "not those of a service account"),
        (json!({"sub": "system:serviceaccount:kube-system:root"}), "not the service account"),
        (json!({"sub": "alice"}), "not the service account"),
        (json!({"kubernetes.io": null}), "no kubernetes.io claim"),
        (json!({"kubernetes.io": {"namespace": "kube-system"}}), "not those of a service account"),
        (
            json!({"sub": "system:serviceaccount:a:b:c",
                "kubernetes.io": {"namespace": "a:b", "serviceaccount": {"name": "c"}}}),
            "not the service account",
        ),
        (
            json!({"sub": "system:serviceaccount::x",
                "kubernetes.io": {"namespace": "", "serviceaccount": {"name": "x"}}}),
            "not the service account",
        ),
    ] {
        let said = bad(keys.verify(&signer.sign(&claims_but(&changes))));
        assert!(said.contains(why), "{changes}: {said}");
    }
    // What may differ.
    for changes in [
        json!({"aud": "other"}),
        json!({"aud": ["vault", "gavel"]}),
        json!({"nbf": null, "iat": null}),
        json!({"exp": now() - 3}),
        json!({"nbf": now() + 3}),
        json!({"exp": 1e12}),
    ] {
        let verdict = keys.verify(&signer.sign(&claims_but(&changes)));
        assert!(matches!(verdict, Verdict::Good { .. }), "{changes}: {verdict:?}");
    }
}

#[test]
fn what_somebody_else_may_know() {
    let (signer, other) = (Signer::new("one"), Signer::new("two"));
    let keys = key_set([&signer]);
    let unknown = |token: &str| match keys.verify(token) {
        Verdict::Unknown(unknown) => unknown,
        verdict => panic!("{verdict:?}"),
    };
    assert_eq!(unknown(&other.sign(&claims())), Unknown::Key);
    assert_eq!(unknown(&signer.sign(&claims_but(&json!({"iss": "https://elsewhere"})))), Unknown::Issuer);
    assert_eq!(unknown(&signer.sign(&claims_but(&json!({"iss": null})))), Unknown::Issuer);
    for junk in ["junk", "a.b.c", "..", "", "abcdef.0123456789abcdef"] {
        assert_eq!(unknown(junk), Unknown::NoJwt, "{junk}");
    }
    let deep = base64url(format!("{}{}", r#"{"alg":"ES256","x":"#, "[".repeat(5000)).as_bytes());
    assert_eq!(unknown(&format!("{deep}.{deep}.x")), Unknown::NoJwt);
}

#[test]
fn signatures_that_are_wrong() {
    let (signer, other) = (Signer::new("one"), Signer::new("one"));
    let keys = key_set([&signer]);
    let wrong = "the token's signature is wrong";
    assert_eq!(bad(keys.verify(&other.sign(&claims()))), wrong, "another key of the same name");
    let token = signer.sign(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    assert_eq!(bad(keys.verify(&format!("{signed}."))), wrong, "none");
    assert_eq!(bad(keys.verify(&token[..token.len() - 4])), wrong, "cut off");
    assert_eq!(bad(keys.verify(&format!("{signed}.!!!"))), wrong, "no base64");
    // All zeros: CVE-2022-21449.
    assert_eq!(bad(keys.verify(&format!("{signed}.{}", base64url(&[0; 64])))), wrong, "zeros");
    // The same signature under other claims.
    let (header, _) = signed.split_once('.').unwrap();
    let forged = base64url(claims_but(&json!({"exp": now() + 99999})).to_string().as_bytes());
    assert_eq!(bad(keys.verify(&format!("{header}.{forged}.{signature}"))), wrong, "forged");
}

/// Whoever knows the public key must not be able to sign with it.
#[test]
fn algorithms_that_are_not_the_keys() {
    for algorithm in [Algorithm::ES256, Algorithm::RS256] {
        let signer = Signer::of("one", algorithm);
        let keys = key_set([&signer]);
        let hmac = signer.sign_with(&claims(), |header| header.alg = Algorithm::HS256);
        assert_eq!(keys.verify(&hmac), Verdict::Unknown(Unknown::NoJwt), "HS256 with the public key");
        for alg in ["none", "None", "NONE", ""] {
            let header = base64url(json!({"alg": alg, "kid": "one"}).to_string().as_bytes());
            let payload = base64url(claims().to_string().as_bytes());
            for signature in ["", "x"] {
                let token = format!("{header}.{payload}.{signature}");
                assert_eq!(keys.verify(&token), Verdict::Unknown(Unknown::NoJwt), "{alg}");
            }
        }
    }
    // PSS is not offered, and RS384 is not what this key is for.
    let signer = Signer::of("one", Algorithm::RS256);
    for other in [Algorithm::RS384, Algorithm::PS256] {
        let token = signer.sign_with(&claims(), |header| header.alg = other);
        assert!(bad(key_set([&signer]).verify(&token)).contains("another algorithm"), "{other:?}");
    }
    // A key that does not say what it is for is for all that its kind can do.
    let mut jwk = signer.jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let keys = KeySet::parse(&json!({"keys": [jwk]}).to_string(), ISSUER, &["gavel".to_owned()]).unwrap();
    let token = signer.sign_with(&claims(), |header| header.alg = Algorithm::RS384);
    assert!(matches!(keys.verify(&token), Verdict::Good { .. }));
}

#[test]
fn a_key_in_the_token_is_not_believed() {
    let (signer, mallory) = (Signer::new("one"), Signer::new("mallory"));
    let own_key = |header: &mut Header| {
        header.jwk = Some(serde_json::from_value(mallory.jwk()).unwrap());
        header.jku = Some("https://mallory.test/keys".to_owned());
    };
    let token = mallory.sign_with(&claims(), own_key);
    assert_eq!(key_set([&signer]).verify(&token), Verdict::Unknown(Unknown::Key));
}

#[test]
fn keys_by_name_and_without() {
    let (one, two) = (Signer::new("one"), Signer::of("two", Algorithm::RS256));
    let keys = key_set([&one, &two]);
    for signer in [&one, &two] {
        for adapt in [|_: &mut Header| {}, |header: &mut Header| header.kid = None] {
            let verdict = keys.verify(&signer.sign_with(&claims(), adapt));
            assert!(matches!(verdict, Verdict::Good { .. }), "{verdict:?}");
        }
    }
    let misnamed = two.sign_with(&claims(), |header| header.kid = Some("one".to_owned()));
    assert!(bad(keys.verify(&misnamed)).contains("another algorithm"));
    let critical = one.sign_with(&claims(), |header| header.crit = Some(vec!["b64".to_owned()]));
    assert!(bad(keys.verify(&critical)).contains("crit"));
}

#[test]
fn key_sets_that_cannot_be_used() {
    let good = Signer::new("one").jwk();
    let adapted = |changes: &Value| {
        let mut key = good.clone();
        key.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"keys": [key]}).to_string()
    };
    let parse = |text: &str| KeySet::parse(text, ISSUER, &["gavel".to_owned()]);
    for text in ["", "[]", "{}", r#"{"keys": 1}"#, "-----BEGIN PUBLIC KEY-----"] {
        let why = parse(text).unwrap_err();
        assert!(why.contains("no JSON Web Key Set"), "{text}: {why}");
    }
    for text in [
        r#"{"keys": []}"#.to_owned(),
        r#"{"keys": [1, {}, {"kty": "RSA"}]}"#.to_owned(),
        json!({"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]}).to_string(),
        adapted(&json!({"use": "enc"})),
        adapted(&json!({"alg": "HS256"})),
        adapted(&json!({"alg": "ES384"})),
        adapted(&json!({"crv": "P-521"})),
    ] {
        let why = parse(&text).unwrap_err();
        assert!(why.contains("none is public and for verifying"), "{text}: {why}");
    }
    // What is of no use is passed over.
    let mixed = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": "new", "x": 1}, good]}).to_string();
    assert!(parse(&mixed).is_ok());
    let told = parse(r#"{"keys": "super-secret"}"#).unwrap_err();
    assert!(!told.contains("super-secret"), "{told}");
}
