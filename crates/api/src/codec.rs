//! How messages are read and written: as tonic does it, with buffers that begin at the size of our messages.

use prost::Message;
use std::marker::PhantomData;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::ProstCodec;

/// Bytes that a buffer has at first. A login is asked and answered in a few hundred; tonic begins with 8 KiB for each, and
/// hundreds of calls at a time do not fit into a processor's cache then. Larger messages let it grow.
const FIRST: usize = 1_024;
/// Bytes that a stream gathers before it sends them, as tonic does.
const GATHERED: usize = 32 * 1_024;

/// `application/grpc+proto`. Named by the generated code.
#[derive(Debug)]
pub struct MessageCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(FIRST, GATHERED))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(FIRST, GATHERED))
    }
}
