//! The rules, as iptables-restore reads them.
//!
//! All are in chains of our own, of the table `mangle`: there packets are after they were routed and before anybody else's
//! filters let them pass. A chain that is named in what is read is emptied first, and all of a table takes effect at once.
//! Connections are only known to the kernel while some rule looks at them: the first rule is there also when nobody is
//! isolated, so that those that exist when somebody becomes so are told from new ones.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::config::ReversePath;
use crate::rules::Rules;

/// Forwarded packets.
pub(super) const FORWARD: &str = "GAVEL-FORWARD";
/// Those of them that are asked about.
const NEW: &str = "GAVEL-NEW";
/// Packets before they are routed: whether they come from where their source is.
pub(super) const SOURCE: &str = "GAVEL-SOURCE";
/// Chains of the kernel's, and ours that they lead to. Ours come last: what a queue lets pass sees no further rule of its
/// chain.
pub(super) const JUMPS: [(&str, &str); 2] = [("FORWARD", FORWARD), ("PREROUTING", SOURCE)];

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Whether an address is of this family.
    pub(crate) fn has(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self == Family::V4)
    }

    const fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }
}

/// What rules lead to.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    /// First and last queue of packets that are asked about.
    pub(crate) deciding: (u16, u16),
    /// Queue of packets that are refused.
    pub(crate) refusing: u16,
    /// Whether packets pass while nobody listens to the queues.
    pub(crate) pass_when_away: bool,
    pub(crate) reverse_path: ReversePath,
}

/// The whole table. `missing`: which of [`JUMPS`] are not there yet.
pub(super) fn install(rules: &Rules, targets: &Targets, family: Family, missing: &[(&str, &str)]) -> String {
    let mut text = format!("*mangle\n:{FORWARD} - [0:0]\n:{NEW} - [0:0]\n:{SOURCE} - [0:0]\n");
    let bypass = if targets.pass_when_away { " --queue-bypass" } else { "" };
    let refusing = targets.refusing;
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    };
    let known = "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN";
    line(format_args!("-A {FORWARD} {known}"));
    let bits = family.bits();
    let of_family =
        |set: &BTreeSet<IpAddr>| set.iter().filter(|ip| family.has(ip)).copied().collect::<Vec<_>>();
    for address in of_family(&rules.from) {
        line(format_args!("-A {FORWARD} -s {address}/{bits} -j {NEW}"));
    }
    for address in of_family(&rules.to) {
        line(format_args!("-A {FORWARD} -d {address}/{bits} -j {NEW}"));
    }
    line(format_args!("-A {NEW} -m conntrack --ctstate INVALID -j NFQUEUE --queue-num {refusing}{bypass}"));
    let (first, last) = targets.deciding;
    if first == last {
        line(format_args!("-A {NEW} -j NFQUEUE --queue-num {first}{bypass}"));
    } else {
        line(format_args!("-A {NEW} -j NFQUEUE --queue-balance {first}:{last}{bypass}"));
    }
    let astray = "-m rpfilter --invert";
    match targets.reverse_path {
        ReversePath::Off => {}
        ReversePath::All => {
            line(format_args!("-A {SOURCE} {known}"));
            line(format_args!("-A {SOURCE} {astray} -j NFQUEUE --queue-num {refusing}"));
        }
        ReversePath::Pods => {
            line(format_args!("-A {SOURCE} {known}"));
            for address in of_family(&rules.pods) {
                line(format_args!(
                    "-A {SOURCE} -s {address}/{bits} {astray} -j NFQUEUE --queue-num {refusing}"
                ));
            }
        }
    }
    for (theirs, ours) in missing {
        line(format_args!("-A {theirs} -j {ours}"));
    }
    line(format_args!("COMMIT"));
    text
}

/// What takes all of it out again, of what is there. None: nothing is.
pub(super) fn uninstall(saved: &str) -> Option<String> {
    let is_there = |chain: &str| saved.lines().any(|line| line.starts_with(&format!(":{chain} ")));
    let chains: Vec<_> = [FORWARD, SOURCE, NEW].into_iter().filter(|chain| is_there(chain)).collect();
    let jumps: Vec<_> = saved.lines().filter(|line| JUMPS.iter().any(|jump| is_jump(line, jump))).collect();
    if chains.is_empty() && jumps.is_empty() {
        return None;
    }
    let mut text = "*mangle\n".to_owned();
    for jump in jumps {
        let _ = writeln!(text, "-D{}", jump.strip_prefix("-A").unwrap_or(jump));
    }
    for (command, chains) in [("-F", &chains), ("-X", &chains)] {
        for chain in chains {
            let _ = writeln!(text, "{command} {chain}");
        }
    }
    text.push_str("COMMIT\n");
    Some(text)
}

