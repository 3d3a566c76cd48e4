//! As much of HTTP/1.1 as a provider needs, without a server's cost for each request.

use std::collections::HashMap;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::fake_provider::Carrier;

/// A request that is longer is none of ours.
const REQUEST_MAX: usize = 16 * 1024;

pub async fn serve(listener: TcpListener, carrier: Carrier) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, carrier.clone()));
    }
}

/// Answers one request after the other, until either side ends it.
async fn connection(mut stream: TcpStream, carrier: Carrier) {
    let mut read = Vec::new();
    loop {
        let Some((head, length)) = whole(&read) else {
            if read.len() > REQUEST_MAX || !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                return;
            }
            continue;
        };
        let request: Vec<u8> = read.drain(..head + length).collect();
        let text = String::from_utf8(request).unwrap();
        // Each service has a path of its own.
        let instance = text.split('/').nth(1).unwrap().parse().unwrap();
        let Some(answer) = carrier.send(instance, &form(&text[head..])).await else { return };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The lengths of a request's head and body, where all of it is there.
fn whole(read: &[u8]) -> Option<(usize, usize)> {
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
