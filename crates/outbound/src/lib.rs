//! HTTP requests to URLs that users give, safe against server-side request forgery.
//!
//! A user's URL must not reach what only this process can: the internal network, the cloud's metadata service, this machine.
//! The connection's own resolver checks each address after it resolved the host name, so that a name cannot resolve to one
//! address for the check and to another for the connection (DNS rebinding). Each redirect is checked, too. Start reading at
//! [`Client::get`] and [`Client::post`]; `address.rs` lists the public addresses.

#![warn(clippy::unwrap_used)]

mod address;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, LOCATION, RETRY_AFTER},
    redirect::Policy,
};

pub use self::address::is_public;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REDIRECTS_MAX: usize = 3;

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no `http` or `https` URL.
    #[error("give an address that begins with https:// or http://")]
    Address,
    /// The URL is not `https`.
    #[error("give an address that begins with https://")]
    Insecure,
    /// The host is not on the public internet.
    #[error("the address is not on the public internet")]
    Private,
    /// The host does not answer, or not in time.
    #[error("nobody answers at this address")]
    Unreachable,
    /// More than three redirects.
    #[error("the address leads elsewhere again and again")]
    Redirects,
    /// The server answered with this status, not with success.
    #[error("the address answers with the status {0}")]
    Status(u16),
    /// The body exceeds the limit.
    #[error("what is there is too large")]
    TooLarge,
    /// The body is not UTF-8.
    #[error("what is there is not UTF-8 text")]
    NotText,
}

impl Error {
    /// A stable code, for the API and for logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Address => "invalid_url",
            Self::Insecure => "insecure_url",
            Self::Private => "private_address",
            Self::Unreachable => "unreachable",
            Self::Redirects => "too_many_redirects",
            Self::Status(_) => "refused_by_server",
            Self::TooLarge => "too_large",
            Self::NotText => "not_text",
        }
    }
}

/// The answer to [`Client::post`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostResponse {
    /// The HTTP status.
    pub status: u16,
    /// The header `retry-after`, where it holds seconds.
    pub retry_after: Option<Duration>,
}

/// A client for URLs that users give.
#[derive(Clone)]
pub struct Client {
    /// `None` where TLS cannot be set up, as on a machine without certificates; then each request is `Unreachable`.
    http: Option<reqwest::Client>,
    allow_private: bool,
}

