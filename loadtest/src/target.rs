//! Whom the questions are asked, and by which connections.
//!
//! Not by `gavel-client`: it asks again where a call fails, and a load test wants to see each failure.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gavel_proto::v1;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use gavel_tls::{ClientFiles, ClientTls};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

use crate::stream::{Dialogue, Messages, Opening};
use crate::{Load, Question, Questions, Results, run};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How the server is reached.
#[derive(Clone, Debug, Default)]
pub struct TargetSettings {
    /// `ADDRESS:PORT`, or `unix:PATH`.
    pub address: String,
    /// How many connections there are; questions take them in turn.
    pub connections: usize,
    /// Files of TLS; none: in clear.
    pub tls: Option<ClientFiles>,
    /// Name in the server's certificate; else the host of the address.
    pub server_name: Option<String>,
    /// Sent with each question.
    pub token: Option<String>,
    /// How long an answer may take.
    pub deadline: Duration,
}

/// Connections to a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Target {
    clients: Arc<[PolicyDecisionClient<Channel>]>,
    authorization: Option<MetadataValue<Ascii>>,
    deadline: Duration,
}

/// What bytes go by.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Target {
    /// Opens the connections.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn connect(settings: &TargetSettings) -> anyhow::Result<Self> {
        let tls = match &settings.tls {
            Some(files) => Some(tls(files, settings)?),
            None => None,
        };
        let mut clients = Vec::new();
        for _ in 0..settings.connections.max(1) {
            let channel = channel(&settings.address, tls.clone())
                .await
                .with_context(|| format!("cannot connect to {}", settings.address))?;
            clients.push(PolicyDecisionClient::new(channel).max_decoding_message_size(64 << 20));
        }
        let authorization = settings.token.as_ref().map(|token| format!("Bearer {}", token.trim()).parse());
        let authorization = authorization.transpose().context("the token")?;
        Ok(Self { clients: clients.into(), authorization, deadline: settings.deadline })
    }

    /// The client of one of the connections, in turn.
    pub fn client(&self, number: u64) -> PolicyDecisionClient<Channel> {
        let count = self.clients.len() as u64;
        let index = usize::try_from(number % count).unwrap_or_default();
        self.clients[index].clone()
    }

    /// A request with the deadline, and who asks.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }

    /// A request without a deadline, and who asks.
    pub fn endless<T>(&self, message: T) -> Request<T> {
        let mut request = self.request(message);
        request.metadata_mut().remove("grpc-timeout");
        request
    }

    /// Asks, by the connection whose turn it is; any answer is good, but an error in place of one of many.
    ///
    /// # Errors
    /// The status, when there is no answer.
    pub async fn ask(&self, number: u64, question: Question) -> Result<(), Status> {
        let mut client = self.client(number);
        let within = tokio::time::timeout(self.deadline, async {
            match question {
                Question::CheckFlow(question) => client.check_flow(self.request(*question)).await.map(drop),
                Question::Admit(question) => client.admit(self.request(*question)).await.map(drop),
                Question::BatchCheckFlow(question) => {
                    let answer = client.batch_check_flow(self.request(*question)).await?;
                    flows_answered(&answer.get_ref().results)
                }
                Question::BatchAdmit(question) => {
                    let answer = client.batch_admit(self.request(*question)).await?;
                    answer.get_ref().results.iter().try_for_each(|result| match &result.result {
                        Some(v1::admit_result::Result::Answer(_)) => Ok(()),
                        Some(v1::admit_result::Result::Error(error)) => Err(failed(error)),
                        None => Err(Status::internal("an answer without anything in it")),
                    })
                }
            }
        });
        within.await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!("no answer within {:?}", self.deadline)))
        })
    }

    /// Asks these in turn, again and again, as the load has it.
    pub async fn ask_all(&self, questions: &Arc<Questions>, load: Load) -> Results {
        let (target, questions) = (self.clone(), questions.clone());
        run(load, move |number| {
            let (target, questions) = (target.clone(), questions.clone());
            async move {
                let question = questions.get(number)?.clone();
                target.ask(number, question).await.map_err(|status| status.to_string())
            }
        })
        .await
    }
}

/// Messages of flows that are asked again and again by streams.
#[derive(Clone, Debug)]
pub struct FlowStream {
    /// Whom.
    pub target: Target,
    /// Flows of each message: as many in all of them.
    pub messages: Arc<[v1::StreamCheckFlowRequest]>,
}

impl Dialogue for FlowStream {
    type Question = v1::StreamCheckFlowRequest;
    type Answer = v1::StreamCheckFlowResponse;

    fn question(&self, number: u64) -> Self::Question {
        let index = number.checked_rem(self.messages.len() as u64);
        let message = index.and_then(|index| self.messages.get(usize::try_from(index).ok()?));
        message.cloned().unwrap_or_default()
    }

    fn open(&self, number: u64, questions: Messages<Self::Question>) -> Opening<Self::Answer> {
        let (mut client, request) = (self.target.client(number), self.target.endless(questions));
        Box::pin(async move { Ok(client.stream_check_flow(request).await?.into_inner()) })
    }

    fn answered(&self, answer: &Self::Answer) -> Result<usize, String> {
        flows_answered(&answer.results).map_err(|status| status.to_string())?;
        // A message is answered as a whole.
        let size = self.messages.first().map_or(1, |message| message.questions.len().max(1));
        Ok(answer.results.len() / size)
    }
}

/// Whether all of many flows have an answer.
///
/// # Errors
/// The first that has none.
pub fn flows_answered(results: &[v1::CheckFlowResult]) -> Result<(), Status> {
    results.iter().try_for_each(|result| match &result.result {
        Some(v1::check_flow_result::Result::Answer(_)) => Ok(()),
        Some(v1::check_flow_result::Result::Error(error)) => Err(failed(error)),
        None => Err(Status::internal("an answer without anything in it")),
    })
}

fn failed(error: &v1::QuestionError) -> Status {
    Status::new(error.code.into(), format!("{}: {}", error.field, error.message))
}

type Tls = (TlsConnector, ServerName<'static>);

fn tls(files: &ClientFiles, settings: &TargetSettings) -> anyhow::Result<Tls> {
    let (tls, _) = ClientTls::load(files, &[b"h2"])?;
    let host = settings.address.rsplit_once(':').map_or(settings.address.as_str(), |(host, _)| host);
    let name = settings.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']).to_owned();
    Ok((TlsConnector::from(tls.config), ServerName::try_from(name).context("the server's name")?))
}

pub(crate) async fn channel(address: &str, tls: Option<Tls>) -> anyhow::Result<Channel> {
    let socket = address.strip_prefix("unix:").map(PathBuf::from);
    // A connector of our own makes the TLS; for tonic it is HTTP.
    let uri = if socket.is_some() { "http://localhost".to_owned() } else { format!("http://{address}") };
    let address = address.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let (socket, address, tls) = (socket.clone(), address.clone(), tls.clone());
        async move {
            let io: Box<dyn Io> = match (socket, tls) {
                (Some(path), _) => Box::new(UnixStream::connect(path).await?),
                (None, None) => Box::new(tcp(&address).await?),
                (None, Some((tls, name))) => Box::new(tls.connect(name, tcp(&address).await?).await?),
            };
            Ok::<_, std::io::Error>(TokioIo::new(io))
        }
    });
    let endpoint = Endpoint::from_shared(uri)?.connect_timeout(CONNECT);
    Ok(endpoint.connect_with_connector(connector).await?)
}

async fn tcp(address: &str) -> std::io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
    let stream = TcpStream::connect(addresses.as_slice()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
