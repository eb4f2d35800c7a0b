//! The one who decides what the kernel is told: pods and holds in, rules out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gavel_client::Client;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::cut::Against;
use crate::firewall::Firewall;
use crate::holds::api::{Got, Put, Request, Which};
use crate::holds::{self, Held, Known};
use crate::link::{Event, Link};
use crate::metrics::{Metrics, Outcome};
use crate::rules::Rules;
use crate::state::{State, StateFile};

/// How the agent is, for people and probes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// Why the rules are not as they should be; none: they are.
    pub(crate) rules: Option<String>,
    /// Why no server answers; none: one does.
    pub(crate) server: Option<String>,
    /// Whether any server has told of this node's pods since the agent started.
    pub(crate) was_told: bool,
}

/// The same, where it is looked at.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<Health>);

impl Shown {
    pub(crate) fn get(&self) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Who is told what.
#[derive(Debug)]
pub(crate) struct Tell {
    /// Workers, which pods are held.
    pub(crate) held: watch::Sender<Arc<Held>>,
    /// The flow log, whom to ask.
    pub(crate) client: watch::Sender<Option<Client>>,
    /// What connections are held against; none: they are not cut.
    pub(crate) cut: Option<watch::Sender<Against>>,
    pub(crate) shown: Arc<Shown>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Follows pods and holds.
#[derive(Debug)]
pub(crate) struct Agent {
    link: Link,
    requests: mpsc::Receiver<Request>,
    firewall: Firewall,
    file: StateFile,
    state: State,
    /// Whether the state is anybody's word: what was kept, or what has been told since.
    has_word: bool,
    /// As they are in the kernel; none: they are not there.
    rules: Option<Arc<Rules>>,
    known: Known,
    revision: u64,
    tell: Tell,
}

impl Agent {
    /// Goes on from what was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn new(
        link: Link,
        requests: mpsc::Receiver<Request>,
        firewall: Firewall,
        file: StateFile,
        tell: Tell,
    ) -> anyhow::Result<Self> {
        let kept = file.read()?;
        let has_word = kept.is_some();
        let state = kept.unwrap_or_default();
        if has_word {
            let (pods, held) = (state.pods.len(), state.holds.len());
            tracing::info!(pods, held, "until a server answers, what was enforced last is enforced");
        }
        tell.shown.change(|health| health.server = Some("none has been heard from yet".to_owned()));
        let (rules, known, revision) = (None, Known::default(), 0);
        Ok(Self { link, requests, firewall, file, state, has_word, rules, known, revision, tell })
    }

    /// Follows for ever; looks this often whether the rules are still there.
    pub(crate) async fn run(mut self, resync: Duration) -> anyhow::Result<()> {
        // Whatever goes wrong is told there, and tried again.
        let _ = self.follow().await;
        let mut look = interval(resync);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.tick().await;
        loop {
            tokio::select! {
                event = self.link.events.recv() => match event {
                    Some(event) => self.hear(event).await,
                    None => anyhow::bail!("the link to servers has ended"),
                },
                request = self.requests.recv() => match request {
                    Some(request) => self.answer(request).await,
                    None => anyhow::bail!("nobody can tell of pods any more"),
                },
                _ = look.tick() => self.look().await,
            }
        }
    }

    async fn hear(&mut self, event: Event) {
        let Tell { metrics, shown, client: asked, .. } = &self.tell;
        match event {
            Event::Up(client) => {
                tracing::info!(revision = self.revision, "a server answers");
                metrics.server(true);
                shown.change(|health| health.server = None);
                asked.send_replace(Some(*client));
                self.have_cut();
            }
            Event::Down(why) => {
                metrics.server(false);
                shown.change(|health| health.server = Some(why));
                asked.send_replace(None);
                self.have_cut();
            }
            Event::Revision { flows_changed, revision } => {
                self.revision = revision;
                metrics.revision(revision);
                if flows_changed {
                    self.have_cut();
                }
            }
            Event::Pods(pods) => {
                self.known = Known::new(&pods.pods);
                self.state.pods = pods.pods;
                self.has_word = true;
                let _ = self.follow().await;
                // Only now: whoever waits for it counts on the rules.
                self.tell.shown.change(|health| health.was_told = true);
            }
            Event::Answers { .. } => {}
        }
    }

