//! Ports that are reserved for one test.

use std::{io, net::SocketAddr};

use tokio::net::TcpSocket;

/// A port of the loopback address that is bound but not listened on: connections are refused, and the system gives it to no
/// other process. A process that allows address reuse, as tokio's listeners do, can bind it by its number.
#[derive(Debug)]
pub struct Port {
    _socket: TcpSocket,
    address: SocketAddr,
}

impl Port {
    /// Reserves a free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn free() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = socket.local_addr()?;
        Ok(Self { _socket: socket, address })
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `https://127.0.0.1:PORT`.
    pub fn https(&self) -> String {
        format!("https://{}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_port_is_kept_refused_and_then_listened_on() {
        let ports: Vec<Port> = (0..50).map(|_| Port::free().unwrap()).collect();
        let addresses: HashSet<String> = ports.iter().map(Port::address).collect();
        assert_eq!(addresses.len(), 50, "all ports differ");
        let port = &ports[0];
        assert!(TcpStream::connect(port.address()).await.is_err(), "nothing listens");
        let _listener = TcpListener::bind(port.address()).await.unwrap();
        assert!(TcpStream::connect(port.address()).await.is_ok());
        assert!(TcpListener::bind(port.address()).await.is_err(), "it has a listener now");
    }
}
