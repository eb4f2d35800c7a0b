//! What the kernel counts of its queues.

use std::ops::Range;

/// What the kernel counts of some queues, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Packets that wait now.
    pub(crate) waiting: u64,
    /// Packets that found the queue full.
    pub(crate) full: u64,
    /// Packets that could not be handed to this process.
    pub(crate) lost: u64,
}

/// The counters of the queues of these numbers, out of `/proc/net/netfilter/nfnetlink_queue`: number, socket, packets that
/// wait, mode, bytes copied, packets that found it full, packets that were lost, the last packet's number
/// (`net/netfilter/nfnetlink_queue.c`, `seq_show`).
pub(crate) fn counters(text: &str, numbers: &Range<u32>) -> Counters {
    let mut sum = Counters::default();
    for line in text.lines() {
        let columns: Vec<u64> = line.split_whitespace().filter_map(|column| column.parse().ok()).collect();
        if let [number, _, waiting, _, _, full, lost, ..] = columns[..]
            && u32::try_from(number).is_ok_and(|number| numbers.contains(&number))
        {
            sum.waiting += waiting;
            sum.full += full;
            sum.lost += lost;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_summed() {
        let text = "  100  12345     3 2   512     7     1      900  1\n  101  12346     1 2   512     2     0       90  1\n\
                    \u{20} 200  99999     5 2 65535     9     9        9  1\n";
        assert_eq!(counters(text, &(100..102)), Counters { waiting: 4, full: 9, lost: 1 });
        assert_eq!(counters("", &(100..102)), Counters::default());
    }
}
