//! The part of HTTP/1.1 that the provider needs, cheaper for each request than a server.

use std::collections::HashMap;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::fake_provider::FakeProvider;

/// A longer request closes the connection.
const REQUEST_MAX: usize = 16 * 1024;

pub async fn serve(listener: TcpListener, provider: FakeProvider) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, provider.clone()));
    }
}

/// Answers requests in turn, until either side closes the connection.
async fn connection(mut stream: TcpStream, provider: FakeProvider) {
    let mut read = Vec::new();
    loop {
        let Some((head, length)) = complete_request(&read) else {
            if read.len() > REQUEST_MAX || !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                return;
            }
            continue;
        };
        let request: Vec<u8> = read.drain(..head + length).collect();
        let text = String::from_utf8(request).unwrap();
        // The path names the service.
        let instance = text.split('/').nth(1).unwrap().parse().unwrap();
        let Some(answer) = provider.send(instance, &form(&text[head..])).await else { return };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The lengths of a request's head and body; `None` where it is incomplete.
fn complete_request(read: &[u8]) -> Option<(usize, usize)> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).ok()?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
    (read.len() >= head + length).then_some((head, length))
}

fn form(body: &str) -> HashMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://localhost/?{body}")).unwrap();
    url.query_pairs().into_owned().collect()
}

/// An answer with this status line and these further headers.
pub fn response(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
