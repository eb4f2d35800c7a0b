//! Numbers that look random and are a function of what they are asked for, so that any object can be made by itself.

/// What is decided: numbers of different topics do not depend on each other.
#[derive(Clone, Copy)]
pub(crate) enum Topic {
    Application = 1,
    Size,
    Team,
    Policy,
    Hash,
    Grant,
    Flow,
    Admission,
    Identifier,
}

/// splitmix64 of a seed, a topic and a number.
pub(crate) fn random(seed: u64, topic: Topic, number: u64) -> u64 {
    mix(mix(seed ^ ((topic as u64) << 56)).wrapping_add(number))
}

/// One that follows from another.
pub(crate) fn next(random: u64, step: u64) -> u64 {
    mix(random.wrapping_add(step))
}

fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Below `limit`; 0 when that is 0.
pub(crate) fn below(random: u64, limit: u32) -> u32 {
    // The upper half times the limit: less skewed than a remainder, and quick.
    let scaled = ((random >> 32) * u64::from(limit)) >> 32;
    u32::try_from(scaled).unwrap_or(0)
}

/// A UUID of these bits.
pub(crate) fn uuid(random: u64) -> String {
    let low = next(random, 1);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        random >> 32,
        (random >> 16) & 0xFFFF,
        random & 0xFFF,
        0x8000 | (low >> 48 & 0x3FFF),
        low & 0xFFFF_FFFF_FFFF
    )
}

/// `length` characters as Kubernetes makes names of them (`apimachinery/pkg/util/rand`).
pub(crate) fn suffix(mut random: u64, length: usize) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..length)
        .map(|_| {
            let index = usize::try_from(random % 27).unwrap_or(0);
            random /= 27;
            char::from(ALPHABET[index])
        })
        .collect()
}
