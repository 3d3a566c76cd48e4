//! The framing of gRPC's messages (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use rpc::{Code, Fault};

use crate::server::KeptBody;

/// Bytes before a message: a flag of compression and the message's length.
const PREFIX: usize = 5;

/// Reads the one message of a request; `kept` counts its bytes.
///
/// # Errors
/// `payload_too_large`, `overloaded`, `unimplemented` for a compressed message, `malformed_request` for anything but one
/// message.
pub(super) async fn read(body: Body, bytes_max: usize, kept: &mut KeptBody) -> Result<Bytes, Fault> {
    let mut bytes = BytesMut::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Fault::new(Code::MalformedRequest, "the message broke off"))?;
        kept.grow(chunk.len())?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() > bytes_max + PREFIX {
            let detail = format!("a message may have at most {bytes_max} bytes");
            return Err(Fault::new(Code::PayloadTooLarge, detail));
        }
    }
    let mut bytes = bytes.freeze();
    let malformed = || Fault::new(Code::MalformedRequest, "a request holds exactly one message");
    if bytes.len() < PREFIX {
        return Err(malformed());
    }
    let prefix = bytes.split_to(PREFIX);
    if prefix[0] != 0 {
        return Err(Fault::new(Code::Unimplemented, "send messages without compression"));
    }
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if usize::try_from(length) == Ok(bytes.len()) { Ok(bytes) } else { Err(malformed()) }
}

/// A message with its prefix.
pub(super) fn write(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    // A message is at most as long as a request's body may be.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// The first message of an answer; empty if there is none.
pub(super) fn first(answer: &[u8]) -> &[u8] {
    answer.get(PREFIX..).unwrap_or_default()
}