/// A client of HTTP with the product's one implementation of cryptography, which reqwest does not bring itself.
pub fn client_builder() -> reqwest::ClientBuilder {
    // It fails only where a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

impl Client {
    /// A client; with `allow_private` it reaches private addresses, for installations that trust their users with that.
    pub fn new(allow_private: bool) -> Self {
        let builder = client_builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver { allow_private }));
        Self { http: builder.build().ok(), allow_private }
    }

    /// Fetches a text of at most `bytes_max` bytes. `webcal` URLs count as `https`.
    ///
    /// # Errors
    /// All but `Insecure`.
    pub async fn get(&self, address: &str, bytes_max: usize) -> Result<String, Error> {
        let address = match address.split_once("://") {
            Some(("webcal" | "webcals", rest)) => format!("https://{rest}"),
            _ => address.to_owned(),
        };
        let mut url = Url::parse(&address).map_err(|_| Error::Address)?;
        for _ in 0..=REDIRECTS_MAX {
            self.check_host(&url)?;
            let http = self.http.as_ref().ok_or(Error::Unreachable)?;
            let response = http.get(url.clone()).send().await.map_err(|error| classify(&error))?;
            if response.status().is_redirection() {
                let next = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                url = next.and_then(|next| url.join(next).ok()).ok_or(Error::Status(response.status().as_u16()))?;
                continue;
            }
            if !response.status().is_success() {
                return Err(Error::Status(response.status().as_u16()));
            }
            return read_text(response, bytes_max).await;
        }
        Err(Error::Redirects)
    }

    /// Posts JSON with these headers, once. Follows no redirect and does not read the body of the answer.
    ///
    /// # Errors
    /// `Address`, `Private` and `Unreachable`.
    pub async fn post(
        &self,
        address: &str,
        headers: &[(&'static str, &str)],
        json: &str,
    ) -> Result<PostResponse, Error> {
        let url = Url::parse(address).map_err(|_| Error::Address)?;
        self.check_host(&url)?;
        let http = self.http.as_ref().ok_or(Error::Unreachable)?;
        let mut request = http.post(url).header(CONTENT_TYPE, "application/json").body(json.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.map_err(|error| classify(&error))?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        Ok(PostResponse { status: response.status().as_u16(), retry_after })
    }

    /// Checks a URL before it is stored: its scheme is `https` (or `http` where private addresses are allowed), and its host
    /// name resolves to a public address. A name that does not resolve yet passes.
    ///
    /// # Errors
    /// `Address`, `Insecure` and `Private`.
    pub async fn check_url(&self, address: &str) -> Result<(), Error> {
        let url = Url::parse(address).map_err(|_| Error::Address)?;
        self.check_host(&url)?;
        if !self.allow_private && url.scheme() != "https" {
            return Err(Error::Insecure);
        }
        let Some(name) = url.domain() else { return Ok(()) };
        let resolved = tokio::time::timeout(CONNECT_TIMEOUT, resolve(name, self.allow_private)).await;
        match resolved {
            Ok(Err(error)) if is_private(error.as_ref()) => Err(Error::Private),
            _ => Ok(()),
        }
    }

    /// Checks the scheme, and a numeric host, which never reaches the resolver.
    fn check_host(&self, url: &Url) -> Result<(), Error> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Address);
        }
        let host = url.host_str().ok_or(Error::Address)?;
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if address.is_ok_and(|address| !self.allow_private && !is_public(address)) {
            Err(Error::Private)
        } else {
            Ok(())
        }
    }
}

async fn read_text(mut response: reqwest::Response, bytes_max: usize) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(Error::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Error::NotText)
}

/// `Private` where the resolver refused the host, else `Unreachable`.
fn classify(error: &reqwest::Error) -> Error {
    let private = std::error::Error::source(error).is_some_and(is_private);
    if private { Error::Private } else { Error::Unreachable }
}

