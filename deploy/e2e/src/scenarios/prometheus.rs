//! A real Prometheus scrapes server and webhook, loads the alert rules, fires one, and answers every query of the
//! dashboard.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::kit::{
    Authority, Folder, GavelServer, Http, MANIFESTS, Process, Program, Scenario, Webhook, WebhookFlags,
    free_port, in_repository, review, wait,
};

const SOON: Duration = Duration::from_secs(60);
const RULES: &str = "deploy/helm/gavel/files/rules.yaml";
const DASHBOARD: &str = "deploy/helm/gavel/files/dashboard.json";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    for arguments in [
        ["check", "rules", RULES],
        ["test", "rules", "deploy/observability/rules_test.yaml"],
        ["check", "rules", "deploy/observability/node-rules.yaml"],
        ["test", "rules", "deploy/observability/node-rules_test.yaml"],
    ] {
        promtool(&arguments, "").await?;
    }
    let folder = &scenario.folder;
    let authority = Authority::new(folder)?;
    let manifests = folder.write("manifests.yaml", MANIFESTS)?;
    let mut flags = authority.server_flags()?;
    let log = folder.file("decisions.json");
    flags.extend([
        "--grant=user:webhook=Admit".to_owned(),
        "--decision-log=all".to_owned(),
        format!("--decision-log-to={}", log.display()),
    ]);
    let server = GavelServer::of_manifests(folder, &manifests, &texts(&flags)).await?;
    let flags = authority.client_flags("webhook")?;
    let more = texts(&flags);
    let webhook =
        Webhook::start(folder, &[&server], WebhookFlags { more: &more, ..Default::default() }).await?;
    for as_root in [true, false] {
        let answer = webhook.https.post("/validate", review(as_root).to_string()).await?;
        ensure!(answer.body.contains(&format!("\"allowed\":{}", !as_root)), "{answer:?}");
    }

    for (name, text) in [("server", server.metrics().await?), ("webhook", webhook.metrics().await?)] {
        promtool(&["check", "metrics"], &as_text(&text))
            .await
            .with_context(|| format!("metrics of the {name}"))?;
    }
    let prometheus = Prometheus::start(folder, &server, &webhook).await?;
    names_exist(&prometheus).await?;
    dashboard(&prometheus).await?;
    alert(&prometheus, &authority).await
}

fn texts(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// Prometheus, with both as targets and the rules loaded. It ends with its owner.
struct Prometheus {
    http: Http,
    process: Process,
}

impl Prometheus {
    async fn start(folder: &Folder, server: &GavelServer, webhook: &Webhook) -> anyhow::Result<Self> {
        let address = free_port()?;
        let configuration = folder.write(
            "prometheus.yaml",
            &format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
                 rule_files: ['{}']\n\
                 scrape_configs:\n\
                 - {{job_name: gavel-server, static_configs: [{{targets: ['{}']}}]}}\n\
                 - {{job_name: gavel-webhook, static_configs: [{{targets: ['{}']}}]}}\n",
                in_repository(RULES).canonicalize()?.display(),
                server.admin_address,
                webhook.admin_address
            ),
        )?;
        promtool(&["check", "config", &configuration.to_string_lossy()], "").await?;
        let arguments = [
            format!("--config.file={}", configuration.display()),
            format!("--storage.tsdb.path={}", folder.file("tsdb").display()),
            format!("--web.listen-address={address}"),
        ];
        let program = Program::new(Path::new("/usr/bin/prometheus"), "prometheus", arguments);
        let process = Process::start(program, folder)?;
        let http = Http::new(&format!("http://{address}"), None, None)?;
        let mut prometheus = Self { http, process };
        prometheus.until_scraped().await?;
        Ok(prometheus)
    }

    async fn until_scraped(&mut self) -> anyhow::Result<()> {
        let (http, process) = (&self.http, &mut self.process);
        wait::until("both are scraped", SOON, async || {
            process.check()?;
            let Ok(up) = query(http, "count(up == 1)").await else { return Ok(None) };
            Ok((up.first().is_some_and(|sample| sample["value"][1] == "2")).then_some(()))
        })
        .await
    }

    async fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        query(&self.http, expression).await
    }
}

