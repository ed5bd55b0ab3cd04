//! gRPC calls whose messages are whatever bytes a test likes.

use bytes::{Buf, BufMut};
use proto::connection::Connection;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Bytes in the place of messages.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = message.remaining();
        Ok(Some(message.copy_to_bytes(length).to_vec()))
    }
}

/// A connection of a peer that has the token and no manners.
#[derive(Clone)]
pub struct Raw {
    channel: Channel,
    token: AsciiMetadataValue,
}

/// Bytes that a stream may send this peer unread, and a connection: the least that there is.
pub const WINDOW: u32 = 65_535;

impl Raw {
    pub async fn connect(connection: &Connection) -> Self {
        let endpoint = Endpoint::new(connection.url.clone()).expect("a good address");
        let endpoint = endpoint.initial_stream_window_size(WINDOW);
        let channel = endpoint.connect().await.expect("it answers");
        let token = format!("Bearer {}", connection.token.reveal());
        Self { channel, token: token.parse().expect("a good token") }
    }

    /// Sends `messages` to a method, as `Sweeps/List`, and no more; what comes back.
    pub async fn call(
        &self,
        method: &str,
        messages: Vec<Vec<u8>>,
    ) -> Result<Streaming<Vec<u8>>, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.expect("it is connected");
        let mut request = Request::new(tokio_stream::iter(messages));
        request.metadata_mut().insert("authorization", self.token.clone());
        let path = format!("/gradsweep.v1.{method}").parse::<PathAndQuery>().expect("a path");
        grpc.streaming(request, path, Bytes).await.map(|reply| reply.into_inner())
    }

    /// The same, up to the first answer.
    pub async fn ask(
        &self,
        method: &str,
        messages: Vec<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, Status> {
        self.call(method, messages).await?.message().await
    }
}
