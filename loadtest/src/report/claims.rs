//! What is wanted, and what was measured.

use super::contest::name;
use super::figures::Figures;
use crate::telemetry_cost::median;

/// What is wanted of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    AtMost(f64),
    AtLeast(f64),
    /// It is only told.
    Nothing,
}

/// One figure, and what is wanted of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claim {
    pub(super) what: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) wanted: Wanted,
}

impl Claim {
    /// Whether it is as wanted; none where nothing is.
    pub(super) fn holds(&self) -> Option<bool> {
        match self.wanted {
            Wanted::AtMost(most) => Some(self.value <= most),
            Wanted::AtLeast(least) => Some(self.value >= least),
            Wanted::Nothing => None,
        }
    }
}

/// What stands against the unary echo.
const MANY: [&str; 6] = [
    "StreamCheckFlow, 1 a message",
    "StreamCheckFlow, 16 a message",
    "StreamCheckFlow, 16 a message, verdicts",
    "BatchCheckFlow of 100",
    "BatchCheckFlow of 100, verdicts",
    "BatchCheckFlow of 1000, verdicts",
];

/// All of them.
pub(super) fn claims(figures: &Figures) -> Vec<Claim> {
    let mut claims = Vec::new();
    for mode in [None, Some("per-core")] {
        of_mode(figures, mode, &mut claims);
    }
    let contest = &figures.contest;
    let mut ratio = |what: &str, of: &str, against: &str| {
        if let Some(value) = contest.ratio(of, against) {
            claims.push(Claim { what: what.to_owned(), value, unit: "×", wanted: Wanted::Nothing });
        }
    };
    ratio("CPU of CheckFlow by a unix socket, against TCP", "CheckFlow, unix socket", "CheckFlow");
    ratio("CPU of CheckFlow with a runtime a core, against one for all", "per-core: CheckFlow", "CheckFlow");
    ratio("CPU of Admit with a message, against JSON", "Admit, typed", "Admit");
    claims.push(Claim {
        what: "p99.9 of CheckFlow while changes are applied, against rest".to_owned(),
        value: figures.tail.ratio(),
        unit: "×",
        wanted: Wanted::AtMost(2.0),
    });
    claims.push(Claim {
        what: format!("memory a pod, of {} pods", figures.scale.pods),
        value: figures.scale.bytes_a_pod(),
        unit: " bytes",
        wanted: Wanted::AtMost(1024.0),
    });
    claims
}

fn of_mode(figures: &Figures, mode: Option<&str>, claims: &mut Vec<Claim>) {
    let contest = &figures.contest;
    let named = |what: &str| name(mode, what);
    for way in ["", ", unix socket"] {
        let (of, against) = (named(&format!("CheckFlow{way}")), named(&format!("echo of CheckFlow{way}")));
        if let Some(value) = contest.ratio(&of, &against) {
            let what = format!("{of}: CPU against its echo");
            claims.push(Claim { what, value, unit: "×", wanted: Wanted::AtMost(1.15) });
        }
    }
    let (admit, echo) = (contest.get(&named("Admit")), contest.get(&named("echo of Admit")));
    if let (Some(admit), Some(echo)) = (admit, echo) {
        let rounds = admit.rounds.iter().zip(&echo.rounds).zip(&figures.decoding_micros);
        let value =
            median(rounds.map(|((admit, echo), decoding)| {
                admit.server_micros / (echo.server_micros + decoding / 2.0)
            }));
        let what = named("Admit: CPU against its echo and half of decoding a Pod");
        claims.push(Claim { what, value, unit: "×", wanted: Wanted::AtMost(1.0) });
    }
    if let Some(value) = contest.ratio(&named("Admit, typed"), &named("echo of Admit, typed")) {
        let what = named("Admit, typed: CPU against its echo");
        claims.push(Claim { what, value, unit: "×", wanted: Wanted::Nothing });
    }
    for many in MANY.map(named) {
        if let Some(value) = contest.ratio(&named("echo of CheckFlow"), &many) {
            let what = format!("{many}: questions a CPU second against the unary echo's");
            claims.push(Claim { what, value, unit: "×", wanted: Wanted::AtLeast(10.0) });
        }
    }
}
