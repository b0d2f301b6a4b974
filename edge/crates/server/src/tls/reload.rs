//! New files for old certificates, noticed by their stamps.
//!
//! Place:  server -> [reload] -> load
//! Rule:   each certificate by itself: one broken pair does not hold back another's renewal.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::load::{self, Loaded};
use super::{entries, TlsError, TlsState};

/// What happened to one certificate in a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// New files are in use.
    Renewed {
        /// The chain's file.
        cert: std::path::PathBuf,
    },
    /// New files cannot be used; the old certificate stays.
    Kept(TlsError),
    /// It ends soon, or has ended.
    Dates(String),
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Renewed { cert } => {
                write!(f, "{}: the renewed certificate is in use", cert.display())
            }
            Self::Dates(warning) => f.write_str(warning),
            Self::Kept(fault) => write!(f, "{fault}; the certificate loaded before stays in use"),
        }
    }
}

impl TlsState {
    /// Look at the files and use those that changed. A file that is broken changes nothing but is
    /// told once for each of its states; a certificate near its end is told of once a day. Blocks
    /// on the file system.
    pub fn reload(&self) -> Vec<Note> {
        let mut loaded = self.loaded.lock();
        let now = SystemTime::now();
        let mut notes = Vec::new();
        for one in loaded.iter_mut() {
            notes.extend(renew(one, &self.provider));
            notes.extend(dates(one, now));
        }
        if notes
            .iter()
            .any(|note| matches!(note, Note::Renewed { .. }))
        {
            self.table.0.store(Arc::new(entries(&loaded)));
        }
        notes
    }
}

fn renew(current: &mut Loaded, provider: &rustls::crypto::CryptoProvider) -> Option<Note> {
    let stamp = load::stamp(&current.source);
    if stamp == current.stamp {
        return None;
    }
    // Chain and key are two files and come one after the other: a mismatch mends itself with the
    // next stamp.
    current.stamp = stamp;
    match load::one(&current.source, provider) {
        Ok(new) => {
            *current = new;
            Some(Note::Renewed {
                cert: current.source.cert.clone(),
            })
        }
        Err(fault) => Some(Note::Kept(fault)),
    }
}

/// The warning changes with the day, so that it is repeated but does not fill the log.
fn dates(current: &mut Loaded, now: SystemTime) -> Option<Note> {
    let warning = current.warning(now);
    let fresh = warning.clone().filter(|_| warning != current.warned);
    current.warned = warning;
    fresh.map(Note::Dates)
}

/// Reload every `interval` until dropped, and tell what happened.
pub async fn watch(state: Arc<TlsState>, interval: Duration, tell: impl Fn(&Note)) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let state = Arc::clone(&state);
        // Awaited: a slow file system makes the watch slower, never wider.
        if let Ok(notes) = tokio::task::spawn_blocking(move || state.reload()).await {
            notes.iter().for_each(&tell);
        }
    }
}
