//! `wharf cert`: making a self-signed certificate, and the steps that make clients trust it.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, RsaKeySize, SanType, date_time_ymd,
};
use rustix::fs::{Mode, OFlags};

use crate::cli::Cert;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest common name in bytes (X.520).
const COMMON_NAME: usize = 64;

pub(crate) fn run(command: Cert) -> anyhow::Result<()> {
    match command {
        Cert::New {
            names,
            ip,
            days,
            out,
            rsa,
        } => new(
            &Wanted {
                names,
                addresses: ip,
                days,
                is_rsa: rsa,
            },
            out,
        ),
        Cert::Trust { host, ca } => trust(&host, &ca),
    }
}

/// The contents of a certificate.
pub(super) struct Wanted {
    /// Names, or addresses, under which clients reach the server
    pub(super) names: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) days: u32,
    pub(super) is_rsa: bool,
}

/// A certificate, and its key.
pub(super) struct Made {
    /// The private key, in PEM
    pub(super) key: String,
    /// The certificate, in PEM
    pub(super) certificate: String,
    /// The names and addresses of the certificate, as operators read them
    pub(super) names: Vec<String>,
}

fn new(wanted: &Wanted, out: Option<PathBuf>) -> anyhow::Result<()> {
    let made = wanted.make()?;
    let first = wanted.names.first().map(String::as_str).unwrap_or_default();
    let prefix = out.unwrap_or_else(|| first.replace('*', "_").into());
    let (key_path, certificate_path) = (with_suffix(&prefix, ".key"), with_suffix(&prefix, ".crt"));
    if let Some(directory) = key_path.parent() {
        make_directory(directory)?;
    }
    // Both files are created before either is written.
    let mut key_file = create(&key_path, 0o600)?;
    let mut certificate_file = create(&certificate_path, 0o644).inspect_err(|_| remove(&key_path))?;
    let written = key_file
        .write_all(made.key.as_bytes())
        .and_then(|()| certificate_file.write_all(made.certificate.as_bytes()))
        .and_then(|()| key_file.sync_all().and_then(|()| certificate_file.sync_all()));
    if let Err(error) = written {
        remove(&key_path);
        remove(&certificate_path);
        return Err(error).context("cannot write the certificate");
    }
    let text = format!(
        "made {key}, which stays secret, and {certificate}\n  \
           for    {named}\n  \
           valid  {days} days\n  \
           serve  REGISTRY_HTTP_TLS_CERTIFICATE={certificate} REGISTRY_HTTP_TLS_KEY={key} wharf serve\n  \
           trust  wharf cert trust {first}:5000 --ca {certificate}\n",
        key = key_path.display(),
        certificate = certificate_path.display(),
        named = made.names.join(", "),
        days = wanted.days,
    );
    io::stderr().write_all(text.as_bytes())?;
    Ok(())
}

/// Makes the directory of the files, and those above it: a command as it stands in a manual works in an empty place.
fn make_directory(directory: &Path) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "certificates are not in the store")]
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory `{}`", directory.display()))
}

impl Wanted {
    /// Makes a key, and a certificate that is signed with it.
    ///
    /// # Errors
    ///
    /// When a name cannot be one of a host.
    pub(super) fn make(&self) -> anyhow::Result<Made> {
        let alternatives = self.alternatives()?;
        let key = match self.is_rsa {
            true => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
            false => KeyPair::generate(),
        };
        let key = key.context("cannot make a key")?;
        let names = alternatives.iter().map(shown).collect();
        let certificate = self
            .params(alternatives)?
            .self_signed(&key)
            .context("cannot make a certificate")?;
        Ok(Made {
            key: key.serialize_pem(),
            certificate: certificate.pem(),
            names,
        })
    }

    fn params(&self, alternatives: Vec<SanType>) -> anyhow::Result<CertificateParams> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .context("the clock is wrong")?;
        let mut params = CertificateParams::default();
        // Valid since yesterday: clocks differ.
        params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
        params.not_after = date_time_ymd(1970, 1, 1) + now + DAY * self.days;
        params.subject_alt_names = alternatives;
        params.distinguished_name = DistinguishedName::new();
        // For people: clients check the alternative names only.
        let name = self
            .names
            .iter()
            .find(|name| name.len() <= COMMON_NAME)
            .map_or("wharf", String::as_str);
        params.distinguished_name.push(DnType::CommonName, name);
        // A stolen key can impersonate this server, and cannot sign certificates for others.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if self.is_rsa {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(params)
    }

    /// The names and addresses, each once.
    fn alternatives(&self) -> anyhow::Result<Vec<SanType>> {
        let mut alternatives = Vec::new();
        for name in &self.names {
            let alternative = match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host_name(name)?.try_into().context("cannot make a certificate")?),
            };
            alternatives.push(alternative);
        }
        alternatives.extend(self.addresses.iter().copied().map(SanType::IpAddress));
        let mut seen = Vec::new();
        alternatives.retain(|alternative| {
            let is_new = !seen.contains(alternative);
            seen.push(alternative.clone());
            is_new
        });
        Ok(alternatives)
    }
}

