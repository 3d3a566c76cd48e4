//! HTTP to addresses that users give.
//!
//! Whoever may name an address must not reach through this process what only this process can: machines of the internal
//! network, the cloud's own metadata, this very machine. Every address is looked at after its name is resolved, by the
//! connection's own resolver, so that a name cannot be one thing when it is checked and another when it is used; and
//! again on each redirect. Start reading at [`Client::get`]; which addresses are public is in `address.rs`.

mod address;

use std::{net::IpAddr, sync::Arc, time::Duration};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::LOCATION,
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
            Self::Private => "private_address",
            Self::Unreachable => "unreachable",
            Self::Redirects => "too_many_redirects",
            Self::Status(_) => "refused_by_server",
            Self::TooLarge => "too_large",
            Self::NotText => "not_text",
        }
    }
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
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<Error>() == Some(&Error::Private) {
            return Error::Private;
        }
        cause = inner.source();
    }
    Error::Unreachable
}

/// Resolves names to public addresses alone.
struct Resolver {
    private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let any = !found.is_empty();
            let allowed: Vec<_> = found.into_iter().filter(|found| private || is_public(found.ip())).collect();
            if any && allowed.is_empty() {
                return Err(Box::new(Error::Private) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
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
        assert_eq!(client.get("http://127.0.0.1:1/", 1000).await, Err(Error::Unreachable));
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
}
