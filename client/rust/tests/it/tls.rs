//! TLS: who is trusted, and what is said when nobody is; certificates that are rotated.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gavel_client::balanced::{Dns, Resolve, Resolving, State};
use gavel_client::{Balanced, Client, Error, Security, v1 as pb};

use crate::balanced::{DEADLINE, settings, until};
use crate::certificates::{Authority, demanding};
use crate::fake::{Fake, Serving};

fn serving(tls: tonic::transport::ServerTlsConfig) -> Serving {
    Serving { tls: Some(tls), ..Serving::default() }
}

async fn asked(fake: &Fake, security: &Security) -> Result<String, Error> {
    let client = Client::connect_with(&fake.address.to_string(), security).await?;
    Ok(client.admit(pb::AdmitRequest::default()).await?.policy)
}

async fn refused(fake: &Fake, security: &Security) -> String {
    asked(fake, security).await.unwrap_err().to_string()
}

#[tokio::test]
async fn trusted() {
    let authority = Authority::new("one");
    let fake = Fake::serve("fake", serving(authority.serves("127.0.0.1")));
    assert_eq!(asked(&fake, &authority.trusted()).await.unwrap(), "fake");
    let address = format!("https://{}", fake.address);
    let client = Client::connect_with(&address, &authority.trusted()).await.unwrap();
    let mut stream = client.watch_snapshot().await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap().revision, 1);
    let status = client.security();
    assert!(
        status.has_tls && !status.has_token && status.files.is_none() && status.certificate_expires.is_none()
    );
}

#[tokio::test]
async fn not_trusted() {
    let (authority, other) = (Authority::new("one"), Authority::new("two"));
    let fake = Fake::serve("fake", serving(authority.serves("127.0.0.1")));
    let text = refused(&fake, &other.trusted()).await;
    assert!(text.contains("not trusted: none of the authorities"), "{text}");
    // An authority that calls itself the same.
    let text = refused(&fake, &Authority::new("one").trusted()).await;
    assert!(text.contains("not trusted"), "{text}");
    let expired = Fake::serve("fake", serving(authority.issue("127.0.0.1", 2020, 2021).serves()));
    let text = refused(&expired, &authority.trusted()).await;
    assert!(text.contains("certificate has expired, "), "{text}");
    let early = Fake::serve("fake", serving(authority.issue("127.0.0.1", 2098, 2099).serves()));
    let text = refused(&early, &authority.trusted()).await;
    assert!(text.contains("certificate is not valid yet"), "{text}");
    let text = refused(&Fake::start("plain"), &authority.trusted()).await;
    assert!(text.contains("does not speak TLS"), "{text}");
    // The other way round: in words of ours, as the server's are none of HTTP/2.
    let text = refused(&fake, &Security::default()).await;
    assert!(
        text.contains("TLS (--server-ca FILE)") || text.contains("wants it (--server-ca FILE)"),
        "{text}"
    );
}

#[tokio::test]
async fn names() {
    let authority = Authority::new("one");
    let fake = Fake::serve("fake", serving(authority.serves("gavel.test")));
    let text = refused(&fake, &authority.trusted()).await;
    assert!(text.contains("is not for 127.0.0.1, but for gavel.test: "), "{text}");
    let mut security = authority.trusted();
    security.server_name = Some("gavel.test".to_owned());
    assert_eq!(asked(&fake, &security).await.unwrap(), "fake");
    security.server_name = Some("other.test".to_owned());
    assert!(refused(&fake, &security).await.contains("is not for other.test"));
}

#[derive(Debug)]
struct Names(SocketAddr);

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(vec![self.0]) })
    }
}

/// Names are resolved to addresses; the certificate is for the name. Health is asked over the same connection.
#[tokio::test]
async fn certificates_are_for_names() {
    let authority = Authority::new("one");
    let fake = Fake::serve("fake", serving(authority.serves("gavel.test")));
    let client = async |address: &str| {
        let mut settings = settings();
        settings.security = authority.trusted();
        Balanced::with(&[address], settings, Arc::new(Names(fake.address))).await.unwrap()
    };
    let good = client("gavel.test:9470").await;
    until(&good, |states| states == [State::Good]).await;
    assert_eq!(good.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap().policy, "fake");
    let wrong = client("https://other.test").await;
    until(&wrong, |states| states == [State::Failed]).await;
    let error = wrong.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap_err();
    assert!(error.to_string().contains("is not for other.test"), "{error}");
    assert!(wrong.replicas()[0].detail.contains("is not for other.test"), "{:?}", wrong.replicas());
}

