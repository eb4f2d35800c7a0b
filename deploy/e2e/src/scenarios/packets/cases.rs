//! Cases: manifests, and flows whose answers are known. Every flow between all of the pods is tried as a packet, both ways.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gavel_engine::object::Object;
use gavel_proto::v1;
use serde_json::Value;

use crate::kit::{GavelNode, GavelServer, Reach, Scenario, World, in_repository};

/// Of our own, written for this; and Kubernetes' own end-to-end cases.
const FOLDERS: [&str; 2] = ["deploy/e2e/packets", "server/conformance/cases/k8s-e2e"];
/// Folders of further cases, with `:` between them.
const MORE: &str = "GAVEL_E2E_PACKET_CASES";

/// Cases at a time, and flows of each: nearly all of their time they wait.
const CASES: usize = 3;
const FLOWS: usize = 8;
/// How long a flow that is to be denied may take to show that it is not; and one that is to be allowed, on a machine that is
/// busy, to come about. In milliseconds.
const DENIED: u32 = 400;
const ALLOWED: u32 = 10_000;

/// A flow whose answer is known.
struct Check {
    source: String,
    destination: String,
    service: Service,
    allowed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Service {
    protocol: String,
    port: u16,
}

struct Case {
    name: String,
    manifests: String,
    /// By namespace and name, with their addresses; and addresses that are nobody's, by themselves.
    ends: Vec<(String, Vec<String>)>,
    checks: Vec<Check>,
}

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| in_repository(folder)).collect();
    if let Ok(more) = std::env::var(MORE) {
        folders.extend(more.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from));
    }
    let mut cases = Vec::new();
    for folder in &folders {
        let before = cases.len();
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                cases.push(read(folder, &path).with_context(|| path.display().to_string())?);
            }
        }
        ensure!(cases.len() > before, "{} has no cases", folder.display());
    }
    let tried = stream::iter(&cases)
        .map(|case| async move { try_case(scenario, case).await.with_context(|| case.name.clone()) })
        .buffer_unordered(CASES);
    let flows: Vec<usize> = tried.try_collect().await?;
    println!("{} cases, {} flows: packets and answers agree", cases.len(), flows.iter().sum::<usize>());
    Ok(())
}

fn read(parent: &Path, folder: &Path) -> anyhow::Result<Case> {
    let mut manifests = String::new();
    let shared = parent.join("pods.yaml");
    for file in [shared, folder.join("manifests.yaml"), folder.join("policies.yaml")] {
        if file.is_file() {
            manifests.push_str(&std::fs::read_to_string(file)?);
            manifests.push_str("\n---\n");
        }
    }
    let reading = gavel_source::manifests::parse(manifests.as_bytes(), "manifests");
    ensure!(reading.errors.is_empty(), "{:?}", reading.errors);
    let mut ends: Vec<(String, Vec<String>)> = Vec::new();
    for object in reading.objects {
        if let Object::Pod(pod) = object.item
            && !pod.addresses.is_empty()
        {
            let addresses = pod.addresses.iter().map(ToString::to_string).collect();
            ends.push((format!("{}/{}", pod.namespace, pod.name), addresses));
        }
    }
    let text = std::fs::read_to_string(folder.join("checks.jsonl"))?;
    let checks: Vec<Check> =
        text.lines().map(|line| check(&serde_json::from_str(line)?)).collect::<anyhow::Result<_>>()?;
    ensure!(!checks.is_empty(), "no checks");
    for end in checks.iter().flat_map(|check| [&check.source, &check.destination]) {
        if !end.contains('/') && !ends.iter().any(|(name, _)| name == end) {
            ends.push((end.clone(), vec![end.clone()]));
        }
        ensure!(ends.iter().any(|(name, _)| name == end), "a check is about {end}, which has no address");
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Case { name, manifests, ends, checks })
}

