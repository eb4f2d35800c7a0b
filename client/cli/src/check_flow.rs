//! `gavel check-flow`.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use gavel_client::v1 as pb;
use serde::Serialize;
use serde_json::Value;

use crate::args::{Asking, Output};
use crate::ask::{Asked, Refused};
use crate::outcome::Outcome;
use crate::{input, render};

/// May this end open a connection to that one?
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    asking: Asking,

    /// Who opens the connection: NAMESPACE/POD, NAMESPACE/KIND/NAME, POD of namespace default, or an IP address
    #[arg(long, value_name = "END", required_unless_present = "requests")]
    from: Option<String>,

    /// Who is called
    #[arg(long, value_name = "END", required_unless_present = "requests")]
    to: Option<String>,

    /// Port and protocol: 8080/TCP; TCP may be left out
    #[arg(long, value_name = "PORT", required_unless_present = "requests")]
    port: Option<String>,

    /// Tell of every rule that was looked at
    #[arg(long)]
    explain: bool,

    /// File with one CheckFlowRequest a line, in the protobuf JSON mapping; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "port"])]
    requests: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  gavel check-flow --manifests ./manifests --from shop/web --to shop/StatefulSet/db --port 5432/TCP
  gavel check-flow --manifests ./manifests --from 203.0.113.7 --to shop/web --port 443 --explain
  gavel check-flow --server 127.0.0.1:9470 --requests flows.jsonl -o json

A line of FILE:
  {\"source\": {\"pod\": {\"namespace\": \"shop\", \"name\": \"web\"}}, \"destination\": {\"ip\": \"10.0.0.7\"}, \"protocol\": \"PROTOCOL_TCP\", \"port\": 5432}";

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let asked = Asked::new(&arguments.asking).await?;
    let output = arguments.asking.output;
    let Some(path) = &arguments.requests else {
        let request = arguments.request()?;
        return match asked.check_flow(request.clone()).await? {
            Ok(answer) => print(&request, &answer, output),
            Err(refused) => anyhow::bail!("{refused}"),
        };
    };
    let (bytes, name) = input::read(path)?;
    let mut outcome = Outcome::Yes;
    for (number, line) in input::lines(&bytes, &name)? {
        let refused = match read_request(line) {
            Err(message) => {
                Refused { field: String::new(), message: format!("not a CheckFlowRequest: {message}") }
            }
            Ok(mut request) => {
                request.explain |= arguments.explain;
                match asked.check_flow(request.clone()).await? {
                    Ok(answer) => {
                        outcome = outcome.max(print(&request, &answer, output)?);
                        continue;
                    }
                    Err(refused) => refused,
                }
            }
        };
        outcome = outcome.max(BadLine::new(&name, number, refused).print(output)?);
    }
    Ok(outcome)
}

fn print(
    request: &pb::CheckFlowRequest,
    answer: &pb::CheckFlowResponse,
    output: Output,
) -> anyhow::Result<Outcome> {
    let mut out = anstream::stdout();
    match output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&with_defaults(answer)?)?)?,
        Output::Text => write!(out, "{}", render::flow::text(request, answer))?,
    }
    Ok(Outcome::of(answer.verdict() == pb::Verdict::Allow))
}

/// The answer in the protobuf JSON mapping, with `isolated` also where it is false: the mapping leaves defaults out,
/// and a reader would have to know.
fn with_defaults(answer: &pb::CheckFlowResponse) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(answer)?;
    for leg in ["egress", "ingress"] {
        if let Some(leg) = value.get_mut(leg).and_then(Value::as_object_mut) {
            leg.entry("isolated").or_insert(Value::Bool(false));
        }
    }
    Ok(value)
}

