//! Compression of messages with `grpc-encoding` and `grpc-accept-encoding`.
//!
//! Enable it on each tonic service:
//! `XServer::new(..).accept_compressed(COMPRESSION).send_compressed(COMPRESSION)`. The service's message size
//! limit then applies to the decompressed size, and decompression stops at that limit.

use prost::Message;
use tonic::Response;
use tonic::codec::CompressionEncoding;

/// Encoding that requests may use, and that responses use for callers that accept it.
pub const COMPRESSION: CompressionEncoding = CompressionEncoding::Gzip;

/// Minimum size of a response that is compressed. Clients of some languages accept compression by default, and
/// compressing a small message costs more than it saves.
pub const MIN_COMPRESSED_BYTES: usize = 1024;

/// Creates a response that is compressed if the caller accepts it and the message is large enough.
pub fn respond<M: Message>(message: M) -> Response<M> {
    let small = message.encoded_len() < MIN_COMPRESSED_BYTES;
    let mut response = Response::new(message);
    if small {
        response.disable_compression();
    }
    response
}