async fn query(http: &Http, expression: &str) -> anyhow::Result<Vec<Value>> {
    let query: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer = http.get(&format!("/api/v1/query?query={query}")).await?;
    ensure!(answer.status == 200, "{expression}: {answer:?}");
    let mut answer: Value = serde_json::from_str(&answer.body)?;
    let result = answer["data"]["result"].take();
    serde_json::from_value(result).with_context(|| format!("{expression}: {answer}"))
}

/// Every metric that rules and dashboard name is there.
async fn names_exist(prometheus: &Prometheus) -> anyhow::Result<()> {
    let mut named = BTreeSet::new();
    for file in [RULES, DASHBOARD] {
        let text = std::fs::read_to_string(in_repository(file))?;
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        named.extend(words.filter(|word| is_metric(word)).map(str::to_owned));
    }
    ensure!(named.len() > 30, "{named:?}");
    for name in named {
        let known = prometheus.query(&format!("count({{__name__=\"{name}\"}})")).await?;
        // Of a server that watches a cluster, or checks tokens, or keeps objects on disk.
        let elsewhere = ["gavel_token_cache_total"].contains(&name.as_str());
        ensure!(!known.is_empty() || elsewhere, "there is no metric {name}");
    }
    Ok(())
}

fn is_metric(word: &str) -> bool {
    ["gavel_", "process_", "tokio_"].iter().any(|prefix| word.starts_with(prefix))
}

/// Every query of the dashboard is one, and what has happened here shows.
async fn dashboard(prometheus: &Prometheus) -> anyhow::Result<()> {
    let dashboard: Value = serde_json::from_slice(&std::fs::read(in_repository(DASHBOARD))?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets: Vec<(&str, &str)> = panels
        .iter()
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap_or_default();
            let targets = panel["targets"].as_array().into_iter().flatten();
            targets.filter_map(move |target| Some((title, target["expr"].as_str()?)))
        })
        .collect();
    ensure!(targets.len() > 30, "{} targets", targets.len());
    for (title, expression) in targets {
        let expression = expression.replace("$instance", ".*").replace("$__rate_interval", "30s");
        // No tokens are taken here.
        let may_be_empty = title == "Tokens";
        let what = format!("panel {title} shows something: {expression}");
        wait::until(&what, SOON, async || {
            let samples = prometheus.query(&expression).await?;
            Ok((!samples.is_empty() || may_be_empty).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// A certificate that cannot be used is put in place of the server's: the alert for that fires.
async fn alert(prometheus: &Prometheus, authority: &Authority) -> anyhow::Result<()> {
    let rules = prometheus.http.get("/api/v1/rules").await?.body;
    ensure!(rules.matches("\"type\":\"alerting\"").count() == 20, "{rules}");
    let quiet = prometheus.query("ALERTS{alertname=\"GavelCertificateNotTaken\"}").await?;
    ensure!(quiet.is_empty(), "{quiet:?}");
    let served = authority.file.with_file_name(
        std::fs::read_dir(authority.file.parent().context("no folder")?)?
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .find(|name| name.ends_with("gavel-server.crt"))
            .context("the server's certificate is not there")?,
    );
    std::fs::write(&served, "no certificate")?;
    let firing = "ALERTS{alertname=\"GavelCertificateNotTaken\",alertstate=\"firing\",job=\"gavel-server\"}";
    wait::until_is(
        "the alert fires",
        SOON,
        async || prometheus.query(firing).await,
        |samples| !samples.is_empty(),
    )
    .await?;
    println!("prometheus: 20 rules loaded, GavelCertificateNotTaken fires");
    Ok(())
}

/// The format before OpenMetrics, which promtool reads: counters are called by their whole name.
fn as_text(metrics: &str) -> String {
    let counters: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::new();
    for line in metrics.lines().filter(|line| !line.starts_with("# UNIT") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        let (hash, what, name, rest) = (words.next(), words.next(), words.next(), words.next());
        match (hash, what, name, rest) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.push_str(&format!("# {what} {name}_total {rest}\n"));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// promtool, in the repository, with this on its standard input.
async fn promtool(arguments: &[&str], stdin: &str) -> anyhow::Result<()> {
    let mut child = tokio::process::Command::new("promtool")
        .args(arguments)
        .current_dir(in_repository("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start promtool; install Prometheus, or start the scenarios with deploy/e2e/run")?;
    let mut pipe = child.stdin.take().context("promtool has no standard input")?;
    pipe.write_all(stdin.as_bytes()).await?;
    drop(pipe);
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "promtool {}: {}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
