//! Mutual TLS between roles.
//!
//! A role's certificate has the DNS name `ROLE.meridian.internal` and is signed by the installation's own authority. A client
//! accepts only the certificate of the role that it calls. A server takes the caller's role from the caller's certificate.
//!
//! The files are read again for each handshake, so that replaced certificates are used without a restart. Connections use
//! TLS 1.3 without resumption: a resumed session would skip the check of the certificate.

pub(crate) mod acceptor;
pub(crate) mod caller;
pub(crate) mod connector;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};

/// The domain of the names in certificates, such as `booking.meridian.internal`.
pub const DOMAIN: &str = "meridian.internal";

/// Application protocol of gRPC (RFC 7301, RFC 9113).
const H2: &[u8] = b"h2";
const SECONDS_OF_DAY: u64 = 24 * 60 * 60;
/// Longest validity that [`Tls::days_left`] reports.
const DAYS_MAX: u64 = 36_500;
/// A certificate with fewer days left is logged as a warning whenever it is loaded.
const DAYS_LEFT_MIN: u64 = 14;

/// A fault of the certificate files, or of an address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file lacks an item in PEM.
    #[error("{path} holds no {item} in PEM")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The missing item.
        item: &'static str,
    },
    /// A file's content cannot be used for the role.
    #[error("{path} cannot be used for {name}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The name that the certificate must have.
        name: String,
        /// The library's error.
        source: rustls::Error,
    },
    /// An address is no URI of a role.
    #[error("{0} is not a URI that begins with https://")]
    Uri(String),
}

/// The files of a role, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Certificates of the authorities whose roles are trusted.
    pub ca: PathBuf,
    /// The role's certificate, and intermediate ones after it.
    pub cert: PathBuf,
    /// The private key of the role's certificate.
    pub key: PathBuf,
}

/// The contents of [`Files`].
#[derive(PartialEq, Eq)]
struct Pem {
    ca: Vec<u8>,
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// The certificates of one role; cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    role: &'static str,
    files: Files,
    state: Mutex<State>,
}

struct State {
    identity: Arc<Identity>,
    /// The fault of the files on disk, which is logged once.
    fault: Option<String>,
}

/// The configurations made of one state of the files.
pub(crate) struct Identity {
    pem: Pem,
    chain: Vec<CertificateDer<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the certificates of a role.
    ///
    /// # Errors
    /// When a file cannot be read, or the certificate is not one for the role by the authority, or does not fit its key.
    pub fn open(files: Files, role: &'static str) -> Result<Self, Error> {
        let identity = Identity::new(&files, files.read()?, role)?;
        identity.report(role);
        let state = Mutex::new(State { identity: Arc::new(identity), fault: None });
        Ok(Self(Arc::new(Inner { role, files, state })))
    }

    /// The full days for which the certificate is still valid, at most 36,500.
    pub fn days_left(&self) -> u64 {
        self.state().identity.days_left()
    }

    /// The identity in force after reading the files.
    pub(crate) async fn identity(&self) -> Arc<Identity> {
        let tls = self.clone();
        let read = tokio::task::spawn_blocking(move || tls.reload()).await;
        // An error means that the runtime is shutting down.
        read.unwrap_or_else(|_| self.state().identity.clone())
    }

    /// Files that are replaced one after the other do not fit each other for a moment. The identity before stays in force
    /// until they do.
    fn reload(&self) -> Arc<Identity> {
        let Inner { role, files, .. } = &*self.0;
        let read = files.read();
        let mut state = self.state();
        let found =
            read.and_then(|pem| (pem != state.identity.pem).then(|| Identity::new(files, pem, role)).transpose());
        match found {
            Ok(None) => state.fault = None,
            Ok(Some(identity)) => {
                tracing::info!(role, "the certificates on disk have changed and are in use");
                identity.report(role);
                *state = State { identity: Arc::new(identity), fault: None };
            }
            Err(error) => {
                let fault = causes(&error);
                if state.fault.as_ref() != Some(&fault) {
                    tracing::warn!(role, fault, "the certificates on disk cannot be used; the ones before stay in use");
                    state.fault = Some(fault);
                }
            }
        }
        state.identity.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn read(&self) -> Result<Pem, Error> {
        let read = |path: &Path| fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source });
        Ok(Pem { ca: read(&self.ca)?, cert: read(&self.cert)?, key: read(&self.key)? })
    }
}

