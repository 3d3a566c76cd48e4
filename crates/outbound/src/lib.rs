//! HTTP to addresses that users give.
//!
//! Whoever may name an address must not reach through this process what only this process can: machines of the internal
//! network, the cloud's own metadata, this very machine. Every address is looked at after its name is resolved, by the
//! connection's own resolver, so that a name cannot be one thing when it is checked and another when it is used; and
//! again on each redirect. Start reading at [`Client::get`] and [`Client::post`]; which addresses are public is in
//! `address.rs`.

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

const WITHIN: Duration = Duration::from_secs(20);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const REDIRECTS_MAX: usize = 3;

/// Why nothing was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not an address that can be fetched.
    #[error("give an address that begins with https:// or http://")]
    Address,
    /// What is sent there could be read on the way.
    #[error("give an address that begins with https://")]
    Insecure,
    /// It is not on the public internet.
    #[error("the address is not on the public internet")]
    Private,
    /// Nobody answers there, or not in time.
    #[error("nobody answers at this address")]
    Unreachable,
    /// It leads elsewhere too often.
    #[error("the address leads elsewhere again and again")]
    Redirects,
    /// It answers with an error: this status.
    #[error("the address answers with the status {0}")]
    Status(u16),
    /// More than the limit.
    #[error("what is there is too large")]
    TooLarge,
    /// Not UTF-8.
    #[error("what is there is not UTF-8 text")]
    NotText,
}

impl Error {
    /// A stable code for people who look into it.
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

/// What a server answered to a [`Client::post`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The HTTP status.
    pub status: u16,
    /// How long it asks to be left alone, where it says so in seconds.
    pub retry_after: Option<Duration>,
}

/// A client for addresses that users give.
#[derive(Clone)]
pub struct Client {
    /// None where TLS cannot be set up, as on a machine without certificates: then nothing is reached.
    http: Option<reqwest::Client>,
    private: bool,
}

impl Client {
    /// A client; with `private` it reaches everything, for installations whose users are trusted with that.
    pub fn new(private: bool) -> Self {
        let builder = reqwest::Client::builder()
            .timeout(WITHIN)
            .connect_timeout(CONNECT_WITHIN)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver { private }));
        Self { http: builder.build().ok(), private }
    }

    /// Fetches text of at most so many bytes.
    ///
    /// # Errors
    /// Where the address is not public, or nothing good is there.
    pub async fn get(&self, address: &str, bytes_max: usize) -> Result<String, Error> {
        // Calendars are often given away under a scheme of their own.
        let address = match address.split_once("://") {
            Some(("webcal" | "webcals", rest)) => format!("https://{rest}"),
            _ => address.to_owned(),
        };
        let mut url = Url::parse(&address).map_err(|_| Error::Address)?;
        for _ in 0..=REDIRECTS_MAX {
            self.check(&url)?;
            let http = self.http.as_ref().ok_or(Error::Unreachable)?;
            let response = http.get(url.clone()).send().await.map_err(|error| failed(&error))?;
            if response.status().is_redirection() {
                let next = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                url = next.and_then(|next| url.join(next).ok()).ok_or(Error::Status(response.status().as_u16()))?;
                continue;
            }
            if !response.status().is_success() {
                return Err(Error::Status(response.status().as_u16()));
            }
            return text(response, bytes_max).await;
        }
        Err(Error::Redirects)
    }

    /// Sends JSON with these headers, once. It follows no redirect, and reads nothing of the answer but its head.
    ///
    /// # Errors
    /// Where the address is not public, or nobody answers.
    pub async fn post(&self, address: &str, headers: &[(&'static str, &str)], json: &str) -> Result<Posted, Error> {
        let url = Url::parse(address).map_err(|_| Error::Address)?;
        self.check(&url)?;
        let http = self.http.as_ref().ok_or(Error::Unreachable)?;
        let mut request = http.post(url).header(CONTENT_TYPE, "application/json").body(json.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.map_err(|error| failed(&error))?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        Ok(Posted { status: response.status().as_u16(), retry_after })
    }

    /// Whether an address may be used, as far as can be told now: it leads over `https`, or where everything may be
    /// reached over `http`, and its name leads to the public internet. One whose name leads nowhere yet may be used.
    ///
    /// # Errors
    /// `Address`, `Insecure` and `Private`.
    pub async fn may_use(&self, address: &str) -> Result<(), Error> {
        let url = Url::parse(address).map_err(|_| Error::Address)?;
        self.check(&url)?;
        if !self.private && url.scheme() != "https" {
            return Err(Error::Insecure);
        }
        let Some(name) = url.domain() else { return Ok(()) };
        let found = tokio::time::timeout(CONNECT_WITHIN, public(name, self.private)).await;
        match found {
            Ok(Err(error)) if is_private(error.as_ref()) => Err(Error::Private),
            _ => Ok(()),
        }
    }

    /// A number in the place of a name never comes to the resolver.
    fn check(&self, url: &Url) -> Result<(), Error> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Address);
        }
        let host = url.host_str().ok_or(Error::Address)?;
        let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if number.is_ok_and(|address| !self.private && !is_public(address)) { Err(Error::Private) } else { Ok(()) }
    }
}

