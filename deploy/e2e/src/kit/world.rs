//! A node and its pods, as network namespaces: packets between pods are forwarded by the node's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::folder::Folder;
use super::process::{Process, Program};
use super::wait;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Addresses of the node that pods send everything to.
const GATEWAY: &str = "169.254.1.1";
const GATEWAY_V6: &str = "fe80::1";
const SERVING: std::time::Duration = std::time::Duration::from_secs(10);

/// A node with its pods. Its namespaces end with it.
pub(crate) struct World {
    name: String,
    pods: BTreeMap<String, Pod>,
    links: u32,
}

struct Pod {
    addresses: Vec<IpAddr>,
    serving: Vec<Process>,
}

/// Whether somebody is reached.
pub(crate) struct Reach<'a> {
    pub(crate) from: &'a str,
    pub(crate) protocol: &'a str,
    pub(crate) to: IpAddr,
    pub(crate) port: u16,
}

/// Why this machine cannot have such worlds, if it cannot.
pub(crate) fn missing() -> Option<String> {
    let name = format!("gavel-{}-probe", std::process::id());
    let script = format!(
        "set -e; ip netns add {name}; trap 'ip netns del {name}' EXIT; ip netns exec {name} sh -ec '\
         iptables -t mangle -A FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num 1; \
         ip6tables -t mangle -A FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num 1; \
         iptables -t mangle -A PREROUTING -m rpfilter --invert -j NFQUEUE --queue-num 1; \
         conntrack -L -f ipv4'"
    );
    match std::process::Command::new("sh").args(["-c", &script]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

impl World {
    /// A node without pods, that forwards.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gavel-{}-{number}", std::process::id());
        let world = Self { name, pods: BTreeMap::new(), links: 0 };
        let node = world.space(None);
        shell(&format!(
            "ip netns add {node}; ip -n {node} link set lo up; ip netns exec {node} sh -ec '\
             echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; \
             echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter; echo 0 >/proc/sys/net/ipv4/conf/default/rp_filter'"
        ))
        .await?;
        Ok(world)
    }

    /// Name of the namespace of a pod, or of the node.
    fn space(&self, pod: Option<&str>) -> String {
        match pod {
            // Names of pods in several namespaces have a `/`.
            Some(pod) => format!("{}-{}", self.name, pod.replace('/', ".")),
            None => format!("{}-node", self.name),
        }
    }

    /// A pod with these addresses; or somebody who is no pod, which is only a question of who knows it as one.
    pub(crate) async fn add(&mut self, pod: &str, addresses: &[&str]) -> anyhow::Result<()> {
        let (node, space) = (self.space(None), self.space(Some(pod)));
        let link = format!("pod{}", self.links);
        self.links += 1;
        let mut script = format!(
            "ip netns add {space}; ip -n {space} link set lo up; \
             ip -n {node} link add {link} type veth peer name eth0 netns {space}; \
             ip -n {node} addr add {GATEWAY}/32 dev {link}; ip -n {node} addr add {GATEWAY_V6}/64 dev {link} nodad; \
             ip -n {node} link set {link} up; ip -n {space} link set eth0 up; "
        );
        let mut parsed = Vec::new();
        for address in addresses {
            let ip: IpAddr = address.parse()?;
            let (bits, gateway, flags) =
                if ip.is_ipv4() { (32, GATEWAY, "") } else { (128, GATEWAY_V6, " nodad") };
            script.push_str(&format!(
                "ip -n {space} addr add {ip}/{bits} dev eth0{flags}; ip -n {node} route add {ip}/{bits} dev {link}; "
            ));
            if ip.is_ipv4() {
                script.push_str(&format!("ip -n {space} route add {gateway} dev eth0; "));
            }
            let family = if ip.is_ipv4() { "" } else { "-6 " };
            script.push_str(&format!("ip -n {space} {family}route add default via {gateway} dev eth0; "));
            parsed.push(ip);
        }
        self.pods.insert(pod.to_owned(), Pod { addresses: parsed, serving: Vec::new() });
        shell(&script).await.with_context(|| format!("pod {pod}"))
    }

    /// An empty namespace for a pod that somebody else gives a link and an address: its name.
    pub(crate) async fn add_space(&mut self, pod: &str) -> anyhow::Result<String> {
        let space = self.space(Some(pod));
        self.pods.insert(pod.to_owned(), Pod { addresses: Vec::new(), serving: Vec::new() });
        shell(&format!("ip netns add {space}; ip -n {space} link set lo up")).await?;
        Ok(space)
    }

    /// The pod has been given this address.
    pub(crate) fn has(&mut self, pod: &str, address: &str) -> anyhow::Result<()> {
        let known = self.pods.get_mut(pod).with_context(|| format!("there is no pod {pod}"))?;
        known.addresses.push(address.parse()?);
        Ok(())
    }

    /// Has the node bridge its pods' links, and pods reach each other without the node's routes; tells whether the kernel
    /// filters what is bridged. IPv4 alone.
    pub(crate) async fn bridge(&self) -> anyhow::Result<bool> {
        let node = self.space(None);
        let filter = "/proc/sys/net/bridge/bridge-nf-call-iptables";
        shell(&format!("ip -n {node} link add pods type bridge; ip -n {node} link set pods up")).await?;
        let is_filtered = format!("test -f {filter} && echo 1 >{filter}");
        if !self.command(None, &["sh", "-c", &is_filtered]).status().await?.success() {
            return Ok(false);
        }
        let mut script = format!("ip -n {node} addr add 10.40.0.254/24 dev pods; ");
        for link in 0..self.links {
            script.push_str(&format!(
                "ip -n {node} addr flush dev pod{link}; ip -n {node} route flush dev pod{link}; \
                 ip -n {node} link set pod{link} master pods; "
            ));
        }
        for pod in self.pods.keys() {
            let space = self.space(Some(pod));
            script.push_str(&format!(
                "ip -n {space} route flush dev eth0; ip -n {space} route add 10.40.0.0/24 dev eth0; "
            ));
        }
        shell(&script).await?;
        Ok(true)
    }

    /// The first address of a pod.
    pub(crate) fn address(&self, pod: &str) -> anyhow::Result<IpAddr> {
        let pod = self.pods.get(pod).with_context(|| format!("there is no pod {pod}"))?;
        pod.addresses.first().copied().context("the pod has no address")
    }

    /// The address of this family.
    pub(crate) fn address_of(&self, pod: &str, is_ipv4: bool) -> anyhow::Result<IpAddr> {
        let pod = self.pods.get(pod).with_context(|| format!("there is no pod {pod}"))?;
        pod.addresses.iter().find(|ip| ip.is_ipv4() == is_ipv4).copied().context("no address of this family")
    }

    /// Has a pod serve these, such as `TCP:80`.
    pub(crate) async fn serve(
        &mut self,
        folder: &Folder,
        pod: &str,
        services: &[&str],
    ) -> anyhow::Result<()> {
        let mut process =
            self.start(folder, Some(pod), "serve", &in_a_pod(&[&["serve"], services].concat())?)?;
        wait::until("the pod serves", SERVING, async || {
            process.check()?;
            Ok(process.output()?.contains("serving").then_some(()))
        })
        .await?;
        self.pods.get_mut(pod).with_context(|| format!("there is no pod {pod}"))?.serving.push(process);
        Ok(())
    }

    /// Starts a program in a pod, or on the node.
    pub(crate) fn start(
        &self,
        folder: &Folder,
        pod: Option<&str>,
        name: &str,
        command: &[String],
    ) -> anyhow::Result<Process> {
        let arguments = [vec![self.enter(pod)], command.to_vec()].concat();
        Process::start(Program::new(Path::new("nsenter"), name, arguments), folder)
    }

    fn enter(&self, pod: Option<&str>) -> String {
        format!("--net=/run/netns/{}", self.space(pod))
    }

    /// A command to be run in a pod, or on the node.
    pub(crate) fn command(&self, pod: Option<&str>, command: &[&str]) -> Command {
        let mut run = Command::new("nsenter");
        run.arg(self.enter(pod)).args(command).stdin(Stdio::null()).kill_on_drop(true);
        run
    }

    /// Runs a command in a pod, or on the node, which must succeed.
    pub(crate) async fn run(&self, pod: Option<&str>, command: &[&str]) -> anyhow::Result<String> {
        succeeded(&self.command(pod, command).output().await?).with_context(|| command.join(" "))
    }

    /// Whether a pod reaches somebody within so many milliseconds, by a packet that is sent, answered, and received.
    pub(crate) async fn reaches_within(&self, reach: &Reach<'_>, milliseconds: u32) -> anyhow::Result<bool> {
        let Reach { from, protocol, to, port } = reach;
        let (to, port, within) = (to.to_string(), port.to_string(), milliseconds.to_string());
        let command = in_a_pod(&["reach", protocol, &to, &port, &within])?;
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let output = self.command(Some(from), &command).output().await?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => {
                succeeded(&output).with_context(|| format!("{from} to {to}, {protocol} {port}"))?;
                Ok(false)
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Processes first: a namespace lives as long as one of its processes.
        let pods: Vec<String> = self.pods.keys().cloned().collect();
        self.pods.clear();
        let spaces = pods.iter().map(|pod| self.space(Some(pod))).chain([self.space(None)]);
        for space in spaces {
            // Nobody is there to be told.
            let _ = std::process::Command::new("ip").args(["netns", "del", &space]).output();
        }
    }
}

/// This program, as it is called in a pod.
pub(crate) fn in_a_pod(arguments: &[&str]) -> anyhow::Result<Vec<String>> {
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    Ok([program, "--in-a-pod".to_owned()].into_iter().chain(arguments).collect())
}

async fn shell(script: &str) -> anyhow::Result<()> {
    let mut child = Command::new("sh")
        .arg("-e")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    child.stdin.take().context("no input")?.write_all(script.as_bytes()).await?;
    succeeded(&child.wait_with_output().await?).with_context(|| script.to_owned()).map(drop)
}

fn succeeded(output: &Output) -> anyhow::Result<String> {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}: {out}{err}", output.status);
    Ok(out.into_owned())
}
