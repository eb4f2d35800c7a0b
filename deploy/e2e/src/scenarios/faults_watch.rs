//! The connection to the API server is cut for half a minute while objects change; stalls without a word; is slow.
//! What is answered meanwhile is what was known last, and says so.

use std::time::{Duration, Instant};

use anyhow::ensure;
use gavel_proto::v1::SourceState;
use serde_json::{Value, json};

use super::census::{self, KINDS};
use super::meanwhile::{answers_while, nothing_fresh, staleness, until_older};
use crate::kit::{
    ControlPlane, GavelServer, Mode, NumberedPolicy, Proxy, Response, Scenario, admission, objects, path,
};

const SOON: Duration = Duration::from_secs(60);
/// For how many seconds the connection is cut.
const CUT: f64 = 30.0;
/// Readiness goes within the cut, and comes back after it.
const FLAGS: [&str; 2] = ["--watch-seconds=5", "--unready-after-seconds=20"];
const UNREADY_AFTER: f64 = 20.0;
/// A watch that is silent for 5 seconds longer than it lasts has stalled: `gavel-server --help`.
const STALLED: Duration = Duration::from_secs(5 + 5);
/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(10);
/// Every 1,400 bytes come so much later. A first list then takes longer than a watch may be silent.
const SLOW: Duration = Duration::from_millis(150);

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.own_plane().await?;
    let proxy = Proxy::start(plane.address).await?;
    let policy = NumberedPolicy::create(&plane, scenario.name, 1).await?;
    let kubeconfig = plane.kubeconfig(proxy.address)?;
    let server = GavelServer::start(&scenario.folder, &kubeconfig, &FLAGS).await?;
    let link =
        Link { plane: &plane, proxy: &proxy, server: &server, policy: &policy, namespace: scenario.name };
    ensure!(link.number().await? == 1, "not decided by the policy as written");
    let instance = server.snapshot().await?.instance;

    link.is_cut().await?;
    link.stalls().await?;
    let late = GavelServer::spawn(&scenario.folder, &kubeconfig, &FLAGS)?;
    link.is_slow(&late).await?;
    ensure!(server.snapshot().await?.instance == instance, "the server was restarted meanwhile");
    Ok(())
}

/// A server, and what is between it and its API server.
struct Link<'a> {
    plane: &'a ControlPlane,
    proxy: &'a Proxy,
    server: &'a GavelServer,
    policy: &'a NumberedPolicy,
    namespace: &'a str,
}

/// What was changed while nobody could know.
struct Changes {
    /// The last write of the policy.
    policy: Value,
    /// A pod that is new.
    born: Value,
    /// The grant to use a policy that was taken away.
    revoked: Value,
}