async fn text(mut response: reqwest::Response, bytes_max: usize) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| failed(&error))? {
        if bytes.len() + part.len() > bytes_max {
            return Err(Error::TooLarge);
        }
        bytes.extend_from_slice(&part);
    }
    String::from_utf8(bytes).map_err(|_| Error::NotText)
}

/// Only what the resolver refused has its mark among the causes.
fn failed(error: &reqwest::Error) -> Error {
    let private = std::error::Error::source(error).is_some_and(is_private);
    if private { Error::Private } else { Error::Unreachable }
}

fn is_private(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<Error>() == Some(&Error::Private) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Resolves names to public addresses alone.
struct Resolver {
    private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let allowed = public(name.as_str(), private).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The public addresses of a name, or with `private` all of them.
async fn public(name: &str, private: bool) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let found: Vec<_> = tokio::net::lookup_host((name, 0)).await?.collect();
    let any = !found.is_empty();
    let allowed: Vec<_> = found.into_iter().filter(|found| private || is_public(found.ip())).collect();
    if any && allowed.is_empty() { Err(Box::new(Error::Private)) } else { Ok(allowed) }
}

#[cfg(test)]
mod tests {
    use testkit::http::Pages;

    use super::*;

    #[tokio::test]
    async fn what_is_there_is_fetched_within_its_limits() {
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
        assert_eq!(get("/elsewhere").await, Err(Error::Address), "each redirect is looked at");
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
    async fn neither_a_number_nor_a_name_leads_inside() {
        let pages = Pages::serve().await.unwrap();
        pages.say("/ok", 200, "", b"secret");
        let client = Client::new(false);
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
            let address = format!("http://{host}:{}/ok", pages.port);
            assert_eq!(client.get(&address, 1000).await, Err(Error::Private), "{address}");
        }
    }

    #[tokio::test]
    async fn what_is_sent_arrives_once_and_follows_no_redirect() {
        let pages = Pages::serve().await.unwrap();
        pages.say("/moved", 307, "/ok", b"");
        pages.say("/ok", 204, "", b"");
        pages.retry_after("/busy", 503, "30");
        pages.retry_after("/late", 429, "Wed, 21 Oct 2026 07:28:00 GMT");
        let client = Client::new(true);
        let post = async |path: &str| client.post(&format!("{}{path}", pages.url), &[("x-id", "1")], "{}").await;
        let posted = |status, seconds: Option<u64>| Posted { status, retry_after: seconds.map(Duration::from_secs) };
        assert_eq!(post("/ok").await, Ok(posted(204, None)));
        assert_eq!(post("/moved").await, Ok(posted(307, None)));
        assert_eq!(post("/busy").await, Ok(posted(503, Some(30))));
        assert_eq!(post("/late").await, Ok(posted(429, None)), "only seconds are understood");
        let received = pages.received();
        assert_eq!(received.iter().filter(|one| one.path == "/ok").count(), 1, "the redirect was not followed");
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
    async fn an_address_is_looked_at_before_it_is_used() {
        let (open, closed) = (Client::new(true), Client::new(false));
        for address in ["https://localhost/", "https://10.0.0.1/", "https://[::ffff:10.0.0.1]/"] {
            assert_eq!(closed.may_use(address).await, Err(Error::Private), "{address}");
        }
        for address in ["", "example.org", "ftp://example.org/"] {
            assert_eq!(closed.may_use(address).await, Err(Error::Address), "{address}");
        }
        assert_eq!(closed.may_use("http://1.1.1.1/").await, Err(Error::Insecure));
        for address in ["https://1.1.1.1/", "https://no-such-name.invalid/"] {
            assert_eq!(closed.may_use(address).await, Ok(()), "{address}");
        }
        assert_eq!(open.may_use("http://localhost/").await, Ok(()));
    }
}
