//! The servers that are compared: started, on free ports and sockets, and ended.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use gavel_proto::v1;

use crate::{EchoClient, Program, Target, TargetSettings, process};

/// Connections to each.
const CONNECTIONS: usize = 4;
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The programs, and where their files go.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    /// This program, for the echo.
    pub(crate) loadtest: PathBuf,
    /// Sockets and logs.
    pub(crate) folder: PathBuf,
}

/// A server or an echo that runs.
pub(crate) struct Served {
    program: Program,
    tcp: String,
    unix: String,
    /// From its start until it answered.
    pub(crate) ready: Duration,
}

impl Programs {
    /// The runtime modes that the server has; none of its own: the one of every tokio program.
    pub(crate) fn modes(&self) -> anyhow::Result<Vec<Option<&'static str>>> {
        let help = std::process::Command::new(&self.server).arg("--help").output();
        let help = help.with_context(|| format!("cannot start {}", self.server.display()))?;
        let has_modes = String::from_utf8_lossy(&help.stdout).contains("--runtime");
        Ok(if has_modes { vec![Some("multi-thread"), Some("per-core")] } else { vec![None] })
    }

    /// A server of manifests.
    pub(crate) async fn manifests(&self, mode: Option<&str>, manifests: &Path) -> anyhow::Result<Served> {
        self.gavel(mode, &[format!("--manifests={}", manifests.display())]).await
    }

    /// A server with these flags, as soon as it has a snapshot.
    pub(crate) async fn gavel(&self, mode: Option<&str>, flags: &[String]) -> anyhow::Result<Served> {
        let (tcp, unix) = self.addresses()?;
        let mut arguments = vec![
            format!("--listen={tcp}"),
            format!("--listen={unix}"),
            "--admin-listen=127.0.0.1:0".to_owned(),
            "--log=warn".to_owned(),
        ];
        arguments.extend(mode.map(|mode| format!("--runtime={mode}")));
        arguments.extend_from_slice(flags);
        let program = Program::start(&self.server, &arguments, &self.folder.join("servers.log"))?;
        let mut served = Served { program, tcp, unix, ready: Duration::ZERO };
        let target = served.program.target(&settings(&served.unix)).await?;
        loop {
            // Answered from any snapshot, and by none before there is one.
            let outside = |ip: &str| Some(v1::End { end: Some(v1::end::End::Ip(ip.to_owned())) });
            let question = v1::CheckFlowRequest {
                source: outside("192.0.2.1"),
                destination: outside("192.0.2.2"),
                port: 80,
                ..Default::default()
            };
            match target.client(0).check_flow(target.request(question)).await {
                Ok(_) => break,
                Err(status) => {
                    served.program.wait(anyhow::anyhow!("it does not become ready: {status}")).await?;
                }
            }
        }
        served.ready = served.program.started.elapsed();
        Ok(served)
    }

    /// An echo.
    pub(crate) async fn echo(&self, mode: Option<&str>) -> anyhow::Result<Served> {
        let (tcp, unix) = self.addresses()?;
        let mut arguments = vec!["echo".to_owned(), format!("--listen={tcp}"), format!("--listen={unix}")];
        arguments.extend(mode.map(|mode| format!("--runtime={mode}")));
        let program = Program::start(&self.loadtest, &arguments, &self.folder.join("servers.log"))?;
        let mut served = Served { program, tcp, unix, ready: Duration::ZERO };
        served.program.echo(&served.unix, 1).await?;
        served.ready = served.program.started.elapsed();
        Ok(served)
    }

    fn addresses(&self) -> anyhow::Result<(String, String)> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let unix = self.folder.join(format!("{port}.sock"));
        Ok((format!("127.0.0.1:{port}"), format!("unix:{}", unix.display())))
    }
}

impl Served {
    /// Connections to it, by TCP or by its unix socket.
    pub(crate) async fn target(&self, is_unix: bool) -> anyhow::Result<Target> {
        Target::connect(&settings(self.address(is_unix))).await
    }

    /// Connections to an echo.
    pub(crate) async fn echo(&self, is_unix: bool) -> anyhow::Result<EchoClient> {
        EchoClient::connect(self.address(is_unix), CONNECTIONS).await
    }

    fn address(&self, is_unix: bool) -> &str {
        if is_unix { &self.unix } else { &self.tcp }
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        self.program.cpu()
    }

    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        process::resident(self.program.pid()?)
    }

    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        process::peak(self.program.pid()?)
    }

    /// Has it end.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.program.stop().await.map(drop)
    }
}

fn settings(address: &str) -> TargetSettings {
    TargetSettings {
        address: address.to_owned(),
        connections: CONNECTIONS,
        deadline: DEADLINE,
        ..Default::default()
    }
}
