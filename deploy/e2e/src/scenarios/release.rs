//! The Helm chart, installed: server and webhook run by the settings, certificates and service accounts that it makes, an
//! upgrade keeps what is trusted, and nothing that stops pods stays behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::process::Command;

use crate::kit::{
    CHART, ControlPlane, Folder, Http, Process, Program, Scenario, free_port, helm, program, review, wait,
};

const NAMESPACE: &str = "gavel-system";
const SOON: Duration = Duration::from_secs(60);
const CONFIGURATION: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/gavel";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.own_plane().await?;
    let release = Release { kubeconfig: plane.kubeconfig(plane.address)?, folder: &scenario.folder };
    release.run("install", &["--create-namespace"]).await?;
    let first = certificate(&plane).await?;
    let server = Server::start(&plane, &scenario.folder).await?;
    let webhook = start_webhook(&plane, &scenario.folder, &server).await?;
    asked(&plane, &scenario.folder, &webhook).await?;
    server.refuses_other_calls(&scenario.folder).await?;

    let before: Value = plane.rest.get(CONFIGURATION).await?["webhooks"][0].take();
    ensure!(
        before["matchConditions"][0]["expression"] == "false",
        "asked before it is switched on: {before}"
    );
    release.run("upgrade", &["--set", "admission.enabled=true"]).await?;
    let after: Value = plane.rest.get(CONFIGURATION).await?["webhooks"][0].take();
    ensure!(after["matchConditions"].is_null(), "not switched on: {after}");
    ensure!(
        after["clientConfig"]["caBundle"] == before["clientConfig"]["caBundle"],
        "trust is lost: {after}"
    );
    ensure!(certificate(&plane).await? == first, "an upgrade made another certificate");

    release.run("upgrade", &["--set", "certificates.selfIssued.days=100"]).await?;
    let renewed = certificate(&plane).await?;
    ensure!(renewed["tls.crt"] != first["tls.crt"], "not renewed");
    ensure!(renewed["ca.crt"] == first["ca.crt"], "renewed by an authority that nobody trusts yet");

    release.run("uninstall", &[]).await?;
    let gone = plane.rest.get(CONFIGURATION).await;
    ensure!(gone.is_err_and(|error| error.to_string().contains("404")), "pods are refused for ever");
    Ok(())
}

/// The release that a user has.
struct Release<'a> {
    kubeconfig: PathBuf,
    folder: &'a Folder,
}

impl Release<'_> {
    async fn run(&self, verb: &str, more: &[&str]) -> anyhow::Result<()> {
        let kubeconfig = self.kubeconfig.to_string_lossy();
        let mut arguments = vec![verb, "gavel", "--kubeconfig", &*kubeconfig, "--namespace", NAMESPACE];
        if verb != "uninstall" {
            arguments.push(CHART);
        }
        arguments.extend(more);
        helm(self.folder, &arguments).await?;
        Ok(())
    }
}

/// What is in the server's Secret.
async fn certificate(plane: &ControlPlane) -> anyhow::Result<Value> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/gavel-server-tls");
    Ok(plane.rest.get(&path).await?["data"].take())
}

/// A key of a Secret or ConfigMap, as a file of that name.
fn write(folder: &Path, name: &str, data: &Value) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let encoded = data[name].as_str().with_context(|| format!("no {name}"))?;
    std::fs::write(folder.join(name), STANDARD.decode(encoded)?)?;
    Ok(())
}

/// A token of a service account of the release, for the API server or for this audience.
async fn token(plane: &ControlPlane, account: &str, audience: Option<&str>) -> anyhow::Result<String> {
    let mut arguments = vec!["create", "token", account, "--namespace", NAMESPACE];
    let audience = audience.map(|audience| format!("--audience={audience}"));
    arguments.extend(audience.as_deref());
    Ok(plane.kubectl.run(&arguments).await?.trim().to_owned())
}

