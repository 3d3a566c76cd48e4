//! TLS at the gateway itself, without a reverse proxy.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Certificate, Client, Version};
use testkit::{poll, product::Process};

const WITHIN: Duration = Duration::from_secs(30);

/// Writes a certificate for the loopback address; returns a client that trusts it alone.
fn certificate(folder: &Path) -> Result<Client> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    fs::write(folder.join("cert.pem"), certificate.pem())?;
    fs::write(folder.join("key.pem"), key.serialize_pem())?;
    let trusted = Certificate::from_pem(certificate.pem().as_bytes())?;
    drop(testkit::http::client());
    Ok(Client::builder().tls_certs_only([trusted]).pool_max_idle_per_host(0).build()?)
}

#[tokio::test]
async fn clients_speak_tls_and_a_replaced_certificate_is_used_without_a_restart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = certificate(folder.path())?;
    let settings = ["gateway.tls.cert_file=cert.pem", "gateway.tls.key_file=key.pem"];
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--set", settings[0], "--set", settings[1]];
    let process = Process::start(folder.path(), &arguments, &[])?;
    let url = process.address().await?;
    ensure!(url.starts_with("https://"), "{url}");
    let health = format!("{url}/healthz");
    let answer = first.get(&health).send().await?;
    ensure!(answer.status().is_success() && answer.version() >= Version::HTTP_11);
    ensure!(first.get(health.replace("https", "http")).send().await.is_err(), "no answer without TLS");

    let second = certificate(folder.path())?;
    ensure!(second.get(&health).send().await?.status().is_success());
    ensure!(first.get(&health).send().await.is_err(), "the old certificate is no longer shown");
    fs::write(folder.path().join("key.pem"), "half a file")?;
    ensure!(second.get(&health).send().await?.status().is_success(), "the last certificate goes on");
    let printed = || async { process.printed().contains("cannot be used").then_some(()) };
    poll::until("a line in the log", WITHIN, printed).await;
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_keeps_the_gateway_from_starting() -> Result<()> {
    let folder = tempfile::tempdir()?;
    certificate(folder.path())?;
    let start = async |settings: &[&str]| -> Result<String> {
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0"];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let output = testkit::product::run(folder.path(), &arguments, &[]).await.context("it must not start")?;
        ensure!(!output.status.success());
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let printed = start(&["gateway.tls.cert_file=cert.pem"]).await?;
    ensure!(printed.contains("gateway.tls.key_file"), "{printed}");
    let printed = start(&["gateway.tls.cert_file=gone.pem", "gateway.tls.key_file=key.pem"]).await?;
    ensure!(printed.contains("gone.pem cannot be read"), "{printed}");
    let printed = start(&["gateway.tls.cert_file=cert.pem", "gateway.tls.key_file=cert.pem"]).await?;
    ensure!(printed.contains("cert.pem holds no private key"), "{printed}");
    Ok(())
}
