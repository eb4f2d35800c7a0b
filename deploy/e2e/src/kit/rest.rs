//! The API server, asked without kubectl: for bulk work, and for what kubectl hides.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use http::Method;
use serde_json::Value;

use super::http::Http;

/// A client of one API server, as one user.
#[derive(Clone)]
pub(crate) struct Rest {
    http: Http,
    impersonated: Option<String>,
}

/// What the API server says when it does not do what it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}

/// What came of a request that the API server answered.
pub(crate) type Answer = Result<Value, Refusal>;

impl Rest {
    pub(crate) fn new(url: &str, authority: &Path, token: &str) -> anyhow::Result<Self> {
        Ok(Self { http: Http::new(url, Some(authority), Some(token))?, impersonated: None })
    }

    /// The same API server, asked by another user; groups of service accounts come with their name.
    pub(crate) fn as_user(&self, user: &str) -> Self {
        Self { impersonated: Some(user.to_owned()), ..self.clone() }
    }

    /// Sends a request. An error means that no API server answered.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let mut headers = vec![("content-type", content_type)];
        headers.extend(self.impersonated.as_deref().map(|user| ("impersonate-user", user)));
        let body = body.map(ToString::to_string).unwrap_or_default();
        let response = self.http.send(method, path, &headers, body.into_bytes()).await?;
        if response.status < 400 {
            return Ok(Ok(
                serde_json::from_str(&response.body).context("the API server's answer is no JSON")?
            ));
        }
        let message = match serde_json::from_str::<Value>(&response.body) {
            Ok(status) => status["message"].as_str().unwrap_or(&response.body).to_owned(),
            Err(_) => response.body,
        };
        Ok(Err(Refusal { code: response.status, message }))
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.ask(Method::GET, path, None).await??)
    }

    /// Creates the object; refusals are answers.
    pub(crate) async fn try_create(&self, object: &Value) -> anyhow::Result<Answer> {
        self.ask(Method::POST, &collection(object), Some(object)).await
    }

    /// Goes through all admission, and stores nothing.
    pub(crate) async fn try_create_dry(&self, object: &Value) -> anyhow::Result<Answer> {
        self.ask(Method::POST, &format!("{}?dryRun=All", collection(object)), Some(object)).await
    }

    pub(crate) async fn create(&self, object: &Value) -> anyhow::Result<Value> {
        self.try_create(object).await?.with_context(|| format!("cannot create {}", path(object)))
    }

    pub(crate) async fn create_all(&self, objects: &[Value]) -> anyhow::Result<()> {
        for object in objects {
            self.create(object).await?;
        }
        Ok(())
    }

    /// Changes fields of the object that is there: a JSON merge patch.
    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> anyhow::Result<Value> {
        self.ask(Method::PATCH, path, Some(patch)).await?.with_context(|| format!("cannot change {path}"))
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::DELETE, path, None).await?.with_context(|| format!("cannot delete {path}"))
    }
}

/// Path of the collection that the object belongs to.
pub(crate) fn collection(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let version = text("/apiVersion");
    let root = if version.contains('/') { "apis" } else { "api" };
    let kind = text("/kind").to_lowercase();
    let plural = match (kind.strip_suffix('y'), kind.strip_suffix('s')) {
        (Some(stem), _) => format!("{stem}ies"),
        (_, Some(_)) => format!("{kind}es"),
        _ => format!("{kind}s"),
    };
    match text("/metadata/namespace") {
        "" => format!("/{root}/{version}/{plural}"),
        namespace => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
    }
}

/// Path of the object.
pub(crate) fn path(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{}/{name}", collection(object))
}

/// The resourceVersion that the API server gave the object.
pub(crate) fn resource_version(object: &Value) -> anyhow::Result<String> {
    let version = object["metadata"]["resourceVersion"].as_str();
    Ok(version.with_context(|| format!("{} has no resourceVersion", path(object)))?.to_owned())
}
