//! Mutual TLS: each end knows the other by its certificate.

use std::{fs, path::Path, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rpc::{
    Access, Channel, Code, Fault, Server, Tls,
    tls::{Error, Files, dns_name},
};
use runtime::Shutdown;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Response, Status, server::NamedService, service::Routes};

use crate::{
    AMPLE,
    echo_service::{EchoService, PATH, call, context, loopback},
};

const ACCESS: Access = Access { roles: &["caller", "callee", "other"], may_call: |role, _| role == "caller" };

/// An authority that writes certificates into a folder.
struct Authority {
    folder: TempDir,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { folder: tempfile::tempdir().unwrap(), pem, issuer: Issuer::new(params, key) }
    }

    /// Issues a certificate with these names.
    fn files(&self, folder: &str, names: &[&str]) -> Files {
        let folder = self.folder.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        self.issue(&folder, names)
    }

    fn issue(&self, folder: &Path, names: &[&str]) -> Files {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| dns_name(name)).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let [ca, cert, pair] = ["ca", "cert", "key"].map(|name| folder.join(name));
        fs::write(&ca, &self.pem).unwrap();
        fs::write(&cert, certificate.pem()).unwrap();
        fs::write(&pair, key.serialize_pem()).unwrap();
        Files { ca, cert, key: pair }
    }

    fn tls(&self, role: &'static str) -> Tls {
        Tls::open(self.files(role, &[role]), role).unwrap()
    }
}

/// A server with the certificate of `callee`.
struct Callee {
    uri: String,
    echo_service: EchoService,
    shutdown: Shutdown,
}

impl Callee {
    async fn serve(tls: Tls) -> Self {
        let (echo_service, shutdown) = (EchoService::default(), Shutdown::new());
        let guarded = rpc::guard(Routes::new(echo_service.clone()));
        let server = Server::new(guarded, &[EchoService::NAME]).await.with_tls(tls, ACCESS);
        let (listener, address) = rpc::listen(loopback()).await.unwrap();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self { uri: format!("https://{address}"), echo_service, shutdown }
    }

    fn address(&self) -> &str {
        self.uri.trim_start_matches("https://")
    }

    /// Calls it on a connection of its own, and expects a role there.
    async fn call(&self, tls: &Tls, expected: &str) -> Result<Response<String>, Status> {
        let channel = Channel::connect_tls(&self.uri, tls, expected).unwrap();
        call(&channel, PATH, context(AMPLE).forward("echo".into())).await
    }

