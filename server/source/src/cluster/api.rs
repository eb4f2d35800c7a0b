//! Requests to the API server: a page of a list, a watch line by line, and what kinds there are.
//!
//! kube makes the connection (TLS, credentials, kubeconfig); its watcher is not used, since it hides bookmarks, by
//! which idle watches show that they live, and gives up a whole list for one object that cannot be read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::kinds::Resource;

/// How long the API server may take to begin an answer that it has to gather first.
const GATHERING: Duration = Duration::from_secs(60);
/// An object is at most some MiB (etcd's limit is 1.5); a page of a list has 500 of them.
const MAX_LINE: usize = 64 << 20;
const MAX_PAGE: usize = 1 << 30;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// 404: no such kind.
    #[error("the API server does not have {0}")]
    Absent(String),
    /// 410: the changes since then are no longer known.
    #[error("the API server no longer knows the changes since then: {0}")]
    Expired(String),
    /// The API server says no.
    #[error("the API server answers {code}: {message}")]
    Refused { code: u16, message: String },
    /// Nothing came for too long.
    #[error("nothing came from the API server for {0:?}")]
    Silent(Duration),
    /// The connection failed.
    #[error("{0}")]
    Connection(String),
    /// What came is not what was asked for.
    #[error("the API server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl ApiError {
    /// Whether a watch cannot go on from where it was.
    pub(super) fn needs_a_list(&self) -> bool {
        match self {
            ApiError::Expired(_) | ApiError::Unreadable(_) => true,
            // For another reason than that it is busy or does not know us: the version may be ahead of an etcd that was
            // restored from a backup.
            ApiError::Refused { code, .. } => !matches!(code, 401 | 403 | 429 | 503),
            ApiError::Absent(_) | ApiError::Silent(_) | ApiError::Connection(_) => false,
        }
    }
}

/// Talks to one API server.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    /// How long a connection may be silent.
    silence: Duration,
}

/// `metav1.Status`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) message: String,
}

impl Status {
    pub(super) fn into_error(self, what: &str) -> ApiError {
        match self.code {
            404 => ApiError::Absent(what.to_owned()),
            410 => ApiError::Expired(self.message),
            code => ApiError::Refused { code, message: self.message },
        }
    }
}

impl Api {
    pub(super) fn new(client: Client, silence: Duration) -> Self {
        Self { client, silence }
    }

    /// Whether the API server has the resource.
    pub(super) async fn has(&self, resource: &Resource) -> Result<bool, ApiError> {
        #[derive(Deserialize)]
        struct ResourceList {
            resources: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        match self.get::<ResourceList>(&resource.group_path()).await {
            Ok(list) => Ok(list.resources.iter().any(|named| named.name == resource.plural)),
            Err(ApiError::Absent(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The minor version: 37 of Kubernetes 1.37.
    pub(super) async fn minor_version(&self) -> Result<u32, ApiError> {
        #[derive(Deserialize)]
        struct Version {
            minor: String,
        }
        let Version { minor } = self.get("/version").await?;
        // Some distributions write "24+".
        minor
            .trim_end_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .map_err(|_| ApiError::Unreadable(format!("version {minor:?}")))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let body = self.page(path).await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::Unreadable(format!("{path}: {error}")))
    }

    /// The whole of an answer.
    pub(super) async fn page(&self, path: &str) -> Result<Bytes, ApiError> {
        let mut lines = self.open(path, GATHERING.max(self.silence)).await?;
        while lines.read().await? {
            if lines.buffer.len() > MAX_PAGE {
                return Err(ApiError::Unreadable(format!("{path}: more than {MAX_PAGE} bytes")));
            }
        }
        Ok(lines.buffer.freeze())
    }

    /// The answer of a watch, to be read line by line. Watches are answered at once.
    pub(super) async fn watch(&self, path: &str) -> Result<Lines, ApiError> {
        self.open(path, self.silence).await
    }

    async fn open(&self, path: &str, first_byte: Duration) -> Result<Lines, ApiError> {
        let request = http::Request::get(path)
            .header(http::header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| ApiError::Unreadable(error.to_string()))?;
        let response = timeout(first_byte, self.client.send(request))
            .await
            .map_err(|_| ApiError::Silent(first_byte))?
            .map_err(|error| ApiError::Connection(in_full(&error)))?;
        let status = response.status();
        let mut lines = Lines::new(response.into_body(), self.silence);
        if status.is_success() {
            return Ok(lines);
        }
        while lines.read().await? && lines.buffer.len() < MAX_LINE {}
        let mut told: Status = serde_json::from_slice(&lines.buffer).unwrap_or_default();
        if told.message.is_empty() {
            told.message = String::from_utf8_lossy(&lines.buffer).trim().chars().take(200).collect();
        }
        Err(Status { code: status.as_u16(), ..told }.into_error(path))
    }
}

/// An answer that goes on coming.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// Up to here there is no end of a line in the buffer.
    searched: usize,
    silence: Duration,
}

impl Lines {
    fn new(body: Body, silence: Duration) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0, silence }
    }

    /// The next line; none once the answer has ended. Half a line at the end is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > MAX_LINE {
                return Err(ApiError::Unreadable(format!("a line of more than {MAX_LINE} bytes")));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Reads what comes next; false once the answer has ended. Slow is not silent: every byte counts.
    async fn read(&mut self) -> Result<bool, ApiError> {
        let frame =
            timeout(self.silence, self.body.frame()).await.map_err(|_| ApiError::Silent(self.silence))?;
        match frame {
            None => Ok(false),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
                Ok(true)
            }
            Some(Err(error)) => Err(ApiError::Connection(in_full(&error))),
        }
    }
}

/// An error with what caused it: "error trying to connect: connection refused", not "client error".
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
