//! Whom to ask: a server, or the same functions over manifests in this process. Both answer in the wire's messages,
//! so that nothing above knows which it was.

use std::path::PathBuf;

use anyhow::Context as _;
use gavel_client::Client;
use gavel_client::v1 as pb;
use gavel_engine::{Change, Object, Snapshot};
use gavel_server::decide;
use gavel_source::manifests::{ReadOptions, read_with};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::args::Asking;

/// Somebody who answers.
#[derive(Debug)]
pub(crate) enum Asked {
    /// This process, from manifests.
    Offline(Box<Offline>),
    /// A server.
    Server(Box<Client>),
}

/// Manifests, read.
#[derive(Debug)]
pub(crate) struct Offline {
    snapshot: Snapshot,
    /// Service accounts that do not want their token mounted, by namespace and name.
    without_token: Vec<(String, String)>,
    /// Whether admissions are looked at, or all admitted.
    admission: bool,
}

/// A question that was refused, with the field that is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) field: String,
    pub(crate) message: String,
}

/// An answer, or why there is none; the outer error is of the connection, not of the question.
pub(crate) type Answer<T> = anyhow::Result<Result<T, Refused>>;

impl Asked {
    /// Reads the manifests, or connects.
    pub(crate) async fn new(asking: &Asking) -> anyhow::Result<Self> {
        match asking.server.connect().await? {
            Some(client) => Ok(Asked::Server(Box::new(client))),
            None if asking.manifests.is_empty() => {
                anyhow::bail!("who is asked? Say --manifests PATH… or --server ADDR")
            }
            None => Ok(Asked::Offline(Box::new(Offline::read(&asking.manifests, asking.accept_refused)?))),
        }
    }

    /// With admission switched off: everything is admitted. What a server evaluates is the server's own setting.
    pub(crate) fn without_admission(self) -> anyhow::Result<Self> {
        match self {
            Asked::Offline(offline) => Ok(Asked::Offline(Box::new(Offline { admission: false, ..*offline }))),
            Asked::Server(_) => {
                anyhow::bail!("--evaluators goes with --manifests; a server has its own setting")
            }
        }
    }

    pub(crate) async fn admit(&self, request: pb::AdmitRequest) -> Answer<pb::AdmitResponse> {
        match self {
            Asked::Offline(_) if request.consistency.is_some() => Ok(Err(cannot_wait())),
            Asked::Offline(offline) if !offline.admission => {
                Ok(Ok(decide::admit_all(&offline.snapshot, &request)))
            }
            Asked::Offline(offline) => answer(decide::admit(&offline.snapshot, &request)),
            Asked::Server(client) => answered(client, client.admit(request).await),
        }
    }

    pub(crate) async fn check_flow(&self, request: pb::CheckFlowRequest) -> Answer<pb::CheckFlowResponse> {
        match self {
            Asked::Offline(_) if request.consistency.is_some() => Ok(Err(cannot_wait())),
            Asked::Offline(offline) => answer(decide::check_flow(&offline.snapshot, &request)),
            Asked::Server(client) => answered(client, client.check_flow(request).await),
        }
    }

    pub(crate) async fn authorize(&self, request: pb::AuthorizeRequest) -> Answer<pb::AuthorizeResponse> {
        match self {
            Asked::Offline(_) if request.consistency.is_some() => Ok(Err(cannot_wait())),
            Asked::Offline(offline) => answer(decide::authorize(&offline.snapshot, &request)),
            Asked::Server(client) => answered(client, client.authorize(request).await),
        }
    }

    /// Whether the pods of a service account get its token, as far as is known here.
    pub(crate) fn mounts_token(&self, namespace: &str, service_account: &str) -> bool {
        match self {
            Asked::Offline(offline) => {
                !offline.without_token.iter().any(|(ns, name)| ns == namespace && name == service_account)
            }
            Asked::Server(_) => true,
        }
    }
}

impl Offline {
    fn read(paths: &[PathBuf], accept_refused: bool) -> anyhow::Result<Self> {
        let reading = read_with(paths, ReadOptions { accept_refused });
        for warning in &reading.warnings {
            anstream::eprintln!("{}: {warning}", crate::render::style::warning("warning"));
        }
        if let [first, others @ ..] = reading.errors.as_slice() {
            let mut message = first.to_string();
            for error in others {
                message.push('\n');
                message.push_str(&error.to_string());
            }
            return Err(anyhow::anyhow!(message).context("the manifests cannot be used"));
        }
        let objects: Vec<Object> = reading.objects.into_iter().map(|located| located.item).collect();
        let without_token = objects
            .iter()
            .filter_map(|object| match object {
                Object::ServiceAccount(account) if account.automount_token == Some(false) => {
                    Some((account.metadata.namespace.clone(), account.metadata.name.clone()))
                }
                _ => None,
            })
            .collect();
        let snapshot = Snapshot::empty().apply(objects.into_iter().map(Change::Upsert));
        for diagnostic in snapshot.diagnostics() {
            let gavel_engine::snapshot::Diagnostic { object, field, message } = diagnostic;
            anstream::eprintln!("{}: {object}: {field}: {message}", crate::render::style::warning("warning"));
        }
        Ok(Self { snapshot, without_token, admission: true })
    }
}

/// Manifests that were read once do not become fresher.
fn cannot_wait() -> Refused {
    Refused {
        field: "consistency".to_owned(),
        message: "goes with --server: manifests are read once, and have no resourceVersions".to_owned(),
    }
}

fn answer<T>(result: Result<T, Status>) -> Answer<T> {
    Ok(result.map_err(|status| {
        let violation =
            status.get_details_bad_request().and_then(|mut details| details.field_violations.pop());
        match violation {
            Some(violation) => Refused { field: violation.field, message: violation.description },
            None => Refused { field: String::new(), message: status.message().to_owned() },
        }
    }))
}

fn answered<T>(client: &Client, result: Result<T, gavel_client::Error>) -> Answer<T> {
    match result {
        Ok(answer) => Ok(Ok(answer)),
        Err(gavel_client::Error::Invalid { message, mut violations }) => Ok(Err(match violations.pop() {
            Some(violation) => Refused { field: violation.field, message: violation.description },
            None => Refused { field: String::new(), message },
        })),
        Err(error @ gavel_client::Error::Unauthenticated(_)) => {
            let security = client.security();
            let has_credentials = security.has_token || security.certificate_expires.is_some();
            let hint = if has_credentials {
                ""
            } else {
                " (say who asks: --token-file FILE, or --client-cert FILE --client-key FILE)"
            };
            Err(anyhow::anyhow!("{error}{hint}"))
        }
        Err(error @ gavel_client::Error::Forbidden(_)) => Err(error.into()),
        Err(error) => Err(error).context("the server does not answer"),
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}
