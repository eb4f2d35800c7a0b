//! W3C trace context: calls as part of a trace of the caller's (<https://www.w3.org/TR/trace-context/>).

use std::fmt;

use tonic::Code;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

/// Where in a trace a call belongs: `traceparent` and `tracestate`, as they are sent along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    parent: AsciiMetadataValue,
    state: Option<AsciiMetadataValue>,
}

impl TraceContext {
    /// Of the two headers; `state` may be empty. None where `traceparent` is none: whoever gets one that cannot be read
    /// begins a trace of its own, and so it is not passed on. A `tracestate` that cannot be sent is left out, as the
    /// specification has it (3.3).
    pub fn new(parent: &str, state: &str) -> Option<Self> {
        let state = if state.is_empty() { None } else { AsciiMetadataValue::try_from(state).ok() };
        if !is_parent(parent) {
            return None;
        }
        Some(Self { parent: AsciiMetadataValue::try_from(parent).ok()?, state })
    }

    /// Puts it into what is sent along with a call.
    pub(crate) fn put(&self, metadata: &mut MetadataMap) {
        metadata.insert("traceparent", self.parent.clone());
        if let Some(state) = &self.state {
            metadata.insert("tracestate", state.clone());
        }
    }
}

/// `VERSION-TRACE-PARENT-FLAGS` (3.2.2). Later versions may go on after that.
fn is_parent(text: &str) -> bool {
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_set = |part: &str| part.bytes().any(|byte| byte != b'0');
    let mut parts = text.splitn(5, '-');
    let mut next = || parts.next().unwrap_or_default();
    let (version, trace, parent, flags) = (next(), next(), next(), next());
    let is_whole = version != "00" || parts.next().is_none();
    is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_set(trace)
        && is_hex(parent, 16)
        && is_set(parent)
        && is_hex(flags, 2)
        && is_whole
}

/// Is told of each attempt of a call, and says where in a trace it belongs. A [`TraceContext`] is one that says the same
/// of all.
pub trait Tracer: fmt::Debug + Send + Sync {
    /// A replica at this address is about to be asked.
    fn attempt(&self, address: &str) -> Box<dyn Attempt>;
}

/// One attempt, from its beginning on. Dropped when the call is given up.
pub trait Attempt: Send {
    /// What to send along.
    fn context(&self) -> Option<TraceContext>;
    /// The attempt ended: with an answer ([`Code::Ok`]), or with an error and its words.
    fn ended(&mut self, code: Code, why: &str);
}

impl Tracer for TraceContext {
    fn attempt(&self, _: &str) -> Box<dyn Attempt> {
        Box::new(self.clone())
    }
}

impl Attempt for TraceContext {
    fn context(&self) -> Option<TraceContext> {
        Some(self.clone())
    }

    fn ended(&mut self, _: Code, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    #[test]
    fn what_is_passed_on() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(TraceContext::new(good, "").is_some_and(|context| context.state.is_none()));
        assert!(TraceContext::new(good, "a=1,b=2").is_some_and(|context| context.state.is_some()));
        assert!(TraceContext::new(good, "ü\n").is_some_and(|context| context.state.is_none()));
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert!(TraceContext::new(later, "").is_some());
        let wrong = [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ];
        for text in wrong {
            assert_eq!(TraceContext::new(text, ""), None, "{text}");
        }
    }
}