impl Identity {
    fn new(files: &Files, pem: Pem, role: &str) -> Result<Self, Error> {
        let unusable = |path: &Path| {
            let (path, name) = (path.to_owned(), dns_name(role));
            move |source| Error::Unusable { path, name, source }
        };
        let authorities = certificates(&files.ca, &pem.ca)?;
        let chain = certificates(&files.cert, &pem.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|_| Error::Missing { path: files.key.clone(), item: "private key" })?;
        let verifiers = Verifiers::new(authorities).map_err(unusable(&files.ca))?;
        let name = server_name(role).map_err(unusable(&files.cert))?;
        check(&verifiers.servers, &chain, &name, 0).map_err(unusable(&files.cert))?;
        let client = verifiers.client(&chain, &key).map_err(unusable(&files.key))?;
        let server = verifiers.server(&chain, key).map_err(unusable(&files.key))?;
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Self { pem, chain, verifier: verifiers.servers, name, client, server })
    }

    /// Logs a certificate that ends soon, and measures its end.
    fn report(&self, role: &str) {
        let days_left = self.days_left();
        if days_left < DAYS_LEFT_MIN {
            tracing::warn!(role, days_left, "the certificate of this role ends soon: renew it");
        }
        let ends = UnixTime::now().as_secs() + days_left * SECONDS_OF_DAY;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
        metrics::gauge!("rpc_certificate_ends_seconds").set(ends as f64);
    }

    /// The library tells whether a certificate is valid at an instant and not until when, so the last day is searched.
    fn days_left(&self) -> u64 {
        let is_valid = |days: u64| check(&self.verifier, &self.chain, &self.name, days).is_ok();
        let (mut valid, mut ended) = (0, DAYS_MAX + 1);
        while ended - valid > 1 {
            let middle = valid.midpoint(ended);
            if is_valid(middle) { valid = middle } else { ended = middle }
        }
        valid
    }
}

/// The checks of certificates by the same authorities.
struct Verifiers {
    servers: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
}

impl Verifiers {
    fn new(authorities: Vec<CertificateDer<'static>>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        authorities.into_iter().try_for_each(|authority| roots.add(authority))?;
        let roots = Arc::new(roots);
        let provider = Arc::new(ring::default_provider());
        let servers = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider).build().map_err(general)?;
        Ok(Self { servers, roots })
    }

    fn client(
        &self,
        chain: &[CertificateDer<'static>],
        key: &PrivateKeyDer<'static>,
    ) -> Result<ClientConfig, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_webpki_verifier(self.servers.clone())
            .with_client_auth_cert(chain.to_vec(), key.clone_key())?;
        config.alpn_protocols = vec![H2.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn server(
        &self,
        chain: &[CertificateDer<'static>],
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider.clone());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(clients.build().map_err(general)?)
            .with_single_cert(chain.to_vec(), key)?;
        config.alpn_protocols = vec![H2.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// Checks that a chain leads from the name to an authority, so many days from now in real time, by which TLS goes.
fn check(
    verifier: &WebPkiServerVerifier,
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    days_ahead: u64,
) -> Result<(), rustls::Error> {
    let (own, intermediates) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    let now = Duration::from_secs(UnixTime::now().as_secs() + days_ahead * SECONDS_OF_DAY);
    verifier.verify_server_cert(own, intermediates, name, &[], UnixTime::since_unix_epoch(now)).map(|_| ())
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let missing = || Error::Missing { path: path.to_owned(), item: "certificate" };
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| missing())?;
    if found.is_empty() { Err(missing()) } else { Ok(found) }
}

/// The name in the certificate of a role.
pub fn dns_name(role: &str) -> String {
    format!("{role}.{DOMAIN}")
}

pub(crate) fn server_name(role: &str) -> Result<ServerName<'static>, rustls::Error> {
    ServerName::try_from(dns_name(role)).map_err(general)
}

fn general(error: impl std::error::Error) -> rustls::Error {
    rustls::Error::General(error.to_string())
}

/// An error with its causes, as one line.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
