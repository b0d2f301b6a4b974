//! Answers under way, shared by all who asked for the same.
//!
//! Place: fetch.rs leads a fill -> [fill] -> serve.rs waits for one
//! Rule:  at most one for each key; a waiter is given what it waited for, or told to ask itself; what is gathered is
//!        bounded, for each answer and for all together.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use mergepoint_edge_core::cache::key::Key;
use mergepoint_edge_core::cache::storing::Plan;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::changes::Began;
use super::entry::Entry;
use crate::body::{Body, BoxError};

/// Share of the room for answers that may be gathered at once.
const GATHERED_SHARE: u64 = 4;

/// Addresses whose last answer could not be shared: requests for them are not made to wait for each other.
const UNSHARED_MAX: usize = 16_384;

/// What a waiter is told.
#[derive(Clone)]
pub enum Outcome {
    /// Wait on.
    Pending,
    /// It is kept.
    Stored(Arc<Entry>),
    /// Its head is here, and its body of known length comes.
    Coming(Arc<Coming>),
    /// It is for one alone: ask yourself.
    Unshared,
    /// Nothing came of it: look again.
    Failed,
}

/// An answer whose body is still on its way.
pub struct Coming {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, as they are sent.
    pub headers: HeaderMap,
    /// How it is going to be kept.
    pub plan: Plan,
    /// Its body.
    pub pieces: Arc<Pieces>,
}

/// One fill.
pub struct Fill {
    /// Where it began.
    pub began: Began,
    outcome: watch::Sender<Outcome>,
}

/// All fills.
pub struct Fills {
    under_way: Mutex<HashMap<Key, Arc<Fill>>>,
    unshared: Mutex<Unshared>,
    gathered: AtomicU64,
    gathered_max: u64,
}

#[derive(Default)]
struct Unshared {
    known: std::collections::HashSet<Key>,
    order: VecDeque<Key>,
}

/// What a request does about its fill.
pub enum Role {
    /// It asks the app, for all.
    Leads(Lead),
    /// It waits.
    Waits(Arc<Fill>),
    /// It asks the app, for itself.
    Alone,
}

/// The duty to tell the waiters what came of it; dropped without a word, they look again.
pub struct Lead {
    kept: Arc<super::Kept>,
    key: Key,
    fill: Arc<Fill>,
    told: bool,
}

impl Fills {
    /// None under way; gathered bodies take at most a share of `bytes_max`.
    pub fn new(bytes_max: u64) -> Fills {
        Fills {
            under_way: Mutex::default(),
            unshared: Mutex::default(),
            gathered: AtomicU64::new(0),
            gathered_max: bytes_max / GATHERED_SHARE,
        }
    }

    /// Lead the fill of a key, or wait for it. `began` is where it begins if it is led.
    pub fn join(kept: &Arc<super::Kept>, key: &Key, began: impl FnOnce() -> Began) -> Role {
        if kept.fills.unshared.lock().known.contains(key) {
            return Role::Alone;
        }
        let mut under_way = kept.fills.under_way.lock();
        if let Some(fill) = under_way.get(key) {
            return Role::Waits(Arc::clone(fill));
        }
        let fill = Arc::new(Fill {
            began: began(),
            outcome: watch::channel(Outcome::Pending).0,
        });
        under_way.insert(Arc::clone(key), Arc::clone(&fill));
        Role::Leads(Lead {
            kept: Arc::clone(kept),
            key: Arc::clone(key),
            fill,
            told: false,
        })
    }

    /// Whether answers under this key can be shared, as far as the last one tells.
    pub fn learn(&self, key: &Key, shared: bool) {
        let mut unshared = self.unshared.lock();
        if shared {
            // Its place in the order is taken by nobody else meanwhile; a second entry there does no harm.
            unshared.known.remove(key);
            return;
        }
        if unshared.known.insert(Arc::clone(key)) {
            unshared.order.push_back(Arc::clone(key));
        }
        while unshared.order.len() > UNSHARED_MAX {
            if let Some(oldest) = unshared.order.pop_front() {
                unshared.known.remove(&oldest);
            }
        }
    }

    /// Take room for gathering `bytes`; false when there is none.
    pub fn reserve(&self, bytes: u64) -> bool {
        let more = |now: u64| {
            now.checked_add(bytes)
                .filter(|sum| *sum <= self.gathered_max)
        };
        self.gathered.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Give room back.
    pub fn release(&self, bytes: u64) {
        self.gathered.fetch_sub(bytes, Relaxed);
    }
}

impl Lead {
    /// Where the fill began.
    pub fn began(&self) -> Began {
        self.fill.began
    }

