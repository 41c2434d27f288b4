//! Compression of messages, as `grpc-encoding` and `grpc-accept-encoding` have it.
//!
//! Each tonic service has to be given what it takes and sends:
//! `XServer::new(..).accept_compressed(COMPRESSION).send_compressed(COMPRESSION)`. Its limit on messages then holds for
//! what they unpack to; no more than that is ever unpacked.

use prost::Message;
use tonic::Response;
use tonic::codec::CompressionEncoding;

/// What requests may be compressed with, and what responses are compressed with for callers that accept it.
pub const COMPRESSION: CompressionEncoding = CompressionEncoding::Gzip;

/// The smallest response that is compressed. Clients of some languages accept compression unasked, and packing a small
/// message costs more than it saves.
pub const MIN_COMPRESSED_BYTES: usize = 1024;

/// The response with this message, compressed where the caller accepts it and the message is large enough.
pub fn respond<M: Message>(message: M) -> Response<M> {
    let small = message.encoded_len() < MIN_COMPRESSED_BYTES;
    let mut response = Response::new(message);
    if small {
        response.disable_compression();
    }
    response
}
