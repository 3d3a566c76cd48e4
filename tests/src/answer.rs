//! An answer of the product.

use anyhow::Result;
use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::Value;

/// An answer: status, headers and JSON body.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null where there is none.
    pub body: Value,
}

impl Answer {
    /// A text of the body, by JSON pointer.
    ///
    /// # Panics
    /// When there is none.
    pub fn text(&self, pointer: &str) -> String {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no {pointer} in {}", self.body)).to_owned()
    }

    /// The `Meridian-Revision` of the answer.
    pub fn revision(&self) -> String {
        self.headers.get("meridian-revision").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }
}

/// Reads an answer.
pub(crate) async fn answer(response: Response) -> Result<Answer> {
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status, headers, body })
}
