//! TLS: which certificate a client sees, and how new ones come in without a restart.
//!
//! Place:  listener -> [tls] -> HTTP
//! Rule:   a broken file never takes away a certificate that works; every fault names its file.

mod load;
mod names;
mod reload;
mod validity;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use mergepoint_edge_core::snapshot::Certificate;
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use load::Loaded;
use names::Names;
pub use reload::{watch, Note};

/// Time a client has for its handshake, for the server to enforce.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often `watch` looks at the files.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(5);
/// HTTP/2 before HTTP/1.1; nothing else is spoken.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A TLS listener needs at least one.
    #[error("no certificate is configured; give one with cert and key")]
    NoCertificate,
    /// Missing, unreadable or too large.
    #[error("{}: cannot be read: {fault}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        fault: String,
    },
    /// Not what it should hold.
    #[error("{}: {fault}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// Two files that do not belong together.
    #[error("{}: this key does not belong to the certificate {}", key.display(), cert.display())]
    KeyMismatch {
        /// The chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The library refused.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// The certificates in use and the configuration that hands them out.
#[derive(Debug)]
pub struct TlsState {
    table: Arc<Table>,
    config: Arc<ServerConfig>,
    provider: Arc<CryptoProvider>,
    loaded: Mutex<Vec<Loaded>>,
}

impl TlsState {
    /// Load every certificate; the first is shown to clients that name no known host.
    ///
    /// # Errors
    /// With the first file that is missing, malformed or does not fit. An expired certificate is no
    /// error: see `warnings`.
    pub fn new(certificates: &[Certificate]) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let loaded = load::all(certificates, &provider)?;
        let table = Arc::new(Table(ArcSwap::from_pointee(entries(&loaded))));
        let config = configuration(Arc::clone(&provider), Arc::clone(&table))?;
        Ok(Self {
            table,
            config: Arc::new(config),
            provider,
            loaded: Mutex::new(loaded),
        })
    }

    /// What turns an accepted connection into an encrypted one. Stays right across reloads.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Use these certificates from now on; unchanged on an error.
    ///
    /// # Errors
    /// As `new`.
    pub fn replace(&self, certificates: &[Certificate]) -> Result<(), TlsError> {
        let loaded = load::all(certificates, &self.provider)?;
        let mut current = self.loaded.lock();
        self.table.0.store(Arc::new(entries(&loaded)));
        *current = loaded;
        Ok(())
    }

    /// Sentences about certificates that work but will not for long, or no longer.
    pub fn warnings(&self) -> Vec<String> {
        let now = std::time::SystemTime::now();
        self.loaded
            .lock()
            .iter()
            .filter_map(|one| one.warning(now))
            .collect()
    }
}

fn configuration(
    provider: Arc<CryptoProvider>,
    table: Arc<Table>,
) -> Result<ServerConfig, TlsError> {
    let setup = |fault: rustls::Error| TlsError::Setup(fault.to_string());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(setup)?
        .with_no_client_auth()
        .with_cert_resolver(table);
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    // Keys of tickets rotate by themselves; a resumed client skips the expensive part.
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(setup)?;
    Ok(config)
}

/// Which certificate stands for which names.
#[derive(Debug)]
struct Table(ArcSwap<Entries>);

#[derive(Debug)]
struct Entries {
    names: Names,
    keys: Vec<Arc<CertifiedKey>>,
}

fn entries(loaded: &[Loaded]) -> Entries {
    Entries {
        names: Names::of(loaded.iter().map(|one| one.names.as_slice())),
        keys: loaded.iter().map(|one| Arc::clone(&one.key)).collect(),
    }
}

impl ResolvesServerCert for Table {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let entries = self.0.load();
        let chosen = hello
            .server_name()
            .and_then(|name| entries.names.find(name))
            .unwrap_or(0);
        entries.keys.get(chosen).cloned()
    }
}
