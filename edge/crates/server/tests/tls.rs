//! TLS over real connections: names, protocols, renewal, and what is said of broken files.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by panicking.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mergepoint_edge::tls::{watch, Note, TlsError, TlsState};
use mergepoint_edge_core::snapshot::Certificate;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// Write a self-signed certificate and its key; returns where.
fn issue(dir: &Path, file: &str, common: &str, names: &[&str]) -> Certificate {
    issue_until(dir, file, common, names, 2100)
}

fn issue_until(dir: &Path, file: &str, common: &str, names: &[&str], year: i32) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let source = Certificate {
        cert: dir.join(format!("{file}.pem")),
        key: dir.join(format!("{file}.key")),
    };
    std::fs::write(&source.cert, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&source.key, key.serialize_pem()).unwrap();
    source
}

/// What a client saw.
struct Seen {
    leaf: Vec<u8>,
    alpn: Option<Vec<u8>>,
    version: rustls::ProtocolVersion,
}

impl Seen {
    fn shows(&self, text: &str) -> bool {
        self.leaf
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    }
}

async fn connect(state: &TlsState, name: &str, config: Arc<ClientConfig>) -> std::io::Result<Seen> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (served, seen) = tokio::join!(
        state.acceptor().accept(server),
        TlsConnector::from(config).connect(name, client)
    );
    let (_served, stream) = (served, seen?);
    let (_, session) = stream.get_ref();
    Ok(Seen {
        leaf: session.peer_certificates().unwrap()[0].to_vec(),
        alpn: session.alpn_protocol().map(<[u8]>::to_vec),
        version: session.protocol_version().unwrap(),
    })
}

fn client(
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn modern() -> Arc<ClientConfig> {
    client(&["h2", "http/1.1"], rustls::ALL_VERSIONS)
}

/// Trusts every certificate but checks signatures: these tests ask which one was shown.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn the_name_asked_for_chooses_the_certificate() {
    let dir = TempDir::new().unwrap();
    let state = TlsState::new(&[
        issue(dir.path(), "a", "cert-first", &["first.test"]),
        issue(dir.path(), "b", "cert-wild", &["*.wild.test"]),
        issue(dir.path(), "c", "cert-exact", &["exact.wild.test"]),
    ])
    .unwrap();
    for (asked, wanted) in [
        ("first.test", "cert-first"),
        ("x.wild.test", "cert-wild"),
        ("EXACT.wild.test", "cert-exact"),
        ("a.b.wild.test", "cert-first"),
        ("unknown.test", "cert-first"),
        ("127.0.0.1", "cert-first"),
    ] {
        assert!(
            connect(&state, asked, modern())
                .await
                .unwrap()
                .shows(wanted),
            "{asked}"
        );
    }
}

