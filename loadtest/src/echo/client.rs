//! Asks an echo.

use std::sync::Arc;

use futures_util::Stream;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{Blob, STREAM, UNARY, path};
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

    /// Opens a stream.
    ///
    /// # Errors
    /// The status, when it is not taken.
    pub async fn stream(
        &self,
        number: u64,
        blobs: impl Stream<Item = Blob> + Send + 'static,
    ) -> Result<Streaming<Blob>, Status> {
        let mut grpc = self.grpc(number).await?;
        let answers = grpc.streaming(Request::new(blobs), path(STREAM), ProstCodec::default()).await?;
        Ok(answers.into_inner())
    }
}