/// Checks a name for a certificate: clients compare it without the port, and in ASCII.
pub(super) fn host_name(name: &str) -> anyhow::Result<&str> {
    if name.contains("://") {
        bail!("`{name}` is a URL; a certificate is for a name such as `registry.example.com`");
    }
    if let Some((host, port)) = name.split_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        bail!("`{name}` has a port; a certificate is for all ports of `{host}`");
    }
    if !name.is_ascii() {
        bail!("`{name}` is not ASCII; write it in its DNS form, which begins with `xn--`");
    }
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !rest.split('.').all(is_label) {
        bail!("`{}` is not the name of a host", name.escape_debug());
    }
    Ok(name)
}

fn shown(alternative: &SanType) -> String {
    match alternative {
        SanType::DnsName(name) => name.to_string(),
        SanType::IpAddress(address) => address.to_string(),
        other => format!("{other:?}"),
    }
}

fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Creates a new file, never replaces one: a key that is replaced by accident is lost.
fn create(path: &Path, mode: u32) -> anyhow::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(mode));
    Ok(File::from(file.with_context(|| {
        format!("cannot create `{}`", path.display())
    })?))
}

fn remove(path: &Path) {
    if let Err(error) = rustix::fs::unlink(path) {
        tracing::debug!(%error, "cannot remove a file");
    }
}

fn trust(host: &str, ca: &Path) -> anyhow::Result<()> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => (name, Some(port)),
        _ => (host, None),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name.parse::<IpAddr>().is_err() {
        host_name(name)?;
    }
    // Docker leaves port 443 out.
    let directory = match port {
        Some("443") | None => name.to_owned(),
        Some(_) => host.to_owned(),
    };
    io::stdout()
        .lock()
        .write_all(steps(host, &directory, name, &ca.display().to_string()).as_bytes())?;
    Ok(())
}

fn steps(host: &str, directory: &str, name: &str, ca: &str) -> String {
    let mut text = String::new();
    let mut part = |title: &str, lines: &[String]| {
        // Writing to a string cannot fail.
        _ = writeln!(text, "# {title}");
        for line in lines {
            _ = writeln!(text, "{line}");
        }
        text.push('\n');
    };
    part(
        "Docker and Podman on Linux, this registry alone; no restart needed",
        &[
            format!("sudo mkdir -p '/etc/docker/certs.d/{directory}' '/etc/containers/certs.d/{directory}'"),
            format!("sudo cp '{ca}' '/etc/docker/certs.d/{directory}/ca.crt'"),
            format!("sudo cp '{ca}' '/etc/containers/certs.d/{directory}/ca.crt'"),
        ],
    );
    part(
        "Everything on Debian, Ubuntu, Alpine; then restart docker",
        &[format!(
            "sudo cp '{ca}' '/usr/local/share/ca-certificates/{name}.crt' && sudo update-ca-certificates"
        )],
    );
    part(
        "Everything on Fedora, RHEL, Rocky; then restart docker",
        &[format!(
            "sudo cp '{ca}' '/etc/pki/ca-trust/source/anchors/{name}.crt' && sudo update-ca-trust"
        )],
    );
    part(
        "macOS; then restart Docker Desktop",
        &[format!(
            "security add-trusted-cert -r trustRoot -p ssl -k ~/Library/Keychains/login.keychain-db '{ca}'"
        )],
    );
    part(
        "Windows, in a PowerShell of the user; then restart Docker Desktop",
        &[format!(
            "Import-Certificate -FilePath '{ca}' -CertStoreLocation Cert:\\CurrentUser\\Root"
        )],
    );
    part(
        "Without installing anything: curl",
        &[format!("curl --cacert '{ca}' 'https://{host}/v2/'")],
    );
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_hosts_are_taken() {
        for name in [
            "localhost",
            "registry.example.com",
            "*.example.com",
            "my_host",
            "xn--mnchen-3ya.de",
        ] {
            assert!(host_name(name).is_ok(), "{name}");
        }
        for (name, expected) in [
            ("my.registry.com:5000", "has a port"),
            ("https://my.registry.com", "is a URL"),
            ("münchen.de", "xn--"),
            ("", "not the name"),
            ("a..b", "not the name"),
            ("a b", "not the name"),
            ("-a", "not the name"),
            ("a/b", "not the name"),
            ("a.*.b", "not the name"),
            ("'; rm", "not the name"),
        ] {
            let error = host_name(name).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn the_steps_name_the_directory_that_docker_looks_in() {
        let text = steps(
            "my.registry.com:5000",
            "my.registry.com:5000",
            "my.registry.com",
            "domain.crt",
        );
        for expected in [
            "cp 'domain.crt' '/etc/docker/certs.d/my.registry.com:5000/ca.crt'",
            "'/usr/local/share/ca-certificates/my.registry.com.crt'",
            "curl --cacert 'domain.crt' 'https://my.registry.com:5000/v2/'",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
