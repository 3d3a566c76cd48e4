//! TLS for clients. The certificate is read again for each handshake, so that a replaced one is used without a restart.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::config::Tls;

/// The application protocols, the preferred one first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A fault of the certificate's files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file lacks an item in PEM.
    #[error("{path} holds no {item} in PEM")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The missing item.
        item: &'static str,
    },
    /// The key is not that of the certificate.
    #[error("{path} cannot be used with its key")]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// The library's error.
        source: rustls::Error,
    },
}

/// The certificate that clients see.
pub(crate) struct Certificate {
    cert_file: PathBuf,
    key_file: PathBuf,
    state: Mutex<State>,
}

struct State {
    pem: Pem,
    config: Arc<ServerConfig>,
    /// The fault of the files on disk, which is logged once.
    fault: Option<String>,
}

/// The contents of the files.
#[derive(PartialEq, Eq)]
struct Pem {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// Reads the certificate; `None` where none is configured.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(crate) fn load(tls: &Tls) -> Result<Option<Arc<Self>>, Error> {
        let (Some(cert_file), Some(key_file)) = (tls.cert_file.clone(), tls.key_file.clone()) else { return Ok(None) };
        let pem = Pem::read(&cert_file, &key_file)?;
        let config = pem.config(&cert_file, &key_file)?;
        let state = Mutex::new(State { pem, config, fault: None });
        Ok(Some(Arc::new(Self { cert_file, key_file, state })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An acceptor with the certificate of the files, or with the last one that could be used.
    pub(super) async fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        let certificate = self.clone();
        // Reading files blocks. A task that failed leaves the last certificate.
        let _ = tokio::task::spawn_blocking(move || certificate.read_again()).await;
        TlsAcceptor::from(self.lock().config.clone())
    }

    fn read_again(&self) {
        let read = Pem::read(&self.cert_file, &self.key_file);
        let mut state = self.lock();
        let changed = read.and_then(|pem| {
            let config = (pem != state.pem).then(|| pem.config(&self.cert_file, &self.key_file)).transpose()?;
            Ok(config.map(|config| (pem, config)))
        });
        match changed {
            Ok(Some((pem, config))) => {
                tracing::info!("a new certificate is used for clients");
                *state = State { pem, config, fault: None };
            }
            Ok(None) => state.fault = None,
            Err(error) => {
                let fault = error.to_string();
                if state.fault.as_ref() != Some(&fault) {
                    tracing::error!(%error, "the certificate's files cannot be used; the last one goes on");
                }
                state.fault = Some(fault);
            }
        }
    }
}

impl Pem {
    fn read(cert_file: &Path, key_file: &Path) -> Result<Self, Error> {
        let read = |path: &Path| fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source });
        Ok(Self { cert: read(cert_file)?, key: read(key_file)? })
    }

    fn config(&self, cert_file: &Path, key_file: &Path) -> Result<Arc<ServerConfig>, Error> {
        let missing = |path: &Path, item| Error::Missing { path: path.to_owned(), item };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| missing(cert_file, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| missing(key_file, "private key"))?;
        let unusable = |source| Error::Unusable { path: cert_file.to_owned(), source };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }
}
