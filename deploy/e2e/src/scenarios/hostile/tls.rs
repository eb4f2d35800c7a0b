//! Attacks on a server that wants to know who asks.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use gavel_loadtest::Target;
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;
use tonic::Request;

use super::frames::connect;
use crate::kit::flow;

const PAUSE: Duration = Duration::from_millis(20);

/// Whose tokens are taken.
pub(super) const ISSUER: &str = "https://issuer.example";
/// The issuer's keys: the public half of the example of RFC 7515, appendix A.3.
pub(super) const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"one","use":"sig","alg":"ES256",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// What is no TLS.
pub(super) fn no_tls() -> Vec<u8> {
    [0x16, 3, 1, 2, 0, 0xff].repeat(100)
}

/// A ClientHello that is announced, and of which nothing comes.
pub(super) const ANNOUNCED: &[u8] = &[0x16, 3, 1, 2, 0];

/// Bytes that are no TLS.
pub(super) fn junk(address: SocketAddr) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            for _ in 0..10 {
                if let Ok(mut stream) = connect(address).await {
                    let _ = stream.write_all(&no_tls()).await;
                }
            }
            sleep(PAUSE).await;
        }
    })
}

/// Handshakes that begin, and do not go on.
pub(super) fn stalled(address: SocketAddr) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let mut open = Vec::new();
        loop {
            for _ in 0..20 {
                if open.len() < 400
                    && let Ok(mut stream) = connect(address).await
                {
                    let _ = stream.write_all(ANNOUNCED).await;
                    open.push(stream);
                }
            }
            sleep(PAUSE).await;
        }
    })
}

/// Tokens that nobody signed, each another one: a signature has to be looked at for each.
pub(super) async fn tokens(target: Target) {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for number in 0_u64.. {
        let claims = format!(
            r#"{{"iss":"{ISSUER}","aud":["gavel"],"sub":"system:serviceaccount:n:{number}","exp":4000000000}}"#
        );
        let signature = URL_SAFE_NO_PAD.encode([7; 64]);
        let header = part(r#"{"alg":"ES256","kid":"one"}"#);
        let token = format!("Bearer {header}.{}.{signature}", part(&claims));
        let mut request = Request::new(flow("friend", "web", 80));
        if let Ok(token) = token.parse() {
            request.metadata_mut().insert("authorization", token);
        }
        let mut client = target.client(number);
        tokio::spawn(async move { drop(client.check_flow(request).await) });
        if number.is_multiple_of(20) {
            sleep(PAUSE).await;
        }
    }
}
