//! Server-sent events, as a client reads them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Response;
use serde_json::Value;

/// Longest wait for an event.
const WITHIN: Duration = Duration::from_secs(10);

/// A stream of events.
pub struct Events {
    response: Response,
    read: String,
    id: String,
}

impl Events {
    pub(crate) fn of(response: Response) -> Result<Self> {
        let media = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        ensure!(media == "text/event-stream", "status {}, {media}", response.status());
        Ok(Self { response, read: String::new(), id: String::new() })
    }

    /// The next event: its name and its data. Comments that keep the connection alive are skipped.
    ///
    /// # Errors
    /// When the stream ends, or nothing comes.
    pub async fn next(&mut self) -> Result<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let Some(id) = field("id:") {
                    self.id = id.to_owned();
                }
                let found = field("event:").zip(field("data:"));
                let found = found.map(|(name, data)| (name.to_owned(), serde_json::from_str(data)));
                self.read = rest.to_owned();
                if let Some((name, data)) = found {
                    return Ok((name, data?));
                }
            }
            let part = tokio::time::timeout(WITHIN, self.response.chunk()).await.context("no event comes")?;
            self.read.push_str(std::str::from_utf8(&part?.context("the stream has ended")?)?);
        }
    }

    /// The id of the last event, from which a client resumes.
    pub fn last_id(&self) -> &str {
        &self.id
    }

    /// Whether the stream ends with nothing more in it.
    ///
    /// # Errors
    /// When it stays open.
    pub async fn ended(&mut self) -> Result<bool> {
        let part = tokio::time::timeout(WITHIN, self.response.chunk()).await.context("the stream stays open")?;
        // A connection that is cut is an end too.
        Ok(self.read.is_empty() && part.ok().flatten().is_none())
    }
}
