//! A certificate and its key, from two PEM files to something that signs.
//!
//! Place:  tls -> [load] -> files
//! Rule:   bounded reads; an error names the file and what is wrong with it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mergepoint_edge_core::snapshot::Certificate;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{validity, TlsError};

/// Largest file read; chains are a few kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A certificate that ends sooner is warned of; renewals run a month ahead.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);

/// What tells one content of the two files from the next without reading them.
pub(super) type Stamp = [Option<(u64, i64, i64, u64)>; 2];

/// A certificate in use.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) source: Certificate,
    pub(super) names: Vec<String>,
    pub(super) key: Arc<CertifiedKey>,
    pub(super) expires: Option<SystemTime>,
    /// Of the files at the last attempt, successful or not.
    pub(super) stamp: Stamp,
    /// What was last said of its dates.
    pub(super) warned: Option<String>,
}

impl Loaded {
    /// What an operator should know about its dates.
    pub(super) fn warning(&self, now: SystemTime) -> Option<String> {
        let expires = self.expires?;
        let file = self.source.cert.display();
        match expires.duration_since(now) {
            Err(_) => Some(format!("{file}: this certificate has expired; renew it")),
            Ok(left) if left < EXPIRES_SOON => Some(format!(
                "{file}: expires in {} days",
                left.as_secs() / 86_400
            )),
            Ok(_) => None,
        }
    }
}

/// Load all of them, or fail with the first that cannot be.
pub(super) fn all(
    certificates: &[Certificate],
    provider: &CryptoProvider,
) -> Result<Vec<Loaded>, TlsError> {
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    certificates
        .iter()
        .map(|source| one(source, provider))
        .collect()
}

/// Load one.
pub(super) fn one(source: &Certificate, provider: &CryptoProvider) -> Result<Loaded, TlsError> {
    // Before the reads: a file that changes in between is then looked at again.
    let stamp = stamp(source);
    let chain = chain(&source.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&source.key)?)
        .map_err(|_| malformed(&source.key, "holds no private key in PEM"))?;
    let leaf = &chain[0];
    let names = dns_names(leaf).map_err(|fault| malformed(&source.cert, &fault))?;
    let expires = validity::not_after(leaf);
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|fault| match fault {
        rustls::Error::InconsistentKeys(_) => TlsError::KeyMismatch {
            cert: source.cert.clone(),
            key: source.key.clone(),
        },
        other => malformed(&source.key, &other.to_string()),
    })?;
    Ok(Loaded {
        source: source.clone(),
        names,
        key: Arc::new(key),
        expires,
        stamp,
        warned: None,
    })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|fault| malformed(path, &format!("is broken PEM: {fault}")))?;
    if chain.is_empty() {
        return Err(malformed(path, "holds no certificate in PEM"));
    }
    Ok(chain)
}

fn dns_names(leaf: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let leaf = webpki::EndEntityCert::try_from(leaf)
        .map_err(|fault| format!("its first certificate is invalid: {fault}"))?;
    Ok(leaf.valid_dns_names().map(str::to_owned).collect())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |fault: String| TlsError::Unreadable {
        file: path.to_owned(),
        fault,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|fault| unreadable(fault.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// The stamp of the files as they are now.
pub(super) fn stamp(source: &Certificate) -> Stamp {
    [&source.cert, &source.key].map(|path| {
        let data = std::fs::metadata(path).ok()?;
        Some((data.ino(), data.mtime(), data.mtime_nsec(), data.size()))
    })
}

fn malformed(file: &Path, fault: &str) -> TlsError {
    TlsError::Malformed {
        file: file.to_owned(),
        fault: fault.to_owned(),
    }
}