    async fn answer(&mut self, request: Request) {
        // Whoever asked may have gone.
        match request {
            Request::Put(attachment, hold, answer) => {
                let known = self.known.has_all(&hold);
                holds::put(&mut self.state.holds, attachment, hold);
                self.has_word = true;
                let done = self.follow().await.map(|()| Put { revision: self.revision, known });
                let _ = answer.send(done);
            }
            Request::Get(attachment, answer) => {
                let hold = self.state.holds.get(&attachment);
                let got =
                    hold.map(|hold| Got { known: self.known.has_all(hold), hold: hold.as_ref().clone() });
                let _ = answer.send(got);
            }
            Request::Remove(which, answer) => {
                let before = self.state.holds.len();
                match which {
                    Which::This(attachment) => drop(self.state.holds.remove(&attachment)),
                    Which::AllBut(valid) => {
                        self.state.holds.retain(|attachment, _| valid.contains(attachment));
                    }
                }
                let removed = before - self.state.holds.len();
                let done = if removed == 0 { Ok(()) } else { self.follow().await };
                let _ = answer.send(done.map(|()| removed));
            }
            Request::Ready(answer) => {
                let _ = answer.send(self.tell.shown.get().rules.map_or(Ok(()), Err));
            }
        }
    }

    /// Has what is enforced follow from what is known.
    ///
    /// # Errors
    /// Why it does not.
    async fn follow(&mut self) -> Result<(), String> {
        if !self.has_word {
            // The rules of an agent before this one may be there, and are better than none.
            return Ok(());
        }
        let holds = &self.state.holds;
        // Before the rules: a packet that they send to a worker is held there.
        self.tell.held.send_replace(Arc::new(holds::by_address(holds)));
        let early = holds.values().filter(|hold| !self.known.has_all(hold)).count();
        self.tell.metrics.held(early);
        let rules = Rules::new(&self.state.pods, holds);
        let pods = &self.state.pods;
        let isolated = pods.iter().filter(|pod| pod.ingress_isolated || pod.egress_isolated).count();
        self.tell.metrics.pods(pods.len(), isolated);
        let mut done = Ok(());
        if self.rules.as_deref() != Some(&rules) {
            done = self.install(rules).await;
        }
        let kept = self.file.write(&self.state).map_err(|error| format!("{error:#}"));
        if let Err(why) = &kept {
            tracing::error!(why, "what is enforced could not be kept");
        }
        done.and(kept)
    }

    async fn install(&mut self, rules: Rules) -> Result<(), String> {
        let installed = self.firewall.install(&rules).await.map_err(|error| format!("{error:#}"));
        match &installed {
            Ok(()) => {
                let Rules { to, from, pods } = &rules;
                let (to, from, pods) = (to.len(), from.len(), pods.len());
                tracing::info!(to, from, pods, "rules were written: addresses of isolated pods, and of all");
                self.rules = Some(Arc::new(rules));
                self.tell.metrics.installed(Outcome::Done);
                self.have_cut();
            }
            Err(why) => {
                tracing::error!(why, "rules could not be written; it is tried again");
                self.rules = None;
                self.tell.metrics.installed(Outcome::Failed);
            }
        }
        let why = installed.clone().err();
        self.tell.shown.change(|health| health.rules = why);
        installed
    }

    /// Writes the rules again if they are not as they were written.
    async fn look(&mut self) {
        match self.firewall.is_untouched().await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("somebody has changed the rules; they are written again");
                self.rules = None;
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "rules could not be looked at"),
        }
        if self.rules.is_none() {
            // Told there.
            let _ = self.follow().await;
        }
    }

    /// Has connections held against what is enforced now.
    fn have_cut(&self) {
        if let (Some(cut), Some(rules)) = (&self.tell.cut, &self.rules) {
            let client = self.tell.client.borrow().clone();
            cut.send_replace(Against { client, rules: rules.clone() });
        }
    }
}
