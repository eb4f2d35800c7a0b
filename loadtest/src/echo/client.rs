//! Asks an echo.

use std::sync::Arc;

use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use prost::Message as _;

use super::{Blob, STREAM, UNARY, path};
use crate::stream::{Dialogue, Messages, Opening};
use crate::target::channel;

/// Connections to an echo. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EchoClient {
    channels: Arc<[Channel]>,
}

impl EchoClient {
    /// Opens so many connections.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn connect(address: &str, connections: usize) -> anyhow::Result<Self> {
        let mut channels = Vec::new();
        for _ in 0..connections.max(1) {
            channels.push(channel(address, None).await?);
        }
        Ok(Self { channels: channels.into() })
    }

    async fn grpc(&self, number: u64) -> Result<Grpc<Channel>, Status> {
        let count = self.channels.len() as u64;
        let channel = &self.channels[usize::try_from(number % count).unwrap_or_default()];
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(grpc)
    }

    /// Sends a message and takes the answer, by the connection whose turn it is.
    ///
    /// # Errors
    /// The status, when there is no answer.
    pub async fn unary(&self, number: u64, blob: Blob) -> Result<Blob, Status> {
        let mut grpc = self.grpc(number).await?;
        let answer = grpc.unary(Request::new(blob), path(UNARY), ProstCodec::default()).await?;
        Ok(answer.into_inner())
    }
}

/// Messages of one size that are sent again and again by streams.
#[derive(Clone, Debug)]
pub struct EchoStream {
    /// Whom.
    pub client: EchoClient,
    /// The message.
    pub blob: Blob,
}

impl Dialogue for EchoStream {
    type Question = Blob;
    type Answer = Blob;

    fn question(&self, _: u64) -> Blob {
        self.blob.clone()
    }

    fn open(&self, number: u64, questions: Messages<Blob>) -> Opening<Blob> {
        let client = self.client.clone();
        Box::pin(async move {
            let mut grpc = client.grpc(number).await?;
            let answers = grpc.streaming(Request::new(questions), path(STREAM), ProstCodec::default());
            Ok(answers.await?.into_inner())
        })
    }

    fn answered(&self, answer: &Blob) -> Result<usize, String> {
        if answer.encoded_len() == self.blob.answer_bytes as usize {
            return Ok(1);
        }
        Err(format!("{} bytes instead of {}", answer.encoded_len(), self.blob.answer_bytes))
    }
}