    fn calls(&self) -> usize {
        self.echo_service.arrived.lock().unwrap().len()
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

#[tokio::test]
async fn each_end_knows_the_other() {
    let authority = Authority::new();
    let callee = Callee::serve(authority.tls("callee")).await;
    let caller = authority.tls("caller");
    assert_eq!(callee.call(&caller, "callee").await.unwrap().into_inner(), "echo");

    let unreachable = |answer: Result<Response<String>, Status>| Fault::from_status(&answer.unwrap_err()).code;
    assert_eq!(unreachable(callee.call(&caller, "other").await), Code::Unavailable, "the callee is not `other`");
    let foreign = Authority::new();
    assert_eq!(unreachable(callee.call(&foreign.tls("caller"), "callee").await), Code::Unavailable);
    let denied = callee.call(&authority.tls("other"), "callee").await.unwrap_err();
    assert_eq!(denied.code(), tonic::Code::PermissionDenied);
    assert!(denied.message().contains("other may not call meridian.test.v1.EchoService/Echo"), "{denied}");
    assert_eq!(callee.calls(), 1, "no refused call reached the handler");
}

#[tokio::test]
async fn a_certificate_that_names_no_role_or_several_is_refused() {
    let authority = Authority::new();
    let callee = Callee::serve(authority.tls("callee")).await;
    let several = Tls::open(authority.files("several", &["caller", "other"]), "caller").unwrap();
    assert!(callee.call(&several, "callee").await.is_err());
    let wildcard = Tls::open(authority.files("wildcard", &["*"]), "caller").unwrap();
    assert!(callee.call(&wildcard, "callee").await.is_err());
    let unknown = Tls::open(authority.files("unknown", &["nobody"]), "nobody").unwrap();
    assert!(callee.call(&unknown, "callee").await.is_err());
    assert_eq!(callee.calls(), 0);
}

#[tokio::test]
async fn broken_and_silent_handshakes_stop_nobody() {
    let authority = Authority::new();
    let callee = Callee::serve(authority.tls("callee")).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        let mut broken = TcpStream::connect(callee.address()).await.unwrap();
        broken.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        silent.push(TcpStream::connect(callee.address()).await.unwrap());
    }
    callee.call(&authority.tls("caller"), "callee").await.unwrap();
    // The server ends a handshake that does not begin.
    for mut stream in silent {
        let ended =
            tokio::time::timeout(AMPLE, stream.read(&mut [0; 64])).await.expect("the handshake has a time limit");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    callee.call(&authority.tls("caller"), "callee").await.unwrap();
}

#[tokio::test]
async fn replaced_files_are_used_and_unusable_ones_are_not() {
    let (authority, next) = (Authority::new(), Authority::new());
    let files = authority.files("callee", &["callee"]);
    let folder = files.cert.parent().unwrap();
    let callee = Callee::serve(Tls::open(files.clone(), "callee").unwrap()).await;
    let (caller, next_caller) = (authority.tls("caller"), next.tls("caller"));
    callee.call(&caller, "callee").await.unwrap();

    // A certificate without its key, half a file, and a certificate of another role leave those before in use.
    let key = fs::read(&files.key).unwrap();
    next.issue(folder, &["callee"]);
    fs::write(&files.key, &key).unwrap();
    callee.call(&caller, "callee").await.unwrap();
    fs::write(&files.cert, "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    callee.call(&caller, "callee").await.unwrap();
    next.issue(folder, &["other"]);
    callee.call(&caller, "callee").await.unwrap();

    next.issue(folder, &["callee"]);
    callee.call(&next_caller, "callee").await.unwrap();
    assert!(callee.call(&caller, "callee").await.is_err(), "the former authority is not trusted");
}

#[test]
fn unusable_files_are_named() {
    let authority = Authority::new();
    let files = authority.files("callee", &["callee"]);
    assert!(Tls::open(files.clone(), "callee").unwrap().days_left() > 365);
    let opened = |files: Files, role| Tls::open(files, role).err().unwrap();
    let gone = Files { key: "nowhere.key".into(), ..files.clone() };
    assert!(matches!(opened(gone, "callee"), Error::Unreadable { path, .. } if path.ends_with("nowhere.key")));
    let swapped = Files { cert: files.key.clone(), ..files.clone() };
    assert!(matches!(opened(swapped, "callee"), Error::Missing { item: "certificate", .. }));
    let no_key = Files { key: files.cert.clone(), ..files.clone() };
    assert!(matches!(opened(no_key, "callee"), Error::Missing { item: "private key", .. }));
    let other_role = opened(files.clone(), "other");
    assert!(
        matches!(&other_role, Error::Unusable { path, name, .. } if *path == files.cert && name == "other.meridian.internal")
    );
    let other = Authority::new();
    let foreign = Files { ca: other.files("callee", &["callee"]).ca, ..files };
    assert!(matches!(opened(foreign, "callee"), Error::Unusable { .. }));
}

#[tokio::test]
async fn an_address_of_a_role_begins_with_https() {
    let authority = Authority::new();
    let tls = authority.tls("caller");
    for uri in ["http://127.0.0.1:1", "https://", "booking:9090"] {
        assert!(matches!(Channel::connect_tls(uri, &tls, "callee"), Err(Error::Uri(_))), "{uri}");
    }
    let silent = Channel::connect_tls("https://127.0.0.1:1", &tls, "callee").unwrap();
    let status = call(&silent, PATH, context(Duration::from_secs(3)).forward("echo".into())).await.unwrap_err();
    assert_eq!(Fault::from_status(&status).code, Code::Unavailable);
}