impl Link<'_> {
    /// Which policy decides now.
    async fn number(&self) -> anyhow::Result<u32> {
        Ok(self.policy.ask(self.server).await?.0)
    }

    async fn is_cut(&self) -> anyhow::Result<()> {
        // Fills something in, too, and comes later by name: the numbered policy is preferred to it.
        let user = json!({"rule": "MustRunAs", "ranges": [{"min": 4000, "max": 4000}]});
        let spec = json!({"hostPID": true, "runAsUser": user});
        let second = objects::granted_policy(self.namespace, "faults-watch-second", spec);
        self.plane.rest.create_all(&second).await?;
        let doomed = self.plane.rest.create(&objects::pod(self.namespace, "doomed", json!({}))).await?;
        census::until_agreed(self.plane, self.server).await?;
        ensure!(self.may_share_processes().await?, "the second policy is not used");

        self.proxy.set(Mode::Cut);
        let changing = self.changes_unseen(&second, &doomed);
        let (changes, answers) = answers_while(self.policy, self.server, changing).await?;
        ensure!(answers.numbers == [1], "decided by {:?}, which nobody can have told", answers.numbers);
        ensure!(self.may_share_processes().await?, "the second policy is forgotten");
        println!("faults-watch: the connection cut: {answers}");

        self.proxy.set(Mode::Pass);
        let last = self.policy.ask_after(self.server, &changes.policy).await?;
        ensure!(last == 4, "decided by {last}, not caught up with what was written meanwhile");
        self.server.holds_object("Pod", &changes.born).await?;
        self.server.holds_object("RoleBinding", &changes.revoked).await?;
        ensure!(!self.may_share_processes().await?, "a grant that was taken away meanwhile is still there");
        self.is_well().await
    }

    /// Objects change as long as the connection is cut. Readiness is given up at last; answers go on, since none would
    /// be fresher for it.
    async fn changes_unseen(&self, second: &[Value], doomed: &Value) -> anyhow::Result<Changes> {
        let rest = &self.plane.rest;
        self.policy.set(self.plane, 2).await?;
        census::until_all(self.server, SourceState::Failing).await?;
        let readiness = self.server.readiness().await?;
        ensure!(readiness.status == 200, "readiness was given up at once: {}", readiness.body);
        rest.delete(&format!("{}?gracePeriodSeconds=0", path(doomed))).await?;
        let born = rest.create(&objects::pod(self.namespace, "born", json!({}))).await?;
        self.policy.set(self.plane, 3).await?;

        let given_up =
            self.server.until_readiness("readiness is given up", SOON, |ready| ready.status == 503).await?;
        for part in ["[-] snapshot known to be current ", "s ago, limit 20s"] {
            ensure!(given_up.body.contains(part), "/readyz does not say `{part}`: {}", given_up.body);
        }
        let age = staleness(&self.policy.ask(self.server).await?.1)?;
        ensure!(age >= UNREADY_AFTER, "readiness was given up after {age} s");
        nothing_fresh(self.policy, self.server, Duration::from_secs(15)).await?;

        until_older(self.policy, self.server, CUT).await?;
        let binding = second.last().map(path).unwrap_or_default();
        let revoked = rest.merge(&binding, &json!({"subjects": []})).await?;
        Ok(Changes { policy: self.policy.set(self.plane, 4).await?, born, revoked })
    }

    /// Nothing passes, and nobody says so.
    async fn stalls(&self) -> anyhow::Result<()> {
        ensure!(stalled(self.server).await? == 0.0, "a watch has stalled before");
        self.proxy.set(Mode::Stall);
        let start = Instant::now();
        let written = self.policy.set(self.plane, 5).await?;
        let noticing = census::until_all(self.server, SourceState::Failing);
        let ((), answers) = answers_while(self.policy, self.server, noticing).await?;
        let noticed = start.elapsed();
        ensure!(noticed < STALLED + SLACK, "noticed after {noticed:?} only");
        ensure!(answers.numbers == [4], "decided by {:?}, which nobody can have told", answers.numbers);
        println!("faults-watch: all watches stalled: noticed after {noticed:.1?}: {answers}");

        let readiness = self.server.readiness().await?;
        for (kind, _) in KINDS {
            let line = format!("[-] source cluster/{kind} failing");
            ensure!(readiness.body.contains(&line), "/readyz does not say `{line}`: {}", readiness.body);
        }
        let why = "nothing came from the API server for 10s";
        ensure!(readiness.body.contains(why), "/readyz does not say `{why}`: {}", readiness.body);
        ensure!(stalled(self.server).await? > 0.0, "no metric counts the watches that stalled");
        nothing_fresh(self.policy, self.server, Duration::from_secs(5)).await?;

        self.proxy.set(Mode::Pass);
        let last = self.policy.ask_after(self.server, &written).await?;
        ensure!(last == 5, "decided by {last}, not caught up after the stall");
        self.is_well().await
    }

    /// Everything comes late, in small pieces: slow is not silent, neither to a server that watches nor to one that
    /// starts.
    async fn is_slow(&self, late: &GavelServer) -> anyhow::Result<()> {
        let before = stalled(self.server).await?;
        self.proxy.set(Mode::Slow(SLOW));
        let start = Instant::now();
        late.until_readiness("it is ready over a slow connection", SOON, |ready| ready.status == 200).await?;
        let took = start.elapsed();
        ensure!(took > STALLED, "the first lists took {took:?}: too quick to tell slow from silent");
        println!("faults-watch: ready over a slow connection after {took:.1?}");
        for number in 6..9 {
            let written = self.policy.set(self.plane, number).await?;
            for server in [self.server, late] {
                let last = self.policy.ask_after(server, &written).await?;
                ensure!(last == number, "decided by {last}, not caught up over a slow connection");
            }
        }
        ensure!(stalled(self.server).await? == before, "slow watches count as stalled");
        ensure!(stalled(late).await? == 0.0, "slow lists count as stalled");
        Ok(())
    }

    /// Whether the second policy, which alone lets pods do that, may be used.
    async fn may_share_processes(&self) -> anyhow::Result<bool> {
        let pod =
            objects::pod(self.namespace, "asked", json!({"hostPID": true, "serviceAccountName": "default"}));
        Ok(self.server.admit(admission(&pod)).await?.allowed)
    }

    async fn is_well(&self) -> anyhow::Result<()> {
        census::until_all(self.server, SourceState::Synced).await?;
        census::until_agreed(self.plane, self.server).await?;
        let well = |ready: &Response| ready.status == 200 && !ready.body.contains("[-]");
        self.server.until_readiness("all is well again", SOON, well).await?;
        Ok(())
    }
}

/// How many watches have stalled, of any kind.
async fn stalled(server: &GavelServer) -> anyhow::Result<f64> {
    census::breakages(server, "stalled").await
}
