//! A proxy of PostgreSQL that takes the application's filters by organisation out of its statements, so that a test sees what
//! PostgreSQL's own fence holds back by itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::AbortHandle,
};

/// Code of the message that asks for TLS: <https://www.postgresql.org/docs/15/protocol-message-formats.html>.
const SSL_REQUEST: u32 = 80_877_103;
const MESSAGE_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// True in a transaction about one organisation. A transaction about all of them keeps its filters, which are its own.
const IS_OF_ONE: &str = "current_setting('meridian.organization', true) <> '*'";

/// The running proxy; dropping it closes its port.
#[derive(Debug)]
pub struct FiltersOff {
    /// The URL of the database through the proxy.
    pub url: String,
    rewritten: Arc<AtomicUsize>,
    server: AbortHandle,
}

impl FiltersOff {
    /// Starts it before the database of this URL.
    ///
    /// # Errors
    /// When the URL names no host, or no port is free.
    pub async fn before(url: &str) -> Result<Self> {
        let (before, rest) = url.split_once('@').context("the URL names its user")?;
        let (host, after) = rest.split_once('/').context("the URL names its database")?;
        let upstream = if host.contains(':') { host.to_owned() } else { format!("{host}:5432") };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("{before}@{}/{after}", listener.local_addr()?);
        let rewritten = Arc::new(AtomicUsize::new(0));
        let server = tokio::spawn(serve(listener, upstream, rewritten.clone())).abort_handle();
        Ok(Self { url, rewritten, server })
    }

    /// The number of filters that were taken out.
    pub fn rewritten(&self) -> usize {
        self.rewritten.load(Ordering::Relaxed)
    }
}

impl Drop for FiltersOff {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, upstream: String, rewritten: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        let (upstream, rewritten) = (upstream.clone(), rewritten.clone());
        // A connection that breaks is the client's to notice.
        tokio::spawn(async move { connection(client, &upstream, &rewritten).await });
    }
}

async fn connection(client: TcpStream, upstream: &str, rewritten: &AtomicUsize) -> Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    start(&mut from_client, &mut to_client, &mut to_server).await?;
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let forwarded = forward(&mut from_client, &mut to_server, rewritten).await;
    answers.abort();
    forwarded
}

/// Refuses TLS and passes the first message on, which has no type.
async fn start(client: &mut OwnedReadHalf, answer: &mut OwnedWriteHalf, server: &mut OwnedWriteHalf) -> Result<()> {
    loop {
        let body = read_body(client).await?;
        if body.get(..4) == Some(&SSL_REQUEST.to_be_bytes()) {
            answer.write_all(b"N").await?;
            continue;
        }
        return write(server, &[], &body).await;
    }
}

async fn forward(client: &mut OwnedReadHalf, server: &mut OwnedWriteHalf, rewritten: &AtomicUsize) -> Result<()> {
    loop {
        let kind = client.read_u8().await?;
        let mut body = read_body(client).await?;
        if kind == b'P' {
            let (changed, count) = rewrite_parse(&body).context("a Parse message")?;
            rewritten.fetch_add(count, Ordering::Relaxed);
            body = changed;
        }
        write(server, &[kind], &body).await?;
    }
}

async fn read_body(from: &mut OwnedReadHalf) -> Result<Vec<u8>> {
    let length = from.read_u32().await?;
    ensure!((4..MESSAGE_BYTES_MAX).contains(&length), "a message of {length} bytes");
    let mut body = vec![0; length as usize - 4];
    from.read_exact(&mut body).await?;
    Ok(body)
}

async fn write(to: &mut OwnedWriteHalf, kind: &[u8], body: &[u8]) -> Result<()> {
    let length = u32::try_from(body.len() + 4)?.to_be_bytes();
    Ok(to.write_all(&[kind, &length, body].concat()).await?)
}

/// The message without filters, and their number: the statement's name and its text, each ended by a zero, then parameters.
fn rewrite_parse(body: &[u8]) -> Option<(Vec<u8>, usize)> {
    let name = body.iter().position(|byte| *byte == 0)? + 1;
    let end = name + body[name..].iter().position(|byte| *byte == 0)?;
    let (text, count) = without_filters(std::str::from_utf8(&body[name..end]).ok()?);
    Some(([&body[..name], text.as_bytes(), &body[end..]].concat(), count))
}

/// A statement whose comparisons of the organisation with a parameter are true, and their number.
fn without_filters(text: &str) -> (String, usize) {
    let column =
        if text.contains(" organizations") && text.contains("WHERE id = $1") { "id" } else { "organization_id" };
    replace(text, &format!("{column} = $"), |before, number| format!("({before}{column} = ${number} OR {IS_OF_ONE})"))
}

/// A function of booking without filters, and their number. It always is about one organisation.
pub fn function_without_filters(text: &str) -> (String, usize) {
    replace(text, "organization_id = org", |before, after| {
        if after.is_empty() { "org IS NOT NULL".to_owned() } else { format!("{before}organization_id = org{after}") }
    })
}

/// Replaces each comparison by what `by` makes of the alias before it and of the letters and digits after it.
fn replace(text: &str, comparison: &str, by: impl Fn(&str, &str) -> String) -> (String, usize) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut done, mut rest, mut count) = (String::new(), text, 0);
    while let Some(at) = rest.find(comparison) {
        let before = &rest[..at];
        let alias = before.rfind(|c: char| !is_name(c) && c != '.').map_or(0, |at| at + 1);
        let after = &rest[at + comparison.len()..];
        let end = after.find(|c: char| !is_name(c)).unwrap_or(after.len());
        done += &before[..alias];
        // Part of a longer name.
        if !before[alias..].is_empty() && !before.ends_with('.') {
            done += &rest[alias..at + comparison.len() + end];
        } else {
            done += &by(&before[alias..], &after[..end]);
            count += 1;
        }
        rest = &after[end..];
    }
    (done + rest, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_with_the_callers_organisation_are_taken_out_and_no_others() {
        let (text, count) = without_filters(
            "SELECT 1 FROM a JOIN b ON b.organization_id = a.organization_id WHERE a.organization_id = $12 AND x = $2",
        );
        let expected = format!("WHERE (a.organization_id = $12 OR {IS_OF_ONE}) AND x = $2");
        assert!(text.ends_with(&expected) && text.contains("ON b.organization_id = a.organization_id"), "{text}");
        assert_eq!(count, 1);
        let (text, count) = without_filters("UPDATE organizations SET n = n + 1 WHERE id = $1 AND n = $2");
        assert!(text.contains(&format!("WHERE (id = $1 OR {IS_OF_ONE}) AND")), "{text}");
        assert_eq!(count, 1);
        let (text, count) = function_without_filters("WHERE c.organization_id = org AND organization_id = organ");
        assert_eq!(text, "WHERE org IS NOT NULL AND organization_id = organ");
        assert_eq!(count, 2);
    }

    #[test]
    fn a_message_keeps_its_name_and_its_parameters() {
        let body = b"s1\0SELECT 1 WHERE organization_id = $1\0\0\x01\0\0\x0b\x86";
        let (changed, count) = rewrite_parse(body).unwrap();
        assert!(changed.starts_with(b"s1\0SELECT 1 WHERE (") && changed.ends_with(b")\0\0\x01\0\0\x0b\x86"));
        assert_eq!(count, 1);
    }
}
