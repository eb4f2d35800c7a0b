//! Whom certificates name.

use std::time::SystemTime;

use gavel_access::{Authenticator, Method, Refusal, Settings, SpiffeId, identity_of_der};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType,
    DnValue, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;

fn issue(adapt: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    adapt(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn named(name: &str, groups: &[&str]) -> CertificateDer<'static> {
    issue(|params| {
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.distinguished_name.push(DnType::CommonName, name);
    })
}

fn svid(uris: &[&str], adapt: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    issue(|params| {
        params.distinguished_name.push(DnType::CommonName, "somebody else");
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        adapt(params);
    })
}

async fn authenticator(trust_domain: Option<&str>) -> Authenticator {
    let settings = Settings { spiffe_trust_domain: trust_domain.map(str::to_owned), ..Settings::default() };
    Authenticator::new(settings, None).await.unwrap()
}

#[tokio::test]
async fn common_name_and_organizations() {
    let authenticator = authenticator(None).await;
    for (name, groups) in [
        ("alice", &[][..]),
        ("alice", &["dev"]),
        ("system:kube-controller-manager", &["system:masters"]),
        ("Ünïcödé 名", &["grüppe"]),
    ] {
        let caller = authenticator.certificate(&[named(name, groups)]).unwrap();
        assert_eq!((caller.user.name.as_str(), caller.method), (name, Method::Certificate));
        assert_eq!(caller.user.groups, [groups, &["system:authenticated"]].concat());
        assert!(caller.expires.unwrap() > SystemTime::now());
    }
    // A group is not named twice.
    let caller = authenticator.certificate(&[named("alice", &["system:authenticated"])]).unwrap();
    assert_eq!(caller.user.groups, ["system:authenticated"]);
    // Other kinds of names do not count.
    let with_uri = issue(|params| {
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.subject_alt_names = vec![
            SanType::URI("https://alice.test".try_into().unwrap()),
            SanType::DnsName("bob.test".try_into().unwrap()),
        ];
    });
    assert_eq!(authenticator.certificate(&[with_uri]).unwrap().user.name, "alice");
}

#[tokio::test]
async fn certificates_that_name_nobody() {
    let authenticator = authenticator(None).await;
    let refused = |chain: &[CertificateDer<'_>]| match authenticator.certificate(chain) {
        Err(Refusal::Unauthenticated(why)) => why,
        other => format!("not refused: {other:?}"),
    };
    assert!(refused(&[]).contains("no client certificate"));
    assert!(refused(&[named("", &["dev"])]).contains("no common name"));
    assert!(refused(&[issue(|_| {})]).contains("no common name"));
    // Not text: a CN of BMPString's 16-bit units is none that everybody reads alike.
    let odd = issue(|params| {
        params.distinguished_name.push(DnType::CommonName, DnValue::BmpString("alice".try_into().unwrap()));
    });
    assert!(refused(&[odd]).contains("cannot be read as text"));
    let expired = issue(|params| {
        params.distinguished_name.push(DnType::CommonName, "alice");
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    });
    assert!(refused(&[expired]).contains("has expired"));
    for junk in [&b""[..], b"junk", &[0x30, 0x82, 0xff, 0xff], &[0x30; 4096]] {
        assert!(refused(&[CertificateDer::from(junk)]).contains("cannot be read"));
    }
    let good = named("alice", &[]);
    for length in 0..good.len() {
        assert!(identity_of_der(&good[..length], None).is_err(), "{length}");
    }
    assert!(identity_of_der(&[&good[..], b"x"].concat(), None).is_err());
}

#[tokio::test]
async fn a_chain_is_good_for_as_long_as_its_issuers() {
    let authenticator = authenticator(None).await;
    let day = |days: i64| time::OffsetDateTime::now_utc() + time::Duration::days(days);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = day(1);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "alice");
    params.not_after = day(9);
    let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();
    let expires = |chain: &[CertificateDer<'_>]| authenticator.certificate(chain).unwrap().expires.unwrap();
    assert!(expires(&[leaf.clone(), issuer.der().clone()]) <= SystemTime::from(day(1)));
    assert!(expires(&[leaf, CertificateDer::from(&b"junk"[..])]) > SystemTime::from(day(8)));
}

#[tokio::test]
async fn spiffe_ids() {
    let (anywhere, here) = (authenticator(None).await, authenticator(Some("cluster.local")).await);
    let account = "spiffe://cluster.local/ns/kube-system/sa/agent";
    // Without a trust domain an ID is a name like another.
    let caller = anywhere.certificate(&[svid(&[account], |_| {})]).unwrap();
    assert_eq!(caller.user.name, account);
    assert_eq!(caller.user.groups, ["system:authenticated"]);
    let caller = here.certificate(&[svid(&[account], |_| {})]).unwrap();
    assert_eq!(caller.user.name, "system:serviceaccount:kube-system:agent");
    assert_eq!(
        caller.user.groups,
        ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"]
    );
    for other in [
        "spiffe://cluster.local/node/1",
        "spiffe://cluster.local/ns/a/sa/b/c",
        "spiffe://cluster.local/ns/a/sa",
    ] {
        let caller = here.certificate(&[svid(&[other], |_| {})]).unwrap();
        assert_eq!(caller.user.name, other);
    }
    // Without a subject, and with other kinds of names.
    let bare = svid(&[account], |params| {
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names.push(SanType::DnsName("agent.test".try_into().unwrap()));
        params.key_usages.clear();
    });
    assert_eq!(anywhere.certificate(&[bare]).unwrap().user.name, account);
}

#[tokio::test]
async fn spiffe_ids_that_are_no_good() {
    let (anywhere, here) = (authenticator(None).await, authenticator(Some("cluster.local")).await);
    let refused = |authenticator: &Authenticator, certificate| match authenticator.certificate(&[certificate])
    {
        Err(Refusal::Unauthenticated(why)) => why,
        other => format!("not refused: {other:?}"),
    };
    let good = "spiffe://cluster.local/ns/a/sa/b";
    for foreign in
        ["spiffe://elsewhere/ns/a/sa/b", "spiffe://cluster.local.evil/ns/a/sa/b", "spiffe://local/ns/a/sa/b"]
    {
        assert!(
            refused(&here, svid(&[foreign], |_| {})).contains("trust domain that is not trusted"),
            "{foreign}"
        );
    }
    for uris in [&[good, good][..], &[good, "https://x.test"], &["https://x.test", good]] {
        assert!(refused(&anywhere, svid(uris, |_| {})).contains("more than one URI"));
    }
    assert!(refused(&anywhere, svid(&["spiffe://cluster.local"], |_| {})).contains("has no path"));
    let signing: [fn(&mut CertificateParams); 3] = [
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign),
        |params| params.key_usages.push(KeyUsagePurpose::CrlSign),
    ];
    for adapt in signing {
        assert!(refused(&anywhere, svid(&[good], adapt)).contains("made for signing"));
    }
    // Names that nobody can read are no reason to believe the subject.
    let malformed = svid(&[], |params| {
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0x03, 0x86, 0x09, 0x78]));
    });
    assert!(refused(&anywhere, malformed).contains("cannot be read"));
}