/// Reads a request; the protocol may also be given by its bare name.
fn read_request(line: &str) -> Result<pb::CheckFlowRequest, String> {
    let mut value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if let Some(Value::String(protocol)) = value.get_mut("protocol")
        && ["TCP", "UDP", "SCTP"].contains(&protocol.as_str())
    {
        protocol.insert_str(0, "PROTOCOL_");
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

impl Arguments {
    fn request(&self) -> anyhow::Result<pb::CheckFlowRequest> {
        let end = |flag: &str, text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            read_end(text).with_context(|| format!("--{flag} {text}"))
        };
        let text = self.port.as_deref().unwrap_or_default();
        let (protocol, port) = read_port(text).with_context(|| format!("--port {text}"))?;
        Ok(pb::CheckFlowRequest {
            source: Some(end("from", &self.from)?),
            destination: Some(end("to", &self.to)?),
            protocol: protocol.into(),
            port: port.into(),
            explain: self.explain,
            consistency: None,
        })
    }
}

/// `NAMESPACE/POD`, `NAMESPACE/KIND/NAME`, `POD`, or an address.
pub(crate) fn read_end(text: &str) -> anyhow::Result<pb::End> {
    use pb::end::End;
    let end = if text.parse::<IpAddr>().is_ok() {
        End::Ip(text.to_owned())
    } else {
        match text.split('/').collect::<Vec<_>>().as_slice() {
            [name] if !name.is_empty() => End::Pod(pod_ref("default", name)),
            [namespace, name] if !namespace.is_empty() && !name.is_empty() => {
                End::Pod(pod_ref(namespace, name))
            }
            [namespace, kind, name] if !namespace.is_empty() && !kind.is_empty() && !name.is_empty() => {
                End::Workload(pb::WorkloadRef {
                    namespace: (*namespace).to_owned(),
                    kind: (*kind).to_owned(),
                    name: (*name).to_owned(),
                })
            }
            _ => anyhow::bail!("is none of NAMESPACE/POD, NAMESPACE/KIND/NAME, POD or an IP address"),
        }
    };
    Ok(pb::End { end: Some(end) })
}

pub(crate) fn pod_ref(namespace: &str, name: &str) -> pb::PodRef {
    pb::PodRef { namespace: namespace.to_owned(), name: name.to_owned(), ip: String::new() }
}

/// `8080/TCP` or `8080`.
pub(crate) fn read_port(text: &str) -> anyhow::Result<(pb::Protocol, u16)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
    let protocol = match protocol.to_ascii_uppercase().as_str() {
        "TCP" => pb::Protocol::Tcp,
        "UDP" => pb::Protocol::Udp,
        "SCTP" => pb::Protocol::Sctp,
        _ => anyhow::bail!("the protocol must be TCP, UDP or SCTP"),
    };
    match port.parse() {
        Ok(port) if port > 0 => Ok((protocol, port)),
        _ => anyhow::bail!("the port must be 1 to 65535, as in 8080/TCP"),
    }
}

/// A line that could not be answered, in the place of its answer.
#[derive(Debug, Serialize)]
pub(crate) struct BadLine<'a> {
    #[serde(skip)]
    file: &'a str,
    error: LineError,
}

#[derive(Debug, Serialize)]
struct LineError {
    line: usize,
    code: &'static str,
    field: String,
    message: String,
}

impl<'a> BadLine<'a> {
    pub(crate) fn new(file: &'a str, line: usize, refused: Refused) -> Self {
        let Refused { field, message } = refused;
        Self { file, error: LineError { line, code: "INVALID_ARGUMENT", field, message } }
    }

    pub(crate) fn print(&self, output: Output) -> anyhow::Result<Outcome> {
        let LineError { line, field, message, .. } = &self.error;
        match output {
            Output::Json => writeln!(anstream::stdout(), "{}", serde_json::to_string(self)?)?,
            Output::Text => {
                let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
                let word = render::style::error("error");
                anstream::eprintln!("{word}: {}, line {line}: {field}{message}", self.file);
            }
        }
        Ok(Outcome::Bad)
    }
}
