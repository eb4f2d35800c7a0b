//! Answers to many questions of `CheckFlow`, as they go on the wire.

use gavel_proto::v1 as pb;

use super::flow_answer::FlowAnswer;
use super::write::{message, number};

/// Of which message the results are a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    /// `BatchCheckFlowResponse`.
    Batch,
    /// `StreamCheckFlowResponse`; the number of its first question.
    Stream(u64),
}

/// Results, in the order of the questions: a `BatchCheckFlowResponse` or `StreamCheckFlowResponse` on the wire.
#[derive(Clone, Debug)]
pub(crate) struct FlowResults {
    bytes: Vec<u8>,
    count: usize,
    whole: Whole,
}

impl FlowResults {
    /// Room for about so many.
    pub(crate) fn new(whole: Whole, results: usize) -> Self {
        // Verdicts alone take some twenty bytes; the rest grows as it comes.
        let mut bytes = Vec::with_capacity(results.saturating_mul(32));
        if let Whole::Stream(first) = whole {
            number(&mut bytes, 1, first);
        }
        Self { bytes, count: 0, whole }
    }

    /// The next question was answered.
    pub(crate) fn answer(&mut self, answer: &FlowAnswer) {
        self.result(|out| message(out, 1, |out| out.extend_from_slice(answer.bytes())));
    }

    /// The next question has no answer.
    pub(crate) fn error(&mut self, error: &pb::QuestionError) {
        self.result(|out| prost::encoding::message::encode(2, error, out));
    }

    fn result(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let field = match self.whole {
            Whole::Batch => 1,
            Whole::Stream(_) => 2,
        };
        message(&mut self.bytes, field, write);
        self.count += 1;
    }

    /// How many results there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The whole, with the revision that answered, and how old what it was made from is.
    pub(crate) fn into_bytes(self, revision: u64, staleness: Option<&pbjson_types::Duration>) -> Vec<u8> {
        let Self { mut bytes, count: _, whole } = self;
        let field = match whole {
            Whole::Batch => 2,
            Whole::Stream(_) => 3,
        };
        number(&mut bytes, field, revision);
        if let Some(staleness) = staleness {
            prost::encoding::message::encode(field + 1, staleness, &mut bytes);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn they_are_the_message() {
        let error = pb::QuestionError { code: 3, message: "no".into(), field: "port".into() };
        let empty = pb::CheckFlowResult {
            result: Some(pb::check_flow_result::Result::Answer(pb::CheckFlowResponse::default())),
        };
        let bad = pb::CheckFlowResult { result: Some(pb::check_flow_result::Result::Error(error.clone())) };
        let staleness = pbjson_types::Duration { seconds: 7, nanos: 9 };
        let write = |whole, staleness| {
            let mut results = FlowResults::new(whole, 2);
            results.answer(&FlowAnswer::default());
            results.error(&error);
            assert_eq!(results.count(), 2);
            results.into_bytes(300, staleness)
        };
        let batch = pb::BatchCheckFlowResponse {
            results: vec![empty.clone(), bad.clone()],
            revision: 300,
            staleness: Some(staleness),
        };
        assert_eq!(write(Whole::Batch, Some(&staleness)), batch.encode_to_vec());
        let stream = pb::StreamCheckFlowResponse {
            first: 1000,
            results: vec![empty, bad],
            revision: 300,
            staleness: None,
        };
        assert_eq!(write(Whole::Stream(1000), None), stream.encode_to_vec());
    }
}
