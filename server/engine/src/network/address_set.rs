//! The addresses that the ipBlocks of one rule allow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::object::IpBlock;

/// The union of a rule's ipBlocks, each without its exceptions, as ascending ranges that do not overlap: whether an
/// address is inside takes a binary search, however many blocks there are. Families do not mix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct AddressSet {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl AddressSet {
    pub(super) fn new<'a>(blocks: impl IntoIterator<Item = &'a IpBlock>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for block in blocks {
            match block.cidr {
                IpNet::V4(cidr) => {
                    let holes = block.except.iter().filter_map(|except| match except {
                        IpNet::V4(except) => Some((except.network().to_bits(), except.broadcast().to_bits())),
                        IpNet::V6(_) => None,
                    });
                    let range = (cidr.network().to_bits(), cidr.broadcast().to_bits());
                    punch(range, holes.collect(), u32::checked_sub, u32::checked_add, 1, &mut v4);
                }
                IpNet::V6(cidr) => {
                    let holes = block.except.iter().filter_map(|except| match except {
                        IpNet::V4(_) => None,
                        IpNet::V6(except) => Some((except.network().to_bits(), except.broadcast().to_bits())),
                    });
                    let range = (cidr.network().to_bits(), cidr.broadcast().to_bits());
                    punch(range, holes.collect(), u128::checked_sub, u128::checked_add, 1, &mut v6);
                }
            }
        }
        Self { v4: union(v4), v6: union(v6) }
    }

    /// Whether `address`, which is not IPv4-mapped, is inside.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => within(&self.v4, Ipv4Addr::to_bits(address)),
            IpAddr::V6(address) => within(&self.v6, Ipv6Addr::to_bits(address)),
        }
    }
}

/// Adds to `out` what is left of `range` without `holes`.
fn punch<A: Copy + Ord>(
    range: (A, A),
    mut holes: Vec<(A, A)>,
    before: fn(A, A) -> Option<A>,
    after: fn(A, A) -> Option<A>,
    one: A,
    out: &mut Vec<(A, A)>,
) {
    holes.sort_unstable();
    let (mut start, end) = range;
    for (first, last) in holes {
        if first > end {
            break;
        }
        if first > start
            && let Some(last) = before(first, one)
        {
            out.push((start, last));
        }
        if last >= start {
            match after(last, one) {
                Some(next) => start = next,
                None => return,
            }
        }
    }
    if start <= end {
        out.push((start, end));
    }
}

/// The ranges in ascending order; those that overlap become one.
fn union<A: Copy + Ord>(mut ranges: Vec<(A, A)>) -> Box<[(A, A)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(A, A)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(previous) if first <= previous.1 => previous.1 = previous.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into()
}

fn within<A: Copy + Ord>(ranges: &[(A, A)], address: A) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).and_then(|index| ranges.get(index)).is_some_and(|(_, last)| address <= *last)
}
