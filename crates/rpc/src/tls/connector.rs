//! The client's end of a connection with mutual TLS.

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};

use super::Tls;
use crate::TransportError;

/// Port of a URL that names none.
const PORT: u16 = 443;

/// Connects to a role, whose certificate must have this name.
pub(crate) async fn connect(
    tls: Tls,
    name: ServerName<'static>,
    uri: Uri,
) -> Result<TokioIo<TlsStream<TcpStream>>, TransportError> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(PORT))).await?;
    stream.set_nodelay(true)?;
    let config = tls.identity().await.client.clone();
    Ok(TokioIo::new(TlsConnector::from(config).connect(name, stream).await?))
}
