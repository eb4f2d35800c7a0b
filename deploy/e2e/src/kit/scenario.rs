//! What a scenario is given, and how a run goes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use futures_util::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::sync::{OnceCell, RwLock};

use super::control_plane::ControlPlane;
use super::folder::Folder;
use super::objects;
use super::world;

/// A scenario: told what it needs, it says what went wrong.
pub(crate) type Play = for<'a> fn(&'a Scenario) -> LocalBoxFuture<'a, anyhow::Result<()>>;

/// What one scenario is given.
pub(crate) struct Scenario {
    /// Also its namespace, and how its cluster-scoped objects' names begin.
    pub(crate) name: &'static str,
    /// Where its processes leave their logs.
    pub(crate) folder: Arc<Folder>,
    run: Arc<Run>,
}

/// What the scenarios of a run share.
struct Run {
    folder: PathBuf,
    shared: OnceCell<ControlPlane>,
    /// Scenarios that measure are alone on the machine.
    machine: RwLock<()>,
}

impl Scenario {
    /// The control plane that well-behaved scenarios share, with Gavel's CRD, and a namespace of the scenario in it.
    pub(crate) async fn shared_plane(&self) -> anyhow::Result<&ControlPlane> {
        let plane = self.shared_plane_as_it_is().await?;
        objects::make_namespace(plane, self.name).await?;
        Ok(plane)
    }

    /// The control plane that scenarios share, for one that wants another namespace.
    pub(crate) async fn shared_plane_as_it_is(&self) -> anyhow::Result<&ControlPlane> {
        let plane = self.run.shared.get_or_try_init(async || {
            let folder = Arc::new(Folder::new(&self.run.folder, "shared")?);
            let plane = ControlPlane::start(&folder).await?;
            install_crd(&plane).await?;
            anyhow::Ok(plane)
        });
        plane.await.context("the shared control plane does not start")
    }

    /// A control plane of its own, to kill or to rule alone, with Gavel's CRD and a namespace of the scenario in it.
    pub(crate) async fn own_plane(&self) -> anyhow::Result<ControlPlane> {
        let plane = self.bare_plane().await?;
        install_crd(&plane).await?;
        Ok(plane)
    }

    /// A control plane of its own, as Kubernetes comes, with a namespace of the scenario in it.
    pub(crate) async fn bare_plane(&self) -> anyhow::Result<ControlPlane> {
        let plane = ControlPlane::start(&self.folder).await?;
        objects::make_namespace(&plane, self.name).await?;
        Ok(plane)
    }
}

/// A file of this repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Installs the CustomResourceDefinition, as a user does, and waits until its objects can be written.
pub(crate) async fn install_crd(plane: &ControlPlane) -> anyhow::Result<()> {
    let folder = in_repository("deploy/crds");
    plane.kubectl.run(&["apply", "-k", &folder.to_string_lossy()]).await?;
    let crd = "customresourcedefinition/podsecuritypolicies.policy.gavel.dev";
    plane.kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", crd]).await?;
    Ok(())
}

/// Runs scenarios by name, and keeps what they leave when one fails.
pub(crate) struct Runner {
    arguments: Arguments,
    runtime: Arc<tokio::runtime::Runtime>,
    run: Arc<Run>,
    trials: Vec<Trial>,
    /// Why there can be no packets, if there cannot; unset: not looked at yet.
    packets: Option<Option<String>>,
}

impl Runner {
    /// A run with a folder of its own.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut arguments = Arguments::from_args();
        // Two beside each other, unless told otherwise: most of their time they wait.
        arguments.test_threads.get_or_insert(2);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let program = std::env::current_exe()?;
        let target = program.ancestors().nth(2).context("this program is not in target/PROFILE")?;
        let folder = target.join("e2e").join(format!("{now}-{}", std::process::id()));
        let run = Run { folder, shared: OnceCell::new(), machine: RwLock::new(()) };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self {
            arguments,
            runtime: Arc::new(runtime),
            run: Arc::new(run),
            trials: Vec::new(),
            packets: None,
        })
    }

    /// Adds a scenario that may run beside others.
    pub(crate) fn add(&mut self, name: &'static str, play: Play) {
        self.push(name, play, false);
    }

    /// Adds a scenario of packets, which is skipped where the kernel or its tools cannot have them.
    pub(crate) fn add_packets(&mut self, name: &'static str, play: Play) {
        self.push(name, play, false);
        self.skip_without_packets();
    }

    /// The same for one that runs alone, since it measures.
    pub(crate) fn add_packets_alone(&mut self, name: &'static str, play: Play) {
        self.push(name, play, true);
        self.skip_without_packets();
    }

    /// Marks the last one as skipped, if it has to be; it is counted so, and the reason is told.
    fn skip_without_packets(&mut self) {
        let missing = self.packets.get_or_insert_with(|| {
            let missing = world::missing();
            if let Some(why) = &missing {
                eprintln!("scenarios of packets are skipped, as this machine cannot have them: {why}");
            }
            missing
        });
        if missing.is_some()
            && let Some(trial) = self.trials.pop()
        {
            self.trials.push(trial.with_ignored_flag(true));
        }
    }

    /// Adds a scenario that runs alone, since it measures.
    pub(crate) fn add_alone(&mut self, name: &'static str, play: Play) {
        self.push(name, play, true);
    }

    fn push(&mut self, name: &'static str, play: Play, alone: bool) {
        let (run, runtime) = (self.run.clone(), self.runtime.clone());
        let trial = move || {
            let outcome = runtime.block_on(async {
                let _turn = match alone {
                    true => (Some(run.machine.write().await), None),
                    false => (None, Some(run.machine.read().await)),
                };
                let folder = Arc::new(Folder::new(&run.folder, name)?);
                play(&Scenario { name, folder, run: run.clone() }).await
            });
            outcome.map_err(|error| {
                Failed::from(format!("{error:#}\nlogs: {}", run.folder.join(name).display()))
            })
        };
        self.trials.push(Trial::test(name, trial));
    }

    /// Runs what the command line asks for.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Self { arguments, runtime, run, trials, packets: _ } = self;
        ensure!(!trials.is_empty(), "there are no scenarios");
        let conclusion = libtest_mimic::run(&arguments, trials);
        let folder = run.folder.clone();
        // Ends the shared control plane.
        drop(run);
        drop(runtime);
        if folder.is_dir() {
            if conclusion.has_failed() || std::env::var_os("GAVEL_E2E_KEEP").is_some() {
                eprintln!("logs: {}", folder.display());
            } else {
                std::fs::remove_dir_all(&folder)?;
            }
        }
        Ok(conclusion.exit_code())
    }
}
