//! What came of it, for people and for programs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use gavel_generator::Size;
use serde::Serialize;

use crate::report::figures::Machine;
use crate::telemetry_cost::median;

/// A comparison with one peer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What is asked, and how.
    pub what: String,
    /// Whom, beside Gavel.
    pub peer: String,
    /// How many answers were the same,
    pub same: usize,
    /// of how many that were compared.
    pub answers: usize,
    /// CPU time a decision of Gavel, in microseconds, round by round.
    pub gavel_micros: Vec<f64>,
    /// CPU time a decision of the peer, round by round.
    pub peer_micros: Vec<f64>,
    /// How many times Gavel's decisions a CPU second have to be the peer's.
    pub wanted: f64,
}

impl Row {
    /// Gavel's decisions a CPU second, in units of the peer's: the median of the rounds' ratios.
    pub fn ratio(&self) -> f64 {
        median(self.peer_micros.iter().zip(&self.gavel_micros).map(|(peer, gavel)| peer / gavel))
    }
}

/// All comparisons.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Where.
    pub machine: Machine,
    /// About what cluster.
    #[serde(skip)]
    pub cluster: Size,
    /// The comparisons.
    pub rows: Vec<Row>,
}

impl Table {
    /// In Markdown.
    pub fn markdown(&self) -> String {
        let Machine { cores, model, kernel, rustc, date } = &self.machine;
        let Size { namespaces, pods, policies, pod_security_policies, bindings, .. } = &self.cluster;
        let mut out = format!(
            "# Gavel beside others, {date}\n\n\
             {cores} cores, {model}; Linux {kernel}; {rustc}. CPU time a decision, of the \
             process that decides, kernel and garbage collection included: medians of {} windows each, which took \
             turns.\n\n\
             Cluster: {pods} pods, {namespaces} namespaces, {policies} NetworkPolicies, {pod_security_policies} \
             PodSecurityPolicies, {bindings} bindings.\n\n\
             | what | beside | same answers | Gavel | the other | Gavel's decisions a CPU second, against the other's | wanted | |\n\
             |---|---|---:|---:|---:|---:|---:|---|\n",
            self.rows.first().map_or(0, |row| row.gavel_micros.len())
        );
        for row in &self.rows {
            let (ratio, wanted) = (row.ratio(), row.wanted);
            let holds = if ratio >= wanted { "yes" } else { "**no**" };
            // Writing to memory does not fail.
            let _ = writeln!(
                out,
                "| {} | {} | {} of {} | {:.2} µs | {:.2} µs | {ratio:.1}× | ≥ {wanted}× | {holds} |",
                row.what,
                row.peer,
                row.same,
                row.answers,
                median(row.gavel_micros.iter().copied()),
                median(row.peer_micros.iter().copied()),
            );
        }
        out
    }

    /// Writes `peers.md` and `peers.json` into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(folder.join("peers.md"), self.markdown())?;
        std::fs::write(folder.join("peers.json"), serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let row = |peer_micros: &[f64], wanted| Row {
            what: "flows".into(),
            peer: "somebody".into(),
            same: 7,
            answers: 7,
            gavel_micros: vec![1.0, 2.0, 4.0],
            peer_micros: peer_micros.to_vec(),
            wanted,
        };
        let fast = row(&[100.0, 20.0, 120.0], 20.0);
        assert!((fast.ratio() - 30.0).abs() < 1e-9, "{}", fast.ratio());
        let table = Table {
            machine: Machine::default(),
            cluster: Size::default(),
            rows: vec![fast, row(&[1.0, 2.0, 4.0], 1.5)],
        };
        let markdown = table.markdown();
        assert!(
            markdown.contains("| flows | somebody | 7 of 7 | 2.00 µs | 100.00 µs | 30.0× | ≥ 20× | yes |"),
            "{markdown}"
        );
        assert!(markdown.contains("| 1.0× | ≥ 1.5× | **no** |"), "{markdown}");
    }
}
