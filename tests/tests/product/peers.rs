//! Roles that run apart know each other by certificates. Other callers are refused, and change nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use domain::id::OrganizationId;
use scenarios::context;
use tempfile::TempDir;
use testkit::{
    poll,
    port::Port,
    product::{self, Process},
};
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use uuid::Uuid;
use wire::{
    availability::{GetDefaultOrganizationRequest, directory_client::DirectoryClient},
    booking::{
        CreatePatientRequest, GetContactsRequest, ListPatientsRequest, PatientDetails, booking_client::BookingClient,
    },
};

const METHOD: &str = "meridian.booking.v1.Booking/CreatePatient";
const WITHIN: Duration = Duration::from_secs(30);

/// Booking and availability as two processes with certificates, on SQLite.
struct Roles {
    /// Holds the certificates and the databases.
    folder: TempDir,
    booking: Process,
    availability: Process,
    ports: [Port; 2],
    /// The URL of booking's health and metrics.
    operations: String,
    /// The organisation that the first start makes.
    organization: OrganizationId,
}

impl Roles {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        product::certificates(folder.path()).await?;
        let ports = [Port::free()?, Port::free()?];
        let booking = start(folder.path(), "booking", &ports)?;
        let operations = booking.line("operations on ").await;
        booking.line("listening on ").await;
        let availability = start(folder.path(), "availability", &ports)?;
        availability.line("listening on ").await;
        let gateway = folder.path().join("gateway");
        let directory = channel(folder.path(), "availability", &ports[1], Some(&gateway))?;
        let request = context(OrganizationId::new(Uuid::nil())).request(GetDefaultOrganizationRequest {});
        let answer = DirectoryClient::new(directory).get_default_organization(request).await?;
        let organization = answer.into_inner().id.parse()?;
        Ok(Self { folder, booking, availability, ports, operations, organization })
    }

    /// A client of booking with the certificate in a folder, or without one.
    fn client(&self, certificate: Option<&Path>) -> Result<BookingClient<Channel>> {
        Ok(BookingClient::new(channel(self.folder.path(), "booking", &self.ports[0], certificate)?))
    }

    fn as_role(&self, role: &str) -> Result<BookingClient<Channel>> {
        self.client(Some(&self.folder.path().join(role)))
    }

    /// The number of patients, as the gateway sees it.
    async fn patients(&self) -> Result<usize> {
        let request = context(self.organization).request(ListPatientsRequest::default());
        Ok(self.as_role("gateway")?.list_patients(request).await?.into_inner().patients.len())
    }

    async fn text(&self, path: &str) -> Result<String> {
        let answer = testkit::http::client().get(format!("{}{path}", self.operations)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

/// A channel to a role, with the certificate in a folder or without one.
fn channel(folder: &Path, role: &str, port: &Port, certificate: Option<&Path>) -> Result<Channel> {
    let tls = ClientTlsConfig::new().domain_name(format!("{role}.meridian.internal"));
    let mut tls = tls.ca_certificate(Certificate::from_pem(fs::read(folder.join("booking/ca.crt"))?));
    if let Some(own) = certificate {
        tls = tls.identity(Identity::from_pem(fs::read(own.join("tls.crt"))?, fs::read(own.join("tls.key"))?));
    }
    Ok(Endpoint::from_shared(port.https())?.tls_config(tls)?.connect_lazy())
}

fn start(folder: &Path, role: &str, ports: &[Port; 2]) -> Result<Process> {
    let mut variables = product::certificate_variables(folder, role);
    variables.push(("MERIDIAN_PEERS__BOOKING".to_owned(), ports[0].https()));
    variables.push(("MERIDIAN_PEERS__AVAILABILITY".to_owned(), ports[1].https()));
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let listen = if role == "booking" { ports[0].address() } else { ports[1].address() };
    let arguments = ["serve", "--role", role, "--listen", &listen, "--ops-listen", "127.0.0.1:0"];
    Process::start(folder, &arguments, &variables)
}

/// Creates a patient by metadata that anybody can invent. The telephone number makes booking ask availability for the country.
async fn create_patient(roles: &Roles, mut client: BookingClient<Channel>) -> Result<(), Status> {
    let details = PatientDetails {
        given_name: "Ada".into(),
        family_name: "Moreau".into(),
        phone: "(403) 555-0100".into(),
        ..PatientDetails::default()
    };
    let request = context(roles.organization).request(CreatePatientRequest { details: Some(details), staff: None });
    client.create_patient(request).await.map(|_| ())
}

#[tokio::test]
async fn a_caller_without_a_certificate_of_the_installation_changes_nothing() -> Result<()> {
    let (roles, foreign) = (Roles::start().await?, tempfile::tempdir()?);
    product::certificates(foreign.path()).await?;
    let foreign = foreign.path().join("gateway");
    let plain = BookingClient::new(Endpoint::from_shared(roles.ports[0].url())?.connect_lazy());
    for (caller, client) in [
        ("no certificate", roles.client(None)?),
        ("another authority", roles.client(Some(&foreign))?),
        ("plain text", plain),
    ] {
        let request = context(roles.organization).request(ListPatientsRequest::default());
        let status = client.clone().list_patients(request).await.err();
        // The connection ends before a request is read, so no status of the product can come.
        assert!(status.is_some_and(|status| !status.metadata().contains_key("meridian-code")), "{caller}");
        assert!(create_patient(&roles, client).await.is_err(), "{caller}");
    }
    assert_eq!(roles.patients().await?, 0, "nothing was written");
    poll::until("the failed handshakes in the log", WITHIN, || async {
        roles.booking.printed().contains("a TLS handshake failed").then_some(())
    })
    .await;
    assert!(roles.text("/metrics").await?.contains("rpc_server_handshakes_failed_total{reason=\"rejected\"}"));
    create_patient(&roles, roles.as_role("gateway")?).await?;
    assert_eq!(roles.patients().await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_role_calls_the_methods_of_its_row_alone() -> Result<()> {
    let roles = Roles::start().await?;
    for role in ["availability", "booking", "reminder"] {
        let status = create_patient(&roles, roles.as_role(role)?).await.expect_err(role);
        assert_eq!(status.code(), Code::PermissionDenied, "{role}: {status}");
        assert!(status.message().contains(role) && status.message().contains(METHOD), "{status}");
    }
    assert_eq!(roles.patients().await?, 0, "nothing was written");
    let contacts = context(roles.organization).request(GetContactsRequest::default());
    let own = roles.as_role("reminder")?.get_contacts(contacts).await;
    assert!(own.err().is_none_or(|status| status.code() != Code::PermissionDenied), "reminder's own method");
    poll::until("the refusal in the log", WITHIN, || async {
        let log = roles.booking.stderr();
        log.lines().any(|line| line.contains("was refused") && line.contains(METHOD)).then_some(())
    })
    .await;
    let metrics = roles.text("/metrics").await?;
    assert!(metrics.contains("rpc_server_calls_forbidden_total{caller=\"reminder\"} 1"), "{metrics}");
    assert!(metrics.contains("rpc_certificate_ends_seconds"), "{metrics}");
    // Probes need no certificate: they ask the port of operations.
    assert!(roles.text("/readyz").await.is_ok());
    Ok(())
}

#[tokio::test]
async fn replaced_certificates_are_used_without_a_restart() -> Result<()> {
    let roles = Roles::start().await?;
    create_patient(&roles, roles.as_role("gateway")?).await?;
    let before = roles.as_role("gateway")?;
    let old = roles.folder.path().join("old");
    fs::create_dir(&old)?;
    for file in ["tls.crt", "tls.key"] {
        fs::copy(roles.folder.path().join("gateway").join(file), old.join(file))?;
    }
    fs::remove_dir_all(roles.folder.path().join("authority"))?;
    product::certificates(roles.folder.path()).await?;
    drop(before);

    // Booking runs on. Availability starts again, so that booking must connect to it anew, by the certificates of today.
    roles.availability.kill()?;
    let availability = start(roles.folder.path(), "availability", &roles.ports)?;
    availability.line("listening on ").await;
    let roles = Roles { availability, ..roles };
    poll::until("booking to use the certificates of the other authority", WITHIN, || async {
        create_patient(&roles, roles.as_role("gateway").ok()?).await.ok()
    })
    .await;
    assert!(
        create_patient(&roles, roles.client(Some(&old))?).await.is_err(),
        "the former authority is trusted no more"
    );
    assert!(roles.booking.stderr().contains("have changed and are in use"));
    Ok(())
}

/// A role that anybody could reach is not started by mistake.
#[tokio::test]
async fn a_role_without_usable_certificates_does_not_start() -> Result<()> {
    let (folder, certificates) = (tempfile::tempdir()?, tempfile::tempdir()?);
    product::certificates(certificates.path()).await?;
    let file = |name: &str| certificates.path().join(name).display().to_string();
    let set = |key: &str, value: String| format!("peers.tls.{key}={value}");
    let of = |role: &str| {
        [
            set("ca_file", file("booking/ca.crt")),
            set("cert_file", file(&format!("{role}/tls.crt"))),
            set("key_file", file(&format!("{role}/tls.key"))),
        ]
    };
    let (reminder, missing) = (of("reminder"), of("nobody"));
    let mixed = [of("booking")[0].clone(), of("booking")[1].clone(), of("reminder")[2].clone()];
    let partial = [of("booking")[0].clone()];
    let https = ["peers.availability=https://availability:9090".to_owned()];
    let [both_0, both_1, both_2] = of("booking");
    let both = [both_0, both_1, both_2, "peers.plaintext=true".to_owned()];
    for (listen, settings, expected) in [
        (
            "0.0.0.0:0",
            &[][..],
            &["listens on 0.0.0.0:0 without certificates", "meridian certificates", "peers.plaintext"][..],
        ),
        (
            "127.0.0.1:0",
            &["peers.availability=http://10.0.0.9:9090".to_owned()],
            &["calls availability", "meridian certificates"],
        ),
        ("127.0.0.1:0", &reminder, &["booking.meridian.internal", "tls.crt"]),
        ("127.0.0.1:0", &missing, &["nobody", "cannot be read"]),
        ("127.0.0.1:0", &mixed, &["tls.key cannot be used"]),
        ("127.0.0.1:0", &partial, &["peers.tls", "all three"]),
        ("127.0.0.1:0", &https, &["peers.availability", "peers.tls"]),
        ("127.0.0.1:0", &both, &["peers.plaintext", "leave it out"]),
    ] {
        let mut arguments = vec!["serve", "--role", "booking", "--listen", listen];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
        let output = product::run(folder.path(), &arguments, &[]).await?;
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{settings:?}: {printed}");
        for part in expected {
            assert!(printed.contains(part), "{settings:?}: {part} is missing in {printed}");
        }
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 0, "nothing was made");
    Ok(())
}

#[tokio::test]
async fn the_doctor_says_how_roles_know_each_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    product::certificates(folder.path()).await?;
    let doctor = async |settings: &[&str], role: Option<&str>| -> Result<String> {
        let variables = role.map(|role| product::certificate_variables(folder.path(), role)).unwrap_or_default();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let arguments: Vec<&str> =
            ["doctor"].into_iter().chain(settings.iter().flat_map(|one| ["--set", one])).collect();
        let output = product::run(folder.path(), &arguments, &variables).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (settings, role, expected) in [
        (&["peers.plaintext=true"][..], None, "CAUTION certificates of roles: PLAIN TEXT"),
        (&["peers.booking=http://booking:9090"], None, "WRONG   certificates of roles: "),
        (&[], None, "ok      certificates of roles: are not set"),
        (&[], Some("reminder"), "ok      certificates of roles: reminder.meridian.internal is valid for 36"),
    ] {
        let printed = doctor(settings, role).await?;
        assert!(printed.contains(expected), "{settings:?}: {expected} is missing in {printed}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_are_private_and_an_authority_is_not_overwritten() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("certificates");
    let make = async |renew: &[&str]| {
        product::run(folder.path(), &[&["certificates", "--out", "certificates"], renew].concat(), &[]).await
    };
    let made = make(&[]).await?;
    let printed = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(
        made.status.success() && printed.contains("--renew") && printed.contains("peers.tls.key_file"),
        "{printed}"
    );
    let mode = |path: PathBuf| fs::metadata(path).map(|of| of.permissions().mode() & 0o777);
    assert_eq!(mode(out.clone())?, 0o700);
    let key_of = |role: &str| out.join(role).join("tls.key");
    for role in ["availability", "booking", "gateway", "reminder"] {
        assert_eq!((mode(out.join(role))?, mode(key_of(role))?), (0o700, 0o600), "{role}");
    }
    let authority_key = out.join("authority/ca.key");
    assert_eq!((mode(out.join("authority"))?, mode(authority_key.clone())?), (0o700, 0o600));

    let before = (fs::read(&authority_key)?, fs::read(key_of("booking"))?);
    let again = make(&[]).await?;
    let refusal = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && refusal.contains("not overwritten") && refusal.contains("--renew"), "{refusal}");
    assert_eq!((fs::read(&authority_key)?, fs::read(key_of("booking"))?), before, "nothing has changed");
    assert!(make(&["--renew"]).await?.status.success());
    assert_eq!(fs::read(&authority_key)?, before.0);
    assert_ne!(fs::read(key_of("booking"))?, before.1, "each issue has a key of its own");
    Ok(())
}