fn is_private(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.downcast_ref::<Error>() == Some(&Error::Private) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Resolves host names to public addresses only, unless private ones are allowed.
struct Resolver {
    allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let allowed = resolve(name.as_str(), allow_private).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The public addresses of a host name; with `allow_private` all of them.
async fn resolve(name: &str, allow_private: bool) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let found: Vec<_> = tokio::net::lookup_host((name, 0)).await?.collect();
    let exists = !found.is_empty();
    let allowed: Vec<_> = found.into_iter().filter(|found| allow_private || is_public(found.ip())).collect();
    if exists && allowed.is_empty() { Err(Box::new(Error::Private)) } else { Ok(allowed) }
}

#[cfg(test)]
mod tests {
    use testkit::http::Pages;

    use super::*;

    #[tokio::test]
    async fn a_text_is_fetched_within_its_limits() {
        let pages = Pages::serve().await.unwrap();
        pages.say("/ok", 200, "", "é".as_bytes());
        pages.say("/moved", 301, "/ok", b"");
        pages.say("/round", 302, "/round", b"");
        pages.say("/elsewhere", 302, "file:///etc/passwd", b"");
        pages.say("/large", 200, "", &[b'a'; 1001]);
        pages.say("/bytes", 200, "", &[0xff, 0xfe]);
        pages.say("/broken", 500, "", b"");
        let client = Client::new(true);
        let get = async |path: &str| client.get(&format!("{}{path}", pages.url), 1000).await;
        assert_eq!(get("/ok").await, Ok("é".to_owned()));
        assert_eq!(get("/moved").await, Ok("é".to_owned()));
        assert_eq!(get("/round").await, Err(Error::Redirects));
        assert_eq!(get("/elsewhere").await, Err(Error::Address), "each redirect is checked");
        assert_eq!(get("/large").await, Err(Error::TooLarge));
        assert_eq!(get("/bytes").await, Err(Error::NotText));
        assert_eq!(get("/broken").await, Err(Error::Status(500)));
        let nobody = testkit::port::Port::free().unwrap();
        assert_eq!(client.get(&nobody.url(), 1000).await, Err(Error::Unreachable));
        for wrong in ["", "a.ics", "file:///etc/passwd", "ftp://example.org/a"] {
            assert_eq!(client.get(wrong, 1000).await, Err(Error::Address), "{wrong}");
        }
    }

    #[tokio::test]
    async fn neither_a_numeric_nor_a_named_host_reaches_this_machine() {
        let pages = Pages::serve().await.unwrap();
        pages.say("/ok", 200, "", b"secret");
        let client = Client::new(false);
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
            let address = format!("http://{host}:{}/ok", pages.port);
            assert_eq!(client.get(&address, 1000).await, Err(Error::Private), "{address}");
        }
    }

    #[tokio::test]
    async fn a_post_arrives_once_and_follows_no_redirect() {
        let pages = Pages::serve().await.unwrap();
        pages.say("/moved", 307, "/ok", b"");
        pages.say("/ok", 204, "", b"");
        pages.retry_after("/busy", 503, "30");
        pages.retry_after("/late", 429, "Wed, 21 Oct 2026 07:28:00 GMT");
        let client = Client::new(true);
        let post = async |path: &str| client.post(&format!("{}{path}", pages.url), &[("x-id", "1")], "{}").await;
        let posted =
            |status, seconds: Option<u64>| PostResponse { status, retry_after: seconds.map(Duration::from_secs) };
        assert_eq!(post("/ok").await, Ok(posted(204, None)));
        assert_eq!(post("/moved").await, Ok(posted(307, None)));
        assert_eq!(post("/busy").await, Ok(posted(503, Some(30))));
        assert_eq!(post("/late").await, Ok(posted(429, None)), "only seconds are supported");
        let received = pages.received();
        assert_eq!(received.iter().filter(|request| request.path == "/ok").count(), 1, "the redirect was not followed");
        let first = &received[0];
        assert_eq!((first.headers["x-id"].as_str(), first.headers["content-type"].as_str()), ("1", "application/json"));
        assert_eq!(first.body, "{}");
        let nobody = testkit::port::Port::free().unwrap();
        assert_eq!(client.post(&nobody.url(), &[], "").await, Err(Error::Unreachable));
        assert_eq!(client.post("file:///etc/passwd", &[], "").await, Err(Error::Address));
        for host in ["127.0.0.1", "localhost"] {
            let address = format!("http://{host}:{}/ok", pages.port);
            assert_eq!(Client::new(false).post(&address, &[], "").await, Err(Error::Private), "{address}");
        }
    }

    #[tokio::test]
    async fn a_url_is_checked_before_it_is_stored() {
        let (open, closed) = (Client::new(true), Client::new(false));
        for address in ["https://localhost/", "https://10.0.0.1/", "https://[::ffff:10.0.0.1]/"] {
            assert_eq!(closed.check_url(address).await, Err(Error::Private), "{address}");
        }
        for address in ["", "example.org", "ftp://example.org/"] {
            assert_eq!(closed.check_url(address).await, Err(Error::Address), "{address}");
        }
        assert_eq!(closed.check_url("http://1.1.1.1/").await, Err(Error::Insecure));
        for address in ["https://1.1.1.1/", "https://no-such-name.invalid/"] {
            assert_eq!(closed.check_url(address).await, Ok(()), "{address}");
        }
        assert_eq!(open.check_url("http://localhost/").await, Ok(()));
    }
}
