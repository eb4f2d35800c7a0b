//! Whether a call is traced, told before anything is made for it.

use http::HeaderMap;

/// Which calls are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Of the calls for which nobody has decided yet.
    ratio: f64,
    /// Whether a caller that sends a trace has decided.
    follows_parent: bool,
}

impl Sampling {
    /// A caller's trace is continued if it is sampled; of the other calls, this part begins one.
    pub const fn parent_based(ratio: f64) -> Self {
        Self { ratio, follows_parent: true }
    }

    /// This part of all calls, whatever their callers do.
    pub const fn whatever_the_parent(ratio: f64) -> Self {
        Self { ratio, follows_parent: false }
    }

    /// Whether a call that comes with these headers is traced.
    pub(crate) fn samples(&self, headers: &HeaderMap) -> bool {
        if self.follows_parent
            && let Some(parent) = headers.get("traceparent")
            && let Some(is_sampled) = flag(parent.as_bytes())
        {
            return is_sampled;
        }
        self.ratio >= 1.0 || (self.ratio > 0.0 && fastrand::f64() < self.ratio)
    }
}

/// Whether a parent is sampled; none when it cannot be read. `00-TRACE-PARENT-FLAGS`: hexadecimal digits, 2, 32, 16 and 2
/// of them, the lowest bit of the flags says so (<https://www.w3.org/TR/trace-context/#traceparent-header>).
fn flag(parent: &[u8]) -> Option<bool> {
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (&[a, b, b'-', ref rest @ ..], true) = (parent, parent.len() >= 55) else { return None };
    let (trace, span, flags) = (rest.get(..32)?, rest.get(33..49)?, rest.get(50..52)?);
    let is_good = is_hex(&[a, b])
        && [a, b] != *b"ff"
        && rest.get(32) == Some(&b'-')
        && rest.get(49) == Some(&b'-')
        && is_hex(trace)
        && is_hex(span)
        && is_hex(flags)
        && trace.iter().any(|byte| *byte != b'0')
        && span.iter().any(|byte| *byte != b'0')
        && (parent.len() == 55 || ([a, b] != *b"00" && rest.get(52) == Some(&b'-')));
    let lowest =
        flags.last().map(|digit| if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 });
    lowest.filter(|_| is_good).map(|digit| digit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_parents() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for (parent, expected) in [
            (format!("00-{trace}-b7ad6b7169203331-01"), Some(true)),
            (format!("00-{trace}-b7ad6b7169203331-00"), Some(false)),
            (format!("00-{trace}-b7ad6b7169203331-0b"), Some(true)),
            (format!("01-{trace}-b7ad6b7169203331-01-later"), Some(true)),
            (format!("00-{trace}-b7ad6b7169203331-01-later"), None),
            (format!("ff-{trace}-b7ad6b7169203331-01"), None),
            (format!("00-{trace}-0000000000000000-01"), None),
            (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), None),
            (format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()), None),
            (format!("00-{trace}-b7ad6b7169203331-0g"), None),
            (format!("00-{trace}-b7ad6b7169203331"), None),
            (String::new(), None),
        ] {
            assert_eq!(flag(parent.as_bytes()), expected, "{parent}");
        }
    }

    #[test]
    fn who_decides() {
        let headers = |flags: &str| {
            let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), parent.parse().unwrap())])
        };
        let none = HeaderMap::new();
        assert!(Sampling::parent_based(0.0).samples(&headers("01")));
        assert!(!Sampling::parent_based(1.0).samples(&headers("00")));
        assert!(Sampling::parent_based(1.0).samples(&none));
        assert!(!Sampling::parent_based(0.0).samples(&none));
        assert!(!Sampling::whatever_the_parent(0.0).samples(&headers("01")));
        assert!(Sampling::whatever_the_parent(1.0).samples(&headers("00")));
        let sampled = (0..10_000).filter(|_| Sampling::parent_based(0.5).samples(&none)).count();
        // Six standard deviations.
        assert!((4700..5300).contains(&sampled), "{sampled}");
    }
}
