//! One request and its answer, as its connection sees them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{Request, Version, header},
};
use hyper::body::{Frame, SizeHint};

use super::activity::Activity;

/// A request that is not answered in full.
pub(super) struct Exchange {
    activity: Arc<Activity>,
    number: u64,
    /// Whether the head gives two lengths of the body.
    pub(super) is_ambiguous: bool,
}

impl Exchange {
    pub(super) fn begin<B>(activity: Arc<Activity>, request: &Request<B>) -> Self {
        let (number, head) = activity.begin(request.version() == Version::HTTP_2);
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        Self { activity, number, is_ambiguous: chunked && has_content_length(&head) }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.end(self.number, Instant::now());
    }
}

/// Whether a head has the header `Content-Length`. The parser drops it beside `Transfer-Encoding`.
fn has_content_length(head: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length:";
    let lines = head.split(|byte| *byte == b'\n');
    let lines = lines.take_while(|line| !line.is_empty() && *line != b"\r");
    lines.into_iter().any(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
}

/// The body of an answer. The exchange ends with it.
pub(super) struct AnswerBody {
    body: Body,
    exchange: Exchange,
}

impl AnswerBody {
    pub(super) fn new(body: Body, exchange: Exchange) -> Self {
        // The head of the answer is the first part that the client has to take.
        exchange.activity.offered(exchange.number, Instant::now());
        Self { body, exchange }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    /// The connection asks for the next part when the client has taken the last one.
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        let Exchange { activity, number, .. } = &this.exchange;
        match &polled {
            Poll::Ready(Some(Ok(_))) => activity.offered(*number, Instant::now()),
            _ => activity.taken(*number),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_length_is_found_in_the_head_alone() {
        let head = |lines: &str| format!("POST / HTTP/1.1\r\n{lines}\r\n\r\ncontent-length: 3\r\n");
        for (lines, expected) in [
            ("Transfer-Encoding: chunked\r\nContent-Length: 3", true),
            ("CONTENT-LENGTH:3\r\ntransfer-encoding: chunked", true),
            ("transfer-encoding: chunked\r\nx-content-length: 3", false),
            ("transfer-encoding: chunked", false),
        ] {
            assert_eq!(has_content_length(head(lines).as_bytes()), expected, "{lines}");
        }
        assert!(!has_content_length(b""));
    }
}