#[tokio::test]
async fn http2_is_offered_and_old_protocols_are_not() {
    let dir = TempDir::new().unwrap();
    let state = TlsState::new(&[issue(dir.path(), "a", "a", &["a.test"])]).unwrap();
    let seen = connect(&state, "a.test", modern()).await.unwrap();
    assert_eq!(seen.alpn.as_deref(), Some(&b"h2"[..]));
    assert_eq!(seen.version, rustls::ProtocolVersion::TLSv1_3);
    let old = client(&["http/1.1"], &[&rustls::version::TLS12]);
    let seen = connect(&state, "a.test", old).await.unwrap();
    assert_eq!(seen.alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(seen.version, rustls::ProtocolVersion::TLSv1_2);
    let foreign = client(&["spdy/3"], rustls::ALL_VERSIONS);
    assert!(connect(&state, "a.test", foreign).await.is_err());
}

fn refusal(certificate: Certificate) -> String {
    TlsState::new(&[certificate]).unwrap_err().to_string()
}

#[test]
fn a_fault_names_its_file_and_itself() {
    let dir = TempDir::new().unwrap();
    let good = issue(dir.path(), "good", "good", &["good.test"]);
    let other = issue(dir.path(), "other", "other", &["other.test"]);
    let text = dir.path().join("text.txt");
    std::fs::write(&text, "hello").unwrap();
    let broken = dir.path().join("broken.pem");
    std::fs::write(
        &broken,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let missing = dir.path().join("missing.pem");
    for (cert, key, file, fault) in [
        (&missing, &good.key, &missing, "No such file"),
        (&good.cert, &missing, &missing, "No such file"),
        (&text, &good.key, &text, "holds no certificate in PEM"),
        (
            &broken,
            &good.key,
            &broken,
            "its first certificate is invalid",
        ),
        (&good.cert, &text, &text, "holds no private key in PEM"),
        (
            &good.cert,
            &other.key,
            &other.key,
            "does not belong to the certificate",
        ),
    ] {
        let said = refusal(Certificate {
            cert: cert.clone(),
            key: key.clone(),
        });
        assert!(said.starts_with(&file.display().to_string()), "{said}");
        assert!(said.contains(fault), "{said}");
    }
    assert_eq!(TlsState::new(&[]).unwrap_err(), TlsError::NoCertificate);
}

#[test]
fn an_expired_certificate_is_a_warning_and_a_good_one_is_none() {
    let dir = TempDir::new().unwrap();
    let old = issue_until(dir.path(), "old", "old", &["old.test"], 2001);
    let state = TlsState::new(&[old.clone(), issue(dir.path(), "a", "a", &["a.test"])]).unwrap();
    let warnings = state.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with(&old.cert.display().to_string()));
    assert!(warnings[0].contains("expired"));
    assert_eq!(state.reload(), [Note::Dates(warnings[0].clone())]);
    assert_eq!(state.reload(), [], "the same warning is not repeated");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let dir = TempDir::new().unwrap();
    let source = issue(dir.path(), "a", "cert-old", &["a.test"]);
    let other = issue(dir.path(), "b", "cert-other", &["b.test"]);
    let state = TlsState::new(&[source.clone(), other]).unwrap();
    assert_eq!(state.reload(), []);

    std::fs::write(&source.cert, "half writ").unwrap();
    let notes = state.reload();
    assert!(
        matches!(&notes[..], [Note::Kept(TlsError::Malformed { .. })]),
        "{notes:?}"
    );
    assert!(notes[0]
        .to_string()
        .ends_with("the certificate loaded before stays in use"));
    assert_eq!(state.reload(), [], "a broken file is told once");
    assert!(connect(&state, "a.test", modern())
        .await
        .unwrap()
        .shows("cert-old"));

    issue(dir.path(), "a", "cert-new", &["a.test"]);
    assert_eq!(
        state.reload(),
        [Note::Renewed {
            cert: source.cert.clone()
        }]
    );
    assert!(connect(&state, "a.test", modern())
        .await
        .unwrap()
        .shows("cert-new"));
    assert!(connect(&state, "b.test", modern())
        .await
        .unwrap()
        .shows("cert-other"));

    std::fs::remove_file(&source.key).unwrap();
    assert!(matches!(
        &state.reload()[..],
        [Note::Kept(TlsError::Unreadable { .. })]
    ));
    assert!(connect(&state, "a.test", modern())
        .await
        .unwrap()
        .shows("cert-new"));
}

#[tokio::test]
async fn a_key_that_comes_after_its_chain_mends_the_mismatch() {
    let dir = TempDir::new().unwrap();
    let source = issue(dir.path(), "a", "cert-old", &["a.test"]);
    let state = TlsState::new(std::slice::from_ref(&source)).unwrap();
    let next = issue(dir.path(), "next", "cert-new", &["a.test"]);
    std::fs::copy(&next.cert, &source.cert).unwrap();
    assert!(matches!(
        &state.reload()[..],
        [Note::Kept(TlsError::KeyMismatch { .. })]
    ));
    assert!(connect(&state, "a.test", modern())
        .await
        .unwrap()
        .shows("cert-old"));
    std::fs::copy(&next.key, &source.key).unwrap();
    assert!(matches!(&state.reload()[..], [Note::Renewed { .. }]));
    assert!(connect(&state, "a.test", modern())
        .await
        .unwrap()
        .shows("cert-new"));
}

#[tokio::test]
async fn a_new_list_replaces_all_or_nothing() {
    let dir = TempDir::new().unwrap();
    let state = TlsState::new(&[issue(dir.path(), "a", "cert-a", &["a.test"])]).unwrap();
    let b = issue(dir.path(), "b", "cert-b", &["b.test"]);
    let missing = Certificate {
        cert: dir.path().join("no"),
        key: dir.path().join("no"),
    };
    assert!(state.replace(&[b.clone(), missing]).is_err());
    assert!(connect(&state, "b.test", modern())
        .await
        .unwrap()
        .shows("cert-a"));
    state.replace(&[b]).unwrap();
    assert!(connect(&state, "b.test", modern())
        .await
        .unwrap()
        .shows("cert-b"));
}

#[tokio::test]
async fn the_watcher_notices_by_itself() {
    let dir = TempDir::new().unwrap();
    let source = issue(dir.path(), "a", "cert-old", &["a.test"]);
    let state = Arc::new(TlsState::new(std::slice::from_ref(&source)).unwrap());
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let watching = tokio::spawn(watch(
        state.clone(),
        Duration::from_millis(20),
        move |note| {
            let _ = told.send(note.to_string());
        },
    ));
    let next = issue(dir.path(), "next", "cert-new", &["a.test"]);
    std::fs::rename(&next.key, &source.key).unwrap();
    std::fs::rename(&next.cert, &source.cert).unwrap();
    let renewed = tokio::time::timeout(Duration::from_secs(10), async {
        while !heard
            .recv()
            .await
            .unwrap()
            .ends_with("the renewed certificate is in use")
        {}
    });
    renewed.await.unwrap();
    assert!(connect(&state, "a.test", modern())
        .await
        .unwrap()
        .shows("cert-new"));
    watching.abort();
}