/// The jumps that are not in what iptables-save tells.
pub(super) fn missing_jumps(saved: &str) -> Vec<(&'static str, &'static str)> {
    JUMPS.into_iter().filter(|jump| !saved.lines().any(|line| is_jump(line, jump))).collect()
}

fn is_jump(line: &str, (theirs, ours): &(&str, &str)) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    words == ["-A", theirs, "-j", ours]
}

/// Of what iptables-save tells, the lines that are ours.
pub(super) fn ours(saved: &str) -> String {
    let is_ours = |line: &&str| line.contains("GAVEL-");
    // Chains are told with what they counted.
    let lines = saved.lines().filter(is_ours).map(|line| line.split(" [").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Targets {
        Targets {
            deciding: (100, 100),
            refusing: 101,
            pass_when_away: false,
            reverse_path: ReversePath::Pods,
        }
    }

    fn rules() -> Rules {
        let set = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Rules {
            to: set(&["10.0.0.2", "fd00::2"]),
            from: set(&["10.0.0.3"]),
            pods: set(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::2"]),
        }
    }

    #[test]
    fn rules_are_of_their_family() {
        let text = install(&rules(), &targets(), Family::V4, &JUMPS);
        let expected = "\
*mangle
:GAVEL-FORWARD - [0:0]
:GAVEL-NEW - [0:0]
:GAVEL-SOURCE - [0:0]
-A GAVEL-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A GAVEL-FORWARD -s 10.0.0.3/32 -j GAVEL-NEW
-A GAVEL-FORWARD -d 10.0.0.2/32 -j GAVEL-NEW
-A GAVEL-NEW -m conntrack --ctstate INVALID -j NFQUEUE --queue-num 101
-A GAVEL-NEW -j NFQUEUE --queue-num 100
-A GAVEL-SOURCE -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A GAVEL-SOURCE -s 10.0.0.1/32 -m rpfilter --invert -j NFQUEUE --queue-num 101
-A GAVEL-SOURCE -s 10.0.0.2/32 -m rpfilter --invert -j NFQUEUE --queue-num 101
-A GAVEL-SOURCE -s 10.0.0.3/32 -m rpfilter --invert -j NFQUEUE --queue-num 101
-A FORWARD -j GAVEL-FORWARD
-A PREROUTING -j GAVEL-SOURCE
COMMIT
";
        assert_eq!(text, expected);
        let many = Targets {
            deciding: (100, 103),
            refusing: 104,
            pass_when_away: true,
            reverse_path: ReversePath::All,
        };
        let text = install(&rules(), &many, Family::V6, &[]);
        for line in [
            "-A GAVEL-FORWARD -d fd00::2/128 -j GAVEL-NEW",
            "-A GAVEL-NEW -m conntrack --ctstate INVALID -j NFQUEUE --queue-num 104 --queue-bypass",
            "-A GAVEL-NEW -j NFQUEUE --queue-balance 100:103 --queue-bypass",
            "-A GAVEL-SOURCE -m rpfilter --invert -j NFQUEUE --queue-num 104",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("10.0.0") && !text.contains("-A FORWARD"), "{text}");
    }

    const SAVED: &str = "\
# Generated by iptables-save
*mangle
:PREROUTING ACCEPT [12:3456]
:FORWARD ACCEPT [0:0]
:GAVEL-FORWARD - [7:8]
:OTHERS - [0:0]
-A FORWARD -j OTHERS
-A FORWARD -j GAVEL-FORWARD
-A GAVEL-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
COMMIT
";

    #[test]
    fn what_is_there_is_told() {
        assert_eq!(missing_jumps(SAVED), [JUMPS[1]]);
        assert_eq!(missing_jumps(""), JUMPS);
        let expected = ":GAVEL-FORWARD -\n-A FORWARD -j GAVEL-FORWARD\n\
                        -A GAVEL-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN";
        assert_eq!(ours(SAVED), expected);
        assert_eq!(ours(&SAVED.replace("[7:8]", "[9:10]")), expected);
    }

    #[test]
    fn nothing_of_others_is_taken_out() {
        let text = uninstall(SAVED).unwrap();
        assert_eq!(
            text,
            "*mangle\n-D FORWARD -j GAVEL-FORWARD\n-F GAVEL-FORWARD\n-X GAVEL-FORWARD\nCOMMIT\n"
        );
        assert_eq!(uninstall("*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j OTHERS\nCOMMIT\n"), None);
    }
}