fn check(line: &Value) -> anyhow::Result<Check> {
    let end = |name: &str| -> anyhow::Result<String> {
        let end = &line[name];
        if let Some(ip) = end["ip"].as_str() {
            return Ok(ip.to_owned());
        }
        let workload = end["workload"].as_str().context("neither ip nor workload")?;
        Ok(workload.strip_suffix("[Pod]").with_context(|| format!("{workload} is no pod"))?.to_owned())
    };
    let protocol = line["protocol"].as_str().context("no protocol")?.to_owned();
    let port = u16::try_from(line["port"].as_u64().context("no port")?)?;
    Ok(Check {
        source: end("source")?,
        destination: end("destination")?,
        service: Service { protocol, port },
        allowed: line["allowed"].as_bool().context("not said whether it is allowed")?,
    })
}

/// Tries all flows of a case, and tells how many that were.
async fn try_case(scenario: &Scenario, case: &Case) -> anyhow::Result<usize> {
    let folder = &scenario.folder;
    let services: BTreeSet<Service> = case.checks.iter().map(|check| check.service.clone()).collect();
    let served: Vec<String> =
        services.iter().map(|service| format!("{}:{}", service.protocol, service.port)).collect();
    let served: Vec<&str> = served.iter().map(String::as_str).collect();
    let mut world = World::new().await?;
    for (end, addresses) in &case.ends {
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        world.add(end, &addresses).await?;
        world.serve(folder, end, &served).await?;
    }
    let manifests = folder.file("manifests");
    std::fs::create_dir(&manifests)?;
    std::fs::write(manifests.join("manifests.yaml"), &case.manifests)?;
    let socket = folder.file("server.sock");
    let listen = format!("--listen=unix:{}", socket.display());
    let server = GavelServer::of_manifests(folder, &manifests, &[&listen]).await?;
    let address = format!("unix:{}", socket.display());
    let _node = GavelNode::start(&world, folder, &[&address], &[]).await?;

    let world = &world;
    let server = &server;
    let mut flows = Vec::new();
    for (source, _) in &case.ends {
        for (destination, _) in case.ends.iter().filter(|(end, _)| end != source) {
            flows.extend(services.iter().map(|service| (source, destination, service)));
        }
    }
    let total = flows.len();
    stream::iter(flows)
        .map(|(source, destination, service)| async move {
            let allowed = asked(world, server, source, destination, service).await?;
            let expected = case.checks.iter().find(|check| {
                check.source == *source && check.destination == *destination && check.service == *service
            });
            ensure!(
                expected.is_none_or(|check| check.allowed == allowed),
                "{source} to {destination}, {service:?}: CheckFlow says {allowed}"
            );
            let reach = Reach {
                from: source,
                protocol: &service.protocol,
                to: world.address(destination)?,
                port: service.port,
            };
            let within = if allowed { ALLOWED } else { DENIED };
            let reached = world.reaches_within(&reach, within).await?;
            ensure!(
                reached == allowed,
                "{source} to {destination}, {service:?}: allowed is {allowed}, reached is {reached}"
            );
            Ok(())
        })
        .buffer_unordered(FLOWS)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(total)
}

/// What CheckFlow says, by the addresses that the packet will have.
async fn asked(
    world: &World,
    server: &GavelServer,
    source: &str,
    destination: &str,
    service: &Service,
) -> anyhow::Result<bool> {
    let end = |end: &str| -> anyhow::Result<Option<v1::End>> {
        Ok(Some(v1::End { end: Some(v1::end::End::Ip(world.address(end)?.to_string())) }))
    };
    let protocol = match service.protocol.as_str() {
        "UDP" => v1::Protocol::Udp,
        "SCTP" => v1::Protocol::Sctp,
        _ => v1::Protocol::Tcp,
    };
    let request = v1::CheckFlowRequest {
        source: end(source)?,
        destination: end(destination)?,
        protocol: protocol.into(),
        port: service.port.into(),
        ..Default::default()
    };
    Ok(server.check_flow(request).await?.verdict() == v1::Verdict::Allow)
}