    /// Tell the waiters; after anything but `Coming` nobody can join any more.
    pub fn tell(&mut self, outcome: Outcome) {
        if !matches!(outcome, Outcome::Coming(_)) {
            self.told = true;
            self.kept.fills.under_way.lock().remove(&self.key);
        }
        if !matches!(outcome, Outcome::Failed) {
            let shared = !matches!(outcome, Outcome::Unshared);
            self.kept.fills.learn(&self.key, shared);
        }
        self.fill.outcome.send_replace(outcome);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Outcome::Failed);
        }
    }
}

impl Fill {
    /// What comes of it.
    pub async fn outcome(&self) -> Outcome {
        let mut told = self.outcome.subscribe();
        let waited = told.wait_for(|outcome| !matches!(outcome, Outcome::Pending));
        waited
            .await
            .map_or(Outcome::Failed, |outcome| outcome.clone())
    }
}

/// A body that is gathered while it is sent, to any number of readers.
pub struct Pieces {
    state: Mutex<Gathering>,
    length: Option<u64>,
}

#[derive(Default)]
struct Gathering {
    pieces: Vec<Bytes>,
    wakers: Vec<Waker>,
    end: Option<End>,
}

enum End {
    Whole,
    Broken(String),
    /// Too much to gather: the rest is for the only reader.
    Rest(Option<Body>),
}

impl Pieces {
    /// A body of this length, if it is known.
    pub fn new(length: Option<u64>) -> Arc<Pieces> {
        Arc::new(Pieces {
            state: Mutex::default(),
            length,
        })
    }

    /// Gather one more piece.
    pub fn push(&self, piece: Bytes) {
        self.change(|state| state.pieces.push(piece));
    }

    /// It is whole.
    pub fn finish(&self) {
        self.change(|state| state.end = Some(End::Whole));
    }

    /// It ended early.
    pub fn fail(&self, why: String) {
        self.change(|state| state.end = Some(End::Broken(why)));
    }

    /// No more is gathered; the only reader reads on from `rest`.
    pub fn hand_over(&self, rest: Body) {
        self.change(|state| state.end = Some(End::Rest(Some(rest))));
    }

    /// All that was gathered, in one piece.
    pub fn join(&self) -> Bytes {
        let state = self.state.lock();
        if let [only] = state.pieces.as_slice() {
            return only.clone();
        }
        let length = state.pieces.iter().map(Bytes::len).sum();
        let mut all = BytesMut::with_capacity(length);
        state
            .pieces
            .iter()
            .for_each(|piece| all.extend_from_slice(piece));
        all.freeze()
    }

    fn change(&self, change: impl FnOnce(&mut Gathering)) {
        let mut state = self.state.lock();
        change(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// One reader of a gathered body.
pub struct Reader {
    pieces: Arc<Pieces>,
    next: usize,
    read: u64,
    rest: Option<Body>,
}

impl Reader {
    /// A reader from the first byte.
    pub fn new(pieces: Arc<Pieces>) -> Reader {
        Reader {
            pieces,
            next: 0,
            read: 0,
            rest: None,
        }
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(rest) = &mut self.rest {
            return Pin::new(rest).poll_frame(cx);
        }
        let pieces = Arc::clone(&self.pieces);
        let mut state = pieces.state.lock();
        if let Some(piece) = state.pieces.get(self.next) {
            self.next += 1;
            self.read += piece.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        match &mut state.end {
            Some(End::Whole) => Poll::Ready(None),
            Some(End::Broken(why)) => Poll::Ready(Some(Err(why.clone().into()))),
            Some(End::Rest(rest)) => {
                self.rest = rest.take();
                drop(state);
                match &mut self.rest {
                    Some(rest) => Pin::new(rest).poll_frame(cx),
                    None => Poll::Ready(Some(Err("read by somebody else".into()))),
                }
            }
            None => {
                let waker = cx.waker();
                if !state.wakers.iter().any(|known| known.will_wake(waker)) {
                    state.wakers.push(waker.clone());
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.rest {
            Some(rest) => rest.is_end_stream(),
            None => self.pieces.length == Some(self.read),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.pieces.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.read)),
            None => SizeHint::default(),
        }
    }
}