/// The settings that the chart made for a program, with the pod's folders where this machine has them.
async fn settings(plane: &ControlPlane, folder: &Folder, name: &str, run: &Path) -> anyhow::Result<String> {
    let map = plane.rest.get(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{name}")).await?;
    let text = map["data"][format!("{name}.yaml")].as_str().context("no settings")?;
    let run = run.to_string_lossy();
    let text =
        text.replace("/run/gavel/", &format!("{run}/")).replace("/var/lib/gavel", &format!("{run}/state"));
    ensure!(!text.contains("/var/") && text.contains(&*run), "other folders than those of the chart: {text}");
    Ok(format!("--config={}", folder.write(&format!("{name}.yaml"), &text)?.display()))
}

/// gavel-server, by the chart's settings and service account.
struct Server {
    /// Where its files are.
    run: PathBuf,
    address: String,
    _process: Process,
}

impl Server {
    async fn start(plane: &ControlPlane, folder: &Folder) -> anyhow::Result<Self> {
        let run = folder.file("run");
        let secret = certificate(plane).await?;
        for name in ["tls.crt", "tls.key"] {
            write(&run.join("tls"), name, &secret)?;
        }
        write(&run.join("server-ca"), "ca.crt", &secret)?;
        std::fs::create_dir_all(run.join("token"))?;
        std::fs::write(run.join("token/token"), token(plane, "gavel-webhook", Some("gavel")).await?)?;
        let kubeconfig = plane.kubeconfig_of(plane.address, &token(plane, "gavel-server", None).await?)?;
        let (address, admin) = (free_port()?, free_port()?);
        let arguments = [
            settings(plane, folder, "gavel-server", &run).await?,
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--listen={address}"),
            format!("--admin-listen={admin}"),
        ];
        let program = Program::new(&program("gavel-server")?, "gavel-server", arguments);
        let mut process = Process::start(program, folder)?;
        ready(&mut process, &format!("http://{admin}")).await?;
        Ok(Self { run, address: address.to_string(), _process: process })
    }

    /// The webhook's service account may ask about admissions, and about nothing else.
    async fn refuses_other_calls(&self, folder: &Folder) -> anyhow::Result<()> {
        let manifest = folder.write("pods.yaml", crate::kit::MANIFESTS)?;
        let ask = async |question: &[&str]| -> anyhow::Result<(Option<i32>, String)> {
            let output = Command::new(program("gavel")?)
                .args(question)
                .args(["--server", &self.address, "--server-name", "gavel-server.gavel-system.svc"])
                .arg("--server-ca")
                .arg(self.run.join("server-ca/ca.crt"))
                .arg("--token-file")
                .arg(self.run.join("token/token"))
                .output()
                .await?;
            let text = [output.stdout, output.stderr].concat();
            Ok((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
        };
        let flow = ["check-flow", "--from", "shop/friend", "--to", "shop/web", "--port", "80"];
        let (code, text) = ask(&flow).await?;
        ensure!(code == Some(2) && text.contains("flowchecks"), "{code:?}: {text}");
        let (code, text) = ask(&["admit", "-f", &manifest.to_string_lossy()]).await?;
        ensure!(code == Some(1), "a right that it has is not enough: {code:?}: {text}");
        Ok(())
    }
}

/// gavel-webhook, by the chart's settings and service account.
async fn start_webhook(plane: &ControlPlane, folder: &Folder, server: &Server) -> anyhow::Result<Webhook> {
    let kubeconfig = plane.kubeconfig_of(plane.address, &token(plane, "gavel-webhook", None).await?)?;
    let (address, admin) = (free_port()?, free_port()?);
    let arguments = [
        settings(plane, folder, "gavel-webhook", &server.run).await?,
        format!("--kubeconfig={}", kubeconfig.display()),
        // No name server knows the Service here; its certificate does.
        format!("--server={}", server.address),
        "--server-name=gavel-server.gavel-system.svc".to_owned(),
        "--dns-name=gavel-webhook.gavel-system.svc,127.0.0.1".to_owned(),
        format!("--listen={address}"),
        format!("--admin-listen={admin}"),
    ];
    let program = Program::new(&program("gavel-webhook")?, "gavel-webhook", arguments);
    let mut process = Process::start(program, folder)?;
    ready(&mut process, &format!("http://{admin}")).await?;
    Ok(Webhook { url: format!("https://{address}"), _process: process })
}

struct Webhook {
    url: String,
    _process: Process,
}

/// Ready: of the webhook, that means that a server lets it ask.
async fn ready(process: &mut Process, admin: &str) -> anyhow::Result<()> {
    let http = Http::new(admin, None, None)?;
    wait::until(&format!("{admin} is ready"), SOON, async || {
        process.check()?;
        Ok(http.get("/readyz").await.is_ok_and(|response| response.status == 200).then_some(()))
    })
    .await
}

/// The API server trusts the webhook by now, and the webhook answers by a decision.
async fn asked(plane: &ControlPlane, folder: &Folder, webhook: &Webhook) -> anyhow::Result<()> {
    let configuration = plane.rest.get(CONFIGURATION).await?;
    let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().context("no caBundle")?;
    let authority = folder.file("webhook-ca.crt");
    std::fs::write(&authority, STANDARD.decode(bundle)?)?;
    let https = Http::new(&webhook.url, Some(&authority), None)?;
    let answer = https.post("/validate", review(false).to_string()).await?;
    ensure!(answer.body.contains("there is no PodSecurityPolicy in the cluster"), "{answer:?}");
    Ok(())
}
