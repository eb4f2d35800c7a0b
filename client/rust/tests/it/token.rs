//! Tokens: sent, followed, and read again when refused.

use std::sync::Arc;

use gavel_client::balanced::Dns;
use gavel_client::{Balanced, Client, Error, Security, v1 as pb};

use crate::balanced::{DEADLINE, settings};
use crate::certificates::Authority;
use crate::fake::{Behaviour, Fake};
use crate::tls::until_security;

fn with(authority: &Authority) -> Security {
    let mut security = Security::default();
    security.token_file = Some(authority.path("token"));
    security
}

#[tokio::test]
async fn sent_and_followed() {
    let authority = Authority::new("one");
    authority.write("token", "first\n");
    let fake = Fake::start("fake");
    fake.behave(Behaviour::Demand("first"));
    let mut settings = settings();
    settings.security = with(&authority);
    settings.security.reload_every = std::time::Duration::from_millis(50);
    let client = Balanced::with(&[fake.address.to_string()], settings, Arc::new(Dns)).await.unwrap();
    client.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap();
    assert_eq!(fake.metadata("authorization").unwrap(), "Bearer first");
    let reloads = client.security().reloads;
    authority.write("token", "second");
    until_security(&client, |status| status.reloads > reloads).await;
    client.check_flow(pb::CheckFlowRequest::default(), DEADLINE).await.unwrap_err();
    assert_eq!(fake.metadata("authorization").unwrap(), "Bearer second");
    assert!(client.security().refused.unwrap().contains("that is not the token"));
    fake.behave(Behaviour::Answer);
    client.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap();
    assert_eq!(client.security().refused, None, "taken again");
    // What is no token any more: the last one goes on being sent, and it is told.
    authority.write("token", "not a token");
    until_security(&client, |status| status.files.is_some()).await;
    client.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap();
    assert_eq!(fake.metadata("authorization").unwrap(), "Bearer second");
    assert!(!format!("{client:?}").contains("second"), "never printed");
}

/// The file is looked at rarely here: a refusal has it read at once.
#[tokio::test]
async fn read_again_when_refused() {
    let authority = Authority::new("one");
    let fake = Fake::start("fake");
    let mut settings = settings();
    settings.security = with(&authority);
    settings.security.reload_every = std::time::Duration::from_secs(3600);
    authority.write("token", "first");
    let address = fake.address.to_string();
    let one = Client::connect_with(&address, &settings.security).await.unwrap();
    let all = Balanced::with(&[&address], settings, Arc::new(Dns)).await.unwrap();

    fake.behave(Behaviour::Demand("second"));
    let error = one.admit(pb::AdmitRequest::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Unauthenticated(text) if text == "that is not the token"), "{error:?}");
    let asked = fake.asked();
    let error = all.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("that is not the token"), "{error}");
    assert_eq!(fake.asked(), asked + 1, "not asked again, as there is no other token");

    authority.write("token", "second");
    // Refusals do not make it read the file more often than once a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    one.admit(pb::AdmitRequest::default()).await.unwrap();
    all.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap();
    assert_eq!(all.retries(), 1);
}

#[tokio::test]
async fn refusals_in_the_servers_words() {
    let fake = Fake::start("fake");
    let client = Client::connect(&fake.address.to_string()).await.unwrap();
    fake.behave(Behaviour::Fail(tonic::Code::PermissionDenied));
    let error = client.admit(pb::AdmitRequest::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Forbidden(text) if text == "fake was told to fail"), "{error:?}");
    assert!(!error.is_retryable());
    assert_eq!(fake.asked(), 1);
}
