//! The text of server-sent events, and the body of an answer that is a stream of them.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt, stream};
use runtime::Shutdown;
use serde::Serialize;

use super::Place;
use crate::Inner;

/// The interval of keep-alive comments: proxies close connections that are silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// The text of an event with a name. An empty `id` is left out: the client's last one stays.
pub(crate) fn event(id: &str, name: &str, data: &impl Serialize) -> Bytes {
    // Serialization of the interface's types cannot fail. JSON has no line breaks.
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = if id.is_empty() { String::new() } else { format!("id: {id}\n") };
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}

/// The text of an event that has an id alone.
pub(crate) fn position(id: &str) -> Bytes {
    Bytes::from(format!("id: {id}\n\n"))
}

/// The JSON of an event's text.
pub(crate) fn data(event: &[u8]) -> Option<&[u8]> {
    let lines = event.split(|byte| *byte == b'\n');
    lines.into_iter().find_map(|line| line.strip_prefix(b"data: "))
}

/// A stream of texts that occupies a place.
struct Open {
    events: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    place: Place,
    draining: Shutdown,
    /// The last event of a stream whose key is revoked.
    farewell: Bytes,
}

/// The body of an answer. It ends with `events`, with `farewell` when the caller's key is revoked, or when the gateway drains.
pub(crate) fn body(
    inner: &Arc<Inner>,
    place: Place,
    events: impl Stream<Item = Bytes> + Send + 'static,
    farewell: Bytes,
) -> Body {
    let open = Open { events: Box::pin(events), place, draining: inner.draining.clone(), farewell };
    let texts = stream::unfold(Some(open), async |open| {
        let mut open = open?;
        let next = tokio::select! {
            () = open.place.revoked() => return Some((open.farewell, None)),
            () = open.draining.begun() => return None,
            next = tokio::time::timeout(KEEP_ALIVE, open.events.next()) => next,
        };
        match next {
            Ok(text) => Some((text?, Some(open))),
            Err(_) => Some((COMMENT, Some(open))),
        }
    });
    Body::from_stream(texts.map(Ok::<_, std::convert::Infallible>))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_event_is_that_of_the_standard() {
        let text = event("1.7", "change", &serde_json::json!({"a": "line\nbreak"}));
        assert_eq!(text, "id: 1.7\nevent: change\ndata: {\"a\":\"line\\nbreak\"}\n\n");
        assert_eq!(data(&text).unwrap(), br#"{"a":"line\nbreak"}"#);
        assert_eq!(event("", "open", &1), "event: open\ndata: 1\n\n");
        assert_eq!((position("1.7").as_ref(), data(&position("1.7"))), (&b"id: 1.7\n\n"[..], None));
    }
}
