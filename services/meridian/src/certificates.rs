//! `meridian certificates`: a private authority, and a certificate of it for each role.
//!
//! The folder of a role holds all that the role needs, so that it can be copied or mounted as it is. The authority's key is
//! needed to issue certificates alone.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use jiff::{Span, ToSpan, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rpc::{
    Tls,
    tls::{Files, dns_name},
};
use runtime::Clock;

use crate::roles::Role;

/// Validity of the authority.
const AUTHORITY_YEARS: i64 = 10;
/// Validity of a role's certificate.
const ROLE_DAYS: i64 = 365;
const CERTIFICATE_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// The files of a role, by the keys of `peers.tls` that name them.
const FILES: [(&str, &str); 3] = [("ca_file", "ca.crt"), ("cert_file", "tls.crt"), ("key_file", "tls.key")];

/// Makes the certificates of all roles below a folder. `renew` issues them from the authority that the folder holds, if it
/// holds one.
///
/// # Errors
/// When the folder holds an authority and `renew` is not set, or a file cannot be read or written.
pub(crate) fn run(out: &Path, renew: bool) -> Result<()> {
    let folder = out.join("authority");
    let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
    let exists = certificate.exists() || key.exists();
    if exists && !renew {
        bail!(
            "{} holds an authority, which is not overwritten: with --renew it issues certificates again; for another \
             authority name another folder",
            folder.display()
        );
    }
    let today = Clock::system().now().to_zoned(TimeZone::UTC).date();
    let (authority, pem) = if exists {
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
        let key = KeyPair::from_pem(&read(&key)?).with_context(|| format!("{} holds no key", key.display()))?;
        (Issuer::new(authority_params(today)?, key), read(&certificate)?)
    } else {
        let (params, pair) = (authority_params(today)?, KeyPair::generate()?);
        let pem = params.self_signed(&pair)?.pem();
        create_folder(out)?;
        create_folder(&folder)?;
        write(&key, &pair.serialize_pem(), KEY_MODE)?;
        write(&certificate, &pem, CERTIFICATE_MODE)?;
        println!("made an authority, valid for {AUTHORITY_YEARS} years: {}", folder.display());
        (Issuer::new(params, pair), pem)
    };
    let end = today.checked_add(ROLE_DAYS.days())?;
    for role in Role::ALL {
        let folder = out.join(role.as_str());
        issue(&folder, role, &authority, &pem, today)?;
        println!("made a certificate for {}, valid until {end}: {}", dns_name(role.as_str()), folder.display());
    }
    print_use(out);
    Ok(())
}

/// Writes the files of a role. The key comes first: a running role keeps the files before until the certificate fits it.
fn issue(folder: &Path, role: Role, authority: &Issuer<'_, KeyPair>, authority_pem: &str, today: Date) -> Result<()> {
    let key = KeyPair::generate()?;
    let certificate = role_params(role, today)?.signed_by(&key, authority)?;
    create_folder(folder)?;
    let files = files(folder);
    write(&files.ca, authority_pem, CERTIFICATE_MODE)?;
    write(&files.key, &key.serialize_pem(), KEY_MODE)?;
    write(&files.cert, &certificate.pem(), CERTIFICATE_MODE)?;
    Tls::open(files, role.as_str()).with_context(|| {
        format!("the authority in {} did not issue a valid certificate; is it one of this command?", folder.display())
    })?;
    Ok(())
}

/// The authority's parameters. Only their subject and the key matter to the certificates that it issues.
fn authority_params(today: Date) -> Result<CertificateParams> {
    let mut params = params(vec![], "Meridian roles", today, AUTHORITY_YEARS.years())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

/// A role is a server to its callers and a client to its peers.
fn role_params(role: Role, today: Date) -> Result<CertificateParams> {
    let name = dns_name(role.as_str());
    let mut params = params(vec![name.clone()], &name, today, ROLE_DAYS.days())?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Parameters that are valid from yesterday on, for machines whose clocks are behind.
fn params(names: Vec<String>, subject: &str, today: Date, validity: Span) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    let midnight = |day: Date| date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs());
    params.not_before = midnight(today.yesterday()?);
    params.not_after = midnight(today.checked_add(validity)?);
    Ok(params)
}

/// The files in the folder of a role.
fn files(folder: &Path) -> Files {
    let [ca, cert, key] = FILES.map(|(_, name)| folder.join(name));
    Files { ca, cert, key }
}

fn create_folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path);
    made.with_context(|| format!("the folder {} cannot be made", path.display()))
}

/// Writes a file beside its place and renames it, so that a running role never reads half of it.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = || {
        // A file of an earlier, interrupted run may have another mode.
        let _ = fs::remove_file(&partial);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    written().with_context(|| format!("{} cannot be written", path.display()))
}

fn print_use(out: &Path) {
    let example = out.join("booking");
    println!();
    println!(
        "Copy each role's folder to the machine of that role, readable by its user alone, and set there, for booking:"
    );
    println!();
    for (key, file) in FILES {
        println!("  peers.tls.{key} = \"{}\"", example.join(file).display());
    }
    println!();
    println!(
        "The URLs of peers begin with https. Keep the authority's folder off the machines of the roles: its key can name"
    );
    println!("any role. Renew before the end with `meridian certificates --out {} --renew`; running", out.display());
    println!("roles read replaced files again.");
}
