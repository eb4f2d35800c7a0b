//! How questions are read and answers written: by prost, unless an answer is in bytes already.

use std::marker::PhantomData;

use bytes::BufMut as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

use crate::decide::FlowAnswer;

/// What is sent.
pub(super) trait Answered: Send + 'static {
    /// Writes it.
    fn write(self, out: &mut EncodeBuf<'_>);
}

impl<M: Message + 'static> Answered for M {
    fn write(self, out: &mut EncodeBuf<'_>) {
        out.reserve(self.encoded_len());
        // There is room for it, and nothing else can go wrong.
        let _ = self.encode(out);
    }
}

impl Answered for FlowAnswer {
    fn write(self, out: &mut EncodeBuf<'_>) {
        Written(self.into_bytes()).write(out);
    }
}

/// A message that was written already.
#[derive(Debug)]
pub(super) struct Written(pub(super) Vec<u8>);

impl Answered for Written {
    fn write(self, out: &mut EncodeBuf<'_>) {
        out.reserve(self.0.len());
        out.put_slice(&self.0);
    }
}

/// Reads questions `Q`, writes answers `A`.
#[derive(Debug)]
pub(super) struct Wire<Q, A> {
    /// Room for a question, to begin with, in bytes.
    question: usize,
    types: PhantomData<(Q, A)>,
}

/// Room for an answer, to begin with, in bytes: what malloc has at hand. tonic would take eight times as much.
const ANSWER: usize = 1 << 10;
/// Bytes of answers of a stream that are sent together, as tonic has it.
const TOGETHER: usize = 32 << 10;

impl<Q, A> Wire<Q, A> {
    /// Questions are of about so many bytes.
    pub(super) fn new(question: usize) -> Self {
        Self { question, types: PhantomData }
    }
}

impl<Q: Message + Default + 'static, A: Answered> Codec for Wire<Q, A> {
    type Encode = A;
    type Decode = Q;
    type Encoder = Answers<A>;
    type Decoder = Questions<Q>;

    fn encoder(&mut self) -> Answers<A> {
        Answers(PhantomData)
    }

    fn decoder(&mut self) -> Questions<Q> {
        Questions { inner: ProstDecoder::default(), room: self.question }
    }
}

/// Writes answers.
#[derive(Debug)]
pub(super) struct Answers<A>(PhantomData<A>);

impl<A: Answered> Encoder for Answers<A> {
    type Item = A;
    type Error = Status;

    fn encode(&mut self, item: A, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.write(out);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(ANSWER, TOGETHER)
    }
}

/// Reads questions.
#[derive(Debug)]
pub(super) struct Questions<Q> {
    inner: ProstDecoder<Q>,
    room: usize,
}

impl<Q: Message + Default> Decoder for Questions<Q> {
    type Item = Q;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Q>, Status> {
        self.inner.decode(from)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(self.room, TOGETHER)
    }
}
