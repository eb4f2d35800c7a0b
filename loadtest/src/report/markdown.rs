//! The report, for people.

use std::fmt::{self, Write as _};

use super::claims::{Claim, Wanted, claims};
use super::figures::{Contestant, Figures, Side};
use crate::telemetry_cost::median;

/// The report; plots lie beside it.
pub(super) fn markdown(figures: &Figures) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut text, figures);
    text
}

fn write(out: &mut String, figures: &Figures) -> fmt::Result {
    let Figures { machine, contest, sizes, scale, tail, readers, .. } = figures;
    writeln!(out, "# Load test of {}\n", machine.date)?;
    writeln!(
        out,
        "{} cores, {}; Linux {}; {}. Asker and servers share the machine. {} answers, by every way to ask, were those \
         of the engine.\n",
        machine.cores, machine.model, machine.kernel, machine.rustc, figures.answers_compared
    )?;
    if figures.quick {
        writeln!(out, "**Quick: everything ran, and answers were right. No time below means anything.**\n")?;
    }
    writeln!(out, "| what | measured | wanted | |\n|---|---:|---:|---|")?;
    for claim in claims(figures) {
        row(out, &claim, figures.quick)?;
    }
    let rounds = contest.contestants.first().map_or(0, |contestant| contestant.rounds.len());
    writeln!(out, "\n## CPU time a question\n\n![CPU time a question](cpu.svg)\n")?;
    writeln!(
        out,
        "Cluster: {}. Medians of {rounds} rounds; each has servers of its own and asks all of them in turn, forwards and \
         backwards. Server CPU is that of all its threads, kernel included. Ratios above are medians of each round's \
         ratio. 16 calls in flight (4 of those with many questions) by 4 connections, 256 messages by 4 streams. Bytes \
         of question and answer: CheckFlow {} and {}, Admit {} and {}, typed {} and {}. Decoding the pod of an Admit \
         with serde_json into k8s-openapi's Pod: {:.1} µs.\n",
        contest.cluster,
        sizes.flow.0,
        sizes.flow.1,
        sizes.admit.0,
        sizes.admit.1,
        sizes.typed.0,
        sizes.typed.1,
        median(figures.decoding_micros.iter().copied()),
    )?;
    writeln!(
        out,
        "| | server CPU | questions a CPU second | asker's CPU | questions a second | p50 | p99 | p99.9 |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|"
    )?;
    for contestant in &contest.contestants {
        figure_row(out, contestant)?;
    }
    writeln!(out, "\n## Latency while changes are applied\n\n![Latency](latency.svg)\n")?;
    writeln!(
        out,
        "Cluster: {}, watched from an API server that sent {:.0} changes a second (half of them NetworkPolicies, half \
         pods that come and go), applied as {:.0} revisions a second; the last change was waited for. CheckFlow by a \
         unix socket, {:.0} a second in an open loop: latencies count from when a question was due. {} pairs of windows, \
         by turns first with and first without changes; the ratio above is the median of the pairs' ratios.\n",
        tail.cluster,
        tail.changes_per_second,
        tail.revisions_per_second,
        tail.rate,
        tail.pairs.len()
    )?;
    writeln!(out, "| | p50 | p99 | p99.9 | server CPU a question |\n|---|---:|---:|---:|---:|")?;
    let rest = tail.pairs.iter().map(|pair| pair.rest).collect();
    let changes = tail.pairs.iter().map(|pair| pair.changes).collect();
    for (name, rounds) in [("at rest", rest), ("while changes are applied", changes)] {
        let all = Contestant { name: String::new(), rounds };
        let [p50, p99, p999] = latencies(&all);
        let cpu = all.median(|side| side.server_micros);
        writeln!(out, "| {name} | {p50} µs | {p99} µs | {p999} µs | {cpu:.1} µs |")?;
    }
    writeln!(
        out,
        "\nReaders are not blocked: while one thread applied a change of {} objects at once, which took {:.2} s, another \
         was given {} answers by the engine: half of them within {:.1} µs, 99.9 % within {:.1} µs, and all within {:.0} µs. Meanwhile that \
         thread waited {} times, for locks or anything else, and lost its core to others {} times.\n",
        readers.objects,
        readers.applied_seconds,
        readers.answered,
        readers.took_micros[0],
        readers.took_micros[1],
        readers.took_micros[2],
        readers.waited,
        readers.preempted
    )?;
    writeln!(out, "## A large cluster\n")?;
    writeln!(
        out,
        "{}; {} MB of manifests in a folder. From start to ready {:.1} s (median of {}), {:.1} s of CPU time; at most {} \
         MiB of memory until then, {} MiB once ready. Of the same cluster with {} pods a server has {} MiB: a pod \
         more costs {:.0} bytes, its workload included, and whatever reading it left in the allocator.",
        scale.cluster,
        scale.manifest_bytes / 1_000_000,
        median(scale.ready_seconds.iter().copied()),
        scale.ready_seconds.len(),
        scale.ready_cpu_seconds,
        scale.peak_bytes >> 20,
        scale.resident_bytes >> 20,
        scale.fewer.1,
        scale.fewer.0 >> 20,
        scale.bytes_a_pod(),
    )
}

fn row(out: &mut String, claim: &Claim, quick: bool) -> fmt::Result {
    let digits = if claim.value >= 100.0 { 0 } else { 2 };
    let holds = match claim.holds().filter(|_| !quick) {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    };
    let (sign, wanted) = match claim.wanted {
        Wanted::AtMost(most) => ("≤ ", most.to_string()),
        Wanted::AtLeast(least) => ("≥ ", least.to_string()),
        Wanted::Nothing => ("", String::new()),
    };
    let unit = if wanted.is_empty() { "" } else { claim.unit };
    writeln!(
        out,
        "| {} | {:.digits$}{} | {sign}{wanted}{unit} | {holds} |",
        claim.what, claim.value, claim.unit
    )
}

fn figure_row(out: &mut String, contestant: &Contestant) -> fmt::Result {
    let server = contestant.median(|side| side.server_micros);
    let [p50, p99, p999] = latencies(contestant);
    writeln!(
        out,
        "| {} | {server:.2} µs | {:.0} | {:.2} µs | {:.0} | {p50} µs | {p99} µs | {p999} µs |",
        contestant.name,
        1e6 / server,
        contestant.median(|side| side.client_micros),
        contestant.median(|side| side.per_second),
    )
}

fn latencies(contestant: &Contestant) -> [String; 3] {
    [0, 1, 2].map(|index| format!("{:.0}", contestant.median(|side: &Side| side.latency_micros[index])))
}
