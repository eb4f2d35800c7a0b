//! One queue: packets in, verdicts out.
//!
//! A worker is a thread with a queue, a link to a server, and a cache of its own: between a packet and its verdict there is
//! nothing that another thread holds.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use gavel_client::v1;
use nfq::Message;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::{Socket, TOGETHER};
use crate::cache::Cache;
use crate::config::Otherwise;
use crate::flow::{Answer, Flow};
use crate::flow_log::{FlowLog, Record};
use crate::holds::{Held, Known};
use crate::link::{Event, Link, Settings};
use crate::metrics::{By, Metrics, Refused};
use crate::packet::{self, Unreadable};

/// `google.rpc.Code.INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 3;

/// What all workers share.
#[derive(Clone, Debug)]
pub(crate) struct Enforcing {
    pub(crate) link: Settings,
    /// What happens to packets when no server answers.
    pub(crate) on_unavailable: Otherwise,
    /// What happens to packets of protocols that policies do not speak of.
    pub(crate) other_protocols: Otherwise,
    /// How long a packet waits for an answer.
    pub(crate) timeout: Duration,
    pub(crate) cache_entries: usize,
    pub(crate) held: watch::Receiver<Arc<Held>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: FlowLog,
}

/// A packet that waits.
#[derive(Debug)]
struct Waiting {
    packet: Message,
    since: Instant,
}

/// One queue's worker.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Enforcing,
    socket: Socket,
    link: Link,
    /// Whether there is a server; if not, since when.
    up: Result<(), Instant>,
    /// Answers of older revisions are not kept.
    revision: u64,
    cache: Cache,
    known: Known,
    /// Packets whose flow was asked about, or will be once there is a server.
    asked: HashMap<Flow, Vec<Waiting>, RandomState>,
    /// Packets of pods that the server does not know yet.
    early: Vec<(Flow, Waiting)>,
}

impl Worker {
    /// A worker of this runtime.
    ///
    /// # Errors
    /// When the queue cannot be waited for.
    pub(crate) fn new(shared: Enforcing, mut socket: Socket) -> anyhow::Result<Self> {
        socket.register()?;
        let link = Link::open(shared.link.clone());
        let cache = Cache::new(shared.cache_entries);
        let up = Err(Instant::now());
        let (asked, early, known) = (HashMap::default(), Vec::new(), Known::default());
        Ok(Self { shared, socket, link, up, revision: 0, cache, known, asked, early })
    }