#[tokio::test]
async fn client_certificates() {
    let (authority, other) = (Authority::new("one"), Authority::new("two"));
    let tls = demanding(authority.serves("127.0.0.1"), &authority);
    let fake = Fake::serve("fake", serving(tls));
    let own = authority.issue("client", 2020, 2100);
    assert_eq!(asked(&fake, &authority.trusted_with(&own)).await.unwrap(), "fake");

    let text = refused(&fake, &authority.trusted()).await;
    // In its words, or in ours where its last ones were lost with the connection.
    assert!(text.contains("client certificate") && text.contains("--client-cert FILE"), "{text}");
    let strange = other.issue("client", 2020, 2100);
    let text = refused(&fake, &authority.trusted_with(&strange)).await;
    assert!(text.contains("client certificate"), "{text}");
    let expired = authority.issue("client", 2020, 2021);
    let text = refused(&fake, &authority.trusted_with(&expired)).await;
    assert!(text.contains("client certificate"), "{text}");
}

/// Certificate and authority are exchanged under the client: new connections are made at once.
#[tokio::test]
async fn rotation() {
    let (authority, next) = (Authority::new("one"), Authority::new("two"));
    let tls = demanding(authority.serves("127.0.0.1"), &authority);
    let fake = Fake::serve("fake", serving(tls));
    let security = authority.trusted_with(&authority.issue("client", 2020, 2100));
    let mut settings = settings();
    settings.security = security;
    let client = Balanced::with(&[fake.address.to_string()], settings, Arc::new(Dns)).await.unwrap();
    let ask = async || client.admit(pb::AdmitRequest::default(), DEADLINE).await;
    ask().await.unwrap();
    assert_eq!(fake.connections(), 1);
    let expires = client.security().certificate_expires.unwrap();

    let renewed = authority.issue("client", 2020, 2101);
    authority.write("client.crt", &renewed.certificate);
    authority.write("client.key", &renewed.key);
    until_security(&client, |status| status.certificate_expires.is_some_and(|now| now > expires)).await;
    ask().await.unwrap();
    assert_eq!(fake.connections(), 2, "by a connection with the new certificate");

    // What cannot be used is told, and the old one stays.
    authority.write("ca.crt", "nonsense");
    until_security(&client, |status| status.files.as_ref().is_some_and(|files| files.contains("ca.crt")))
        .await;
    assert!(client.security().reload_failures > 0);
    ask().await.unwrap();

    // The server is no longer vouched for by anybody who is trusted.
    authority.write("ca.crt", &next.pem());
    until_security(&client, |status| status.files.is_none()).await;
    let error = ask().await.unwrap_err();
    assert!(error.to_string().contains("not trusted"), "{error}");
    authority.write("ca.crt", &format!("{}{}", next.pem(), authority.pem()));
    let deadline = Instant::now() + Duration::from_secs(20);
    while ask().await.is_err() {
        assert!(Instant::now() < deadline);
    }
}

pub(crate) async fn until_security(
    client: &Balanced,
    wanted: impl Fn(&gavel_client::SecurityStatus) -> bool,
) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !wanted(&client.security()) {
        assert!(Instant::now() < deadline, "{:?}", client.security());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn settings_that_do_not_go_together() {
    let authority = Authority::new("one");
    let with = |change: fn(&mut Security)| {
        let mut security = Security::default();
        change(&mut security);
        security
    };
    let token = authority.write("token", "abc");
    let mut tokened = Security::default();
    tokened.token_file = Some(token);
    let broken = authority.write("broken", "two words");
    let cases = [
        ("https://127.0.0.1:1", Security::default(), "TLS needs the authorities"),
        ("http://127.0.0.1:1", authority.trusted(), "says http://"),
        ("203.0.113.1:1", tokened.clone(), "others could read the token"),
        ("gavel.test:1", tokened, "--token-without-tls"),
        ("x:1", with(|security| security.server_name = Some("x".to_owned())), "need TLS"),
        ("x:1", with(|security| security.client_cert_and_key = Some(("a".into(), "b".into()))), "need TLS"),
        ("x:1", with(|security| security.server_ca = Some("/nonexistent/ca".into())), "/nonexistent/ca"),
        ("x:1", with(|security| security.token_file = Some("/nonexistent/t".into())), "/nonexistent/t"),
    ];
    let mut more: Vec<(&str, Security, &str)> = cases.into_iter().collect();
    let mut bad_token = Security::default();
    bad_token.token_file = Some(broken);
    more.push(("127.0.0.1:1", bad_token, "is no token"));
    let mut bad_name = authority.trusted();
    bad_name.server_name = Some("no name".to_owned());
    more.push(("x:1", bad_name, "neither a DNS name nor an IP address"));
    for (address, security, part) in more {
        let one = Client::connect_with(address, &security).await.unwrap_err();
        let mut checked = gavel_client::check(&[address], &security);
        checked.retain(|error| error.to_string().contains(part));
        let mut settings = settings();
        settings.security = security;
        let all = Balanced::with(&[address], settings, Arc::new(Dns)).await.unwrap_err();
        for error in [one, all].into_iter().chain([checked.pop().unwrap()]) {
            assert!(matches!(error, Error::Security(_)), "{address}: {error:?}");
            assert!(error.to_string().contains(part), "{address}: {error}");
            assert!(!error.to_string().contains("two words"), "what is in the file is not told");
        }
    }
}
