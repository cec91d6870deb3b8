//! Calls of any method with any bytes, as a caller without generated code could make them.

use prost::bytes::{Buf, BufMut};
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// A connection without generated code.
pub(crate) struct Raw(pub(crate) Channel);

impl Raw {
    /// Calls a method by its path.
    pub(crate) async fn call(&self, path: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
        self.call_showing(path, message, None).await
    }

    /// The same, with this `authorization`.
    pub(crate) async fn call_showing(
        &self,
        path: &str,
        message: Vec<u8>,
        authorization: Option<&str>,
    ) -> Result<Vec<u8>, Status> {
        let mut client = tonic::client::Grpc::new(self.0.clone());
        client.ready().await.unwrap();
        let path = PathAndQuery::try_from(path).unwrap();
        let mut request = Request::new(message);
        if let Some(value) = authorization {
            request.metadata_mut().insert("authorization", value.parse().unwrap());
        }
        client.unary(request, path, Bytes).await.map(Response::into_inner)
    }

    /// Calls a method with these messages, where it takes one.
    pub(crate) async fn call_with_each(&self, path: &str, messages: Vec<Vec<u8>>) -> Result<Vec<u8>, Status> {
        let mut client = tonic::client::Grpc::new(self.0.clone());
        client.ready().await.unwrap();
        let path = PathAndQuery::try_from(path).unwrap();
        let request = Request::new(tokio_stream::iter(messages));
        client.client_streaming(request, path, Bytes).await.map(Response::into_inner)
    }

    /// Makes a call whose request never ends, under a paused clock: one that nobody ends fails the test.
    pub(crate) async fn call_without_end(&self, path: &str) -> Result<Vec<u8>, Status> {
        let mut client = tonic::client::Grpc::new(self.0.clone());
        client.ready().await.unwrap();
        let path = PathAndQuery::try_from(path).unwrap();
        let request = Request::new(tokio_stream::pending());
        let call = client.client_streaming(request, path, Bytes);
        let answer = tokio::time::timeout(Duration::from_mins(10), call).await;
        answer.unwrap_or_else(|_| panic!("nobody ended the call")).map(Response::into_inner)
    }
}

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

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
