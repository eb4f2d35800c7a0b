//! Open Policy Agent as a server, with policies in Rego and data that was compiled for them: asked over HTTP/1.1, by
//! connections that are kept.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Load, Pace, Program, run};

/// What it is called: with the version of `peers/opa/go.mod`.
pub(super) const NAME: &str = "OPA v1.22.2";

/// What it is asked, in its own words.
pub(super) fn questions(inputs: impl IntoIterator<Item = impl Serialize>) -> anyhow::Result<Arc<[Bytes]>> {
    let question = |input| Ok(serde_json::to_vec(&json!({"input": input}))?.into());
    inputs.into_iter().map(question).collect()
}

/// A server that runs.
pub(super) struct Opa {
    program: Program,
    address: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Opa {
    /// Starts a server of these files, policies and data, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub(super) async fn start(program: &Path, files: &[&Path], log: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut arguments: Vec<String> =
            ["run", "--server", "--log-level=error", "--disable-telemetry", "--addr"]
                .map(String::from)
                .into();
        arguments.push(address.clone());
        arguments.extend(files.iter().map(|file| file.display().to_string()));
        let program = Program::start(program, &arguments, log)?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut opa = Self { program, address, client };
        loop {
            let health = opa.request("GET", "/health", Bytes::new());
            match opa.client.request(health?).await {
                Ok(response) if response.status().is_success() => return Ok(opa),
                Ok(response) => opa.program.wait(anyhow::anyhow!("OPA: {}", response.status())).await?,
                Err(error) => opa.program.wait(error.into()).await?,
            }
        }
    }

    fn request(&self, method: &str, path: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let uri = format!("http://{}{path}", self.address);
        let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
        Ok(request.body(Full::new(body))?)
    }

    /// Asks once: the result.
    ///
    /// # Errors
    /// When it does not answer, or the policy has no answer.
    async fn ask(&self, path: &str, question: Bytes) -> anyhow::Result<Value> {
        ask(&self.client, self.request("POST", path, question)?).await
    }

    /// Asks each of these once: the verdicts, one or many of each.
    ///
    /// # Errors
    /// When it does not answer, or something else.
    pub(super) async fn verdicts(&self, path: &str, questions: &[Bytes]) -> anyhow::Result<Vec<bool>> {
        let mut verdicts = Vec::new();
        for question in questions {
            let answer = self.ask(path, question.clone()).await?;
            for verdict in answer.as_array().map_or(std::slice::from_ref(&answer), Vec::as_slice) {
                verdicts.push(verdict.as_bool().context("OPA: no verdict")?);
            }
        }
        Ok(verdicts)
    }

    /// Asks these again and again for a while, 16 at a time, and tells the server's CPU time for one, in microseconds.
    ///
    /// # Errors
    /// When it does not answer.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(super) async fn micros(
        &self,
        path: &str,
        questions: &Arc<[Bytes]>,
        window: Duration,
    ) -> anyhow::Result<f64> {
        let uri: http::Uri = format!("http://{}{path}", self.address).parse()?;
        let (client, questions) = (self.client.clone(), questions.clone());
        let before = self.program.cpu()?;
        let load = Load { pace: Pace::Closed { workers: 16 }, duration: window };
        let results = run(load, move |number| {
            let index = usize::try_from(number).unwrap_or_default() % questions.len();
            let mut request = Request::new(Full::new(questions[index].clone()));
            *request.method_mut() = http::Method::POST;
            *request.uri_mut() = uri.clone();
            let client = client.clone();
            async move { ask(&client, request).await.map(drop).map_err(|error| error.to_string()) }
        })
        .await;
        ensure!(results.failed() == 0 && results.answered() > 0, "OPA: {results}");
        let spent = self.program.cpu()?.saturating_sub(before);
        Ok(spent.as_secs_f64() * 1e6 / results.answered() as f64)
    }
}

async fn ask(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Value> {
    let response = client.request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "OPA: {status}: {}", String::from_utf8_lossy(&body));
    let mut answer: Value = serde_json::from_slice(&body)?;
    let result = answer.get_mut("result").map(Value::take);
    result.context("OPA: the policy has no answer: is its path right?")
}
