//! HTTP as it is: no retries, and every status is an answer.

use std::path::Path;

use anyhow::Context as _;
use http::{Method, Request, header};
use kube::client::Body;
use kube::config::AuthInfo;
use kube::{Client, Config};

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
}

/// What the server answered.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Http {
    /// A client of `http://…`, or of `https://…` with a certificate of this authority, which sends a token where there
    /// is one.
    pub(crate) fn new(url: &str, authority: Option<&Path>, token: Option<&str>) -> anyhow::Result<Self> {
        let mut config = Config::new(url.parse().with_context(|| format!("`{url}` is no URL"))?);
        config.root_cert_file = authority.map(Path::to_owned);
        config.default_retry = false;
        config.auth_info =
            AuthInfo { token: token.map(|token| token.to_owned().into()), ..Default::default() };
        Ok(Self { client: Client::try_from(config)? })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> anyhow::Result<Response> {
        let mut request = Request::builder().method(&method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body))?;
        let response = self.client.send(request).await.with_context(|| format!("{method} {path}"))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect_bytes().await?;
        Ok(Response { status, body: String::from_utf8_lossy(&body).into_owned() })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Response> {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    /// Sends JSON, or what claims to be.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> anyhow::Result<Response> {
        self.send(Method::POST, path, &[(header::CONTENT_TYPE.as_str(), "application/json")], body.into())
            .await
    }
}