#[test]
fn texts_that_are_no_spiffe_ids() {
    let long = format!("spiffe://x/{}", "a".repeat(2048));
    let long_domain = format!("spiffe://{}/a", "a".repeat(256));
    for uri in [
        "",
        "spiffe:",
        "spiffe:/x/y",
        "spiffe://",
        "spiffe:///a",
        "SPIFFE://x/a",
        "Spiffe://x/a",
        "https://x/a",
        "spiffe://X/a",
        "spiffe://x:1/a",
        "spiffe://u@x/a",
        "spiffe://x%41/a",
        "spiffe://[::1]/a",
        "spiffe://x/",
        "spiffe://x/a/",
        "spiffe://x//a",
        "spiffe://x/./a",
        "spiffe://x/../a",
        "spiffe://x/a/..",
        "spiffe://x/a?b",
        "spiffe://x/a#b",
        "spiffe://x?b",
        "spiffe://x/%61",
        "spiffe://x/a b",
        "spiffe://x/ä",
        "spiffe://x/a:b",
        &long,
        &long_domain,
    ] {
        assert!(SpiffeId::parse(uri).is_err(), "{uri}");
    }
    for uri in ["spiffe://x", "spiffe://x.y-z_1/A/b.c/...", "spiffe://1/2"] {
        SpiffeId::parse(uri).unwrap();
    }
    // And a certificate with a misspelt one is no certificate of its subject.
    for uri in ["SPIFFE://x/a", "spiffe:x", "spiffe://x//a"] {
        let error = identity_of_der(&svid(&[uri], |_| {}), None).unwrap_err();
        assert!(error.contains("X.509-SVID"), "{error}");
    }
}
