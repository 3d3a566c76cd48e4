//! A browser: it asks for pages, and follows no redirection by itself.

use anyhow::{Context, Result};
use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use scenarios::Product;

/// What browsers send.
pub(super) const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

pub(super) struct Browser {
    client: reqwest::Client,
    url: String,
    language: &'static str,
}

/// An answer to a browser.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Browser {
    pub(super) fn new(product: &Product) -> Result<Self> {
        // The first client sets the implementation of cryptography up.
        drop(testkit::http::client());
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, url: product.url.clone(), language: "en-GB,en;q=0.9" })
    }

    /// The same with another `Accept-Language`.
    pub(super) fn speaking(self, language: &'static str) -> Self {
        Self { language, ..self }
    }

    pub(super) async fn open(&self, path: &str) -> Result<Page> {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    /// Sends a form.
    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Page> {
        self.send(self.client.post(format!("{}{path}", self.url)).form(fields)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Page> {
        let request = request.header("accept", ACCEPT).header("accept-language", self.language);
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Page { status, headers, text: response.text().await? })
    }
}

impl Page {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The address to which the answer sends the browser.
    pub(super) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.header("location")
    }

    /// The value of the form's hidden field.
    pub(super) fn field(&self, name: &str) -> Result<String> {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\"")).context("a field")?;
        Ok(rest.split('"').next().unwrap_or_default().to_owned())
    }

    /// The addresses of the links that contain a text.
    pub(super) fn links(&self, part: &str) -> Vec<String> {
        let links = self.text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        // `&` of an address is escaped.
        links.map(|link| link.replace("&#38;", "&")).filter(|link| link.contains(part)).collect()
    }

    /// Checks what holds for every page.
    pub(super) fn checked(self) -> Self {
        let header = |name| self.header(name);
        let policy = "default-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";
        assert_eq!(header("content-security-policy"), policy, "{}", self.status);
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!((header("referrer-policy"), header("x-robots-tag")), ("no-referrer", "noindex"));
        assert_eq!((header("x-content-type-options"), header("x-frame-options")), ("nosniff", "DENY"));
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert!(!self.headers.contains_key("set-cookie"));
        if self.status != StatusCode::SEE_OTHER {
            let text = &self.text;
            assert_eq!((text.matches("<h1").count(), text.matches("<html lang=").count()), (1, 1), "{text}");
            for forbidden in ["<script", " style=", "<style", "<img"] {
                assert!(!text.contains(forbidden), "{forbidden}: {text}");
            }
        }
        self
    }
}