    /// Decides for ever.
    ///
    /// # Errors
    /// When the queue is lost.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut packets = Vec::with_capacity(TOGETHER);
        let mut look = interval((self.shared.timeout / 4).max(Duration::from_millis(1)));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                event = self.link.events.recv() => match event {
                    Some(event) => self.hear(event)?,
                    None => anyhow::bail!("the link to servers has ended"),
                },
                _ = look.tick() => self.expire()?,
                received = self.socket.receive(&mut packets, TOGETHER) => {
                    received?;
                    let since = Instant::now();
                    for packet in packets.drain(..) {
                        self.take(packet, since)?;
                    }
                }
            }
        }
    }

    fn take(&mut self, packet: Message, since: Instant) -> anyhow::Result<()> {
        match packet::read(packet.get_payload()) {
            Ok(flow) => self.decide(flow, Waiting { packet, since }),
            Err(Unreadable::OtherProtocol { source, destination, .. }) => {
                let is_early = self.is_early(&source) || self.is_early(&destination);
                let allowed = self.shared.other_protocols.is_allow() && !is_early;
                if allowed {
                    self.shared.metrics.passed_other_protocol();
                } else {
                    self.refuse(Refused::Protocol);
                }
                Ok(self.socket.settle(packet, allowed)?)
            }
            Err(unreadable) => {
                self.refuse(match unreadable {
                    Unreadable::NotIp => Refused::NotIp,
                    Unreadable::Fragment => Refused::Fragment,
                    Unreadable::Truncated => Refused::Truncated,
                    Unreadable::PortZero => Refused::PortZero,
                    Unreadable::SourceRoute => Refused::SourceRoute,
                    Unreadable::OtherProtocol { .. } => Refused::Protocol,
                });
                Ok(self.socket.settle(packet, false)?)
            }
        }
    }

    fn refuse(&self, why: Refused) {
        self.shared.metrics.refused(why);
        self.shared.log.write(|| Record::refused(None, why));
    }

    /// Whether a pod is held at this address that the server does not know yet.
    fn is_early(&self, address: &std::net::IpAddr) -> bool {
        let held = self.shared.held.borrow();
        held.get(address).is_some_and(|hold| !self.known.has(hold, address))
    }

    /// Whether there is a server, or there may soon be one again.
    fn has_hope(&self) -> bool {
        self.up.is_ok_or_recent(self.shared.timeout)
    }

    fn decide(&mut self, flow: Flow, waiting: Waiting) -> anyhow::Result<()> {
        if !self.has_hope() {
            let allowed = self.shared.on_unavailable.is_allow();
            return self.settle(&flow, waiting, allowed, By::Setting);
        }
        if self.is_early(&flow.source) || self.is_early(&flow.destination) {
            self.early.push((flow, waiting));
            return Ok(());
        }
        if let Some(allowed) = self.cache.get(&flow) {
            return self.settle(&flow, waiting, allowed, By::Cache);
        }
        let others = self.asked.entry(flow).or_default();
        others.push(waiting);
        // Another packet of the same flow has asked already.
        if others.len() == 1 && self.up.is_ok() {
            let _ = self.link.questions.send(flow);
        }
        Ok(())
    }

    fn hear(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Revision { flows_changed, revision } => {
                self.revision = revision;
                if flows_changed {
                    self.cache.clear();
                }
            }
            Event::Pods(pods) => {
                self.known = Known::new(&pods.pods);
                self.try_early()?;
            }
            Event::Up(_) => {
                self.up = Ok(());
                for flow in self.asked.keys() {
                    let _ = self.link.questions.send(*flow);
                }
                self.try_early()?;
            }
            Event::Down(_) => {
                if self.up.is_ok() {
                    self.up = Err(Instant::now());
                }
                self.cache.clear();
                self.known = Known::default();
            }
            Event::Answers { answers, revision } => {
                for (flow, answer) in answers {
                    self.answered(flow, answer, revision)?;
                }
            }
        }
        self.shared.metrics.cached(self.cache.len());
        Ok(())
    }

    fn answered(
        &mut self,
        flow: Flow,
        answer: Result<Answer, v1::QuestionError>,
        revision: u64,
    ) -> anyhow::Result<()> {
        let (allowed, by) = match answer {
            Ok(answer) => {
                if revision >= self.revision {
                    self.cache.insert(&flow, &answer);
                }
                (answer.allowed, By::Server)
            }
            // A flow that cannot be is not let pass, whatever happens when servers are away.
            Err(error) if error.code == INVALID_ARGUMENT => {
                tracing::debug!(?flow, error.message, "the server does not take a flow for a question");
                (false, By::Server)
            }
            Err(error) => {
                tracing::debug!(?flow, error.message, "the server has no answer");
                (self.shared.on_unavailable.is_allow(), By::Setting)
            }
        };
        for waiting in self.asked.remove(&flow).unwrap_or_default() {
            self.settle(&flow, waiting, allowed, by)?;
        }
        Ok(())
    }

    /// Looks again at the packets of pods that the server did not know.
    fn try_early(&mut self) -> anyhow::Result<()> {
        for (flow, waiting) in mem::take(&mut self.early) {
            self.decide(flow, waiting)?;
        }
        Ok(())
    }

    /// Settles what has waited too long.
    fn expire(&mut self) -> anyhow::Result<()> {
        let timeout = self.shared.timeout;
        let is_late = |waiting: &Waiting| waiting.since.elapsed() > timeout;
        let mut late = Vec::new();
        self.asked.retain(|flow, packets| {
            late.extend(packets.extract_if(.., |waiting| is_late(waiting)).map(|waiting| (*flow, waiting)));
            !packets.is_empty()
        });
        let allowed = self.shared.on_unavailable.is_allow();
        for (flow, waiting) in late {
            self.settle(&flow, waiting, allowed, By::Setting)?;
        }
        let early: Vec<_> = self.early.extract_if(.., |(_, waiting)| is_late(waiting)).collect();
        for (flow, waiting) in early {
            // As long as a server answers, what it does not know waits: its sender tries again.
            let (allowed, by) = if self.up.is_ok() { (false, By::Hold) } else { (allowed, By::Setting) };
            self.settle(&flow, waiting, allowed, by)?;
        }
        Ok(())
    }

    fn settle(&mut self, flow: &Flow, waiting: Waiting, allowed: bool, by: By) -> anyhow::Result<()> {
        self.socket.settle(waiting.packet, allowed)?;
        self.shared.metrics.decided(allowed, by, waiting.since.elapsed());
        self.shared.log.write(|| Record::decided(*flow, allowed, by));
        Ok(())
    }
}

/// Since when something is away, if it is.
trait Away {
    /// Whether it is there, or was within this time.
    fn is_ok_or_recent(&self, within: Duration) -> bool;
}

impl Away for Result<(), Instant> {
    fn is_ok_or_recent(&self, within: Duration) -> bool {
        match self {
            Ok(()) => true,
            Err(since) => since.elapsed() < within,
        }
    }
}
