//! Connections that outlive the moment their visitor was proven: tunnels and event streams.
//!
//! Place: reply.rs and tunnel.rs enter theirs -> [live] <- feed.rs ends those of a revoked proof
//! Rule:  whoever enters asks the revocations once more afterwards, so that no revocation falls in between; an entry
//!        leaves when its holder is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use slab::Slab;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::body::{Body, BoxError};

/// Live connections of proven visitors at once; one more is refused.
pub const LIVE_MAX: usize = 65_536;

/// The proof of a live connection was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the visitor's proof was revoked")]
pub struct Revoked;

/// All live connections with the proof `P` each began under.
#[derive(Debug)]
pub struct Live<P> {
    open: Mutex<Slab<(P, CancellationToken)>>,
}

impl<P> Default for Live<P> {
    fn default() -> Self {
        Live {
            open: Mutex::default(),
        }
    }
}

impl<P> Live<P> {
    /// Enter a connection; none when there are `LIVE_MAX`.
    pub fn enter(self: &Arc<Self>, proof: P) -> Option<Alive<P>> {
        let ended = CancellationToken::new();
        let mut open = self.open.lock();
        if open.len() >= LIVE_MAX {
            return None;
        }
        let key = open.insert((proof, ended.clone()));
        Some(Alive {
            live: Arc::clone(self),
            key,
            ended,
        })
    }

    /// End every connection whose proof is `revoked`.
    pub fn end(&self, revoked: impl Fn(&P) -> bool) {
        let open = self.open.lock();
        let hit = open.iter().filter(|(_, (proof, _))| revoked(proof));
        hit.for_each(|(_, (_, ended))| ended.cancel());
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// None is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A live connection; dropping it leaves.
#[derive(Debug)]
pub struct Alive<P> {
    live: Arc<Live<P>>,
    key: usize,
    ended: CancellationToken,
}

impl<P> Alive<P> {
    /// End it now: its proof was revoked while it entered.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Wait until its proof is revoked.
    pub async fn revoked(&self) {
        self.ended.cancelled().await;
    }
}

impl<P> Drop for Alive<P> {
    fn drop(&mut self) {
        self.live.open.lock().try_remove(self.key);
    }
}

/// `body`, cut off when the proof of `alive` is revoked: HTTP/1 closes the connection, HTTP/2 resets the stream.
pub fn bound<P: Send + Unpin + 'static>(body: Body, alive: Alive<P>) -> Body {
    let ended = Box::pin(alive.ended.clone().cancelled_owned());
    Bound {
        body: Some(body),
        ended,
        _alive: alive,
    }
    .boxed_unsync()
}

struct Bound<P> {
    body: Option<Body>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    _alive: Alive<P>,
}

impl<P: Unpin> HttpBody for Bound<P> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        use std::future::Future as _;
        let this = &mut *self;
        if this.ended.as_mut().poll(cx).is_ready() {
            // The worker's side is let go of in the same turn.
            return Poll::Ready(this.body.take().map(|_| Err(Revoked.into())));
        }
        match this.body.as_mut() {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |body| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    #[test]
    fn an_entry_leaves_with_its_holder() {
        let live: Arc<Live<u8>> = Arc::default();
        let first = live.enter(1).unwrap();
        let second = live.enter(2).unwrap();
        assert_eq!(live.len(), 2);
        drop(first);
        assert_eq!(live.len(), 1);
        drop(second);
        assert!(live.is_empty());
    }

    #[tokio::test]
    async fn only_the_revoked_end() {
        let live: Arc<Live<u8>> = Arc::default();
        let (one, two) = (live.enter(1).unwrap(), live.enter(2).unwrap());
        live.end(|proof| *proof == 1);
        one.revoked().await;
        assert!(one.ended.is_cancelled() && !two.ended.is_cancelled());
    }

    #[tokio::test]
    async fn a_bound_body_breaks_when_its_proof_ends() {
        let live: Arc<Live<u8>> = Arc::default();
        let whole = bound(body::full("abc"), live.enter(1).unwrap());
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "abc");
        assert!(live.is_empty(), "a body that was read has left");

        let broken = bound(body::full("abc"), live.enter(1).unwrap());
        live.end(|_| true);
        let error = broken.collect().await.unwrap_err();
        assert!(error.is::<Revoked>());
        assert!(live.is_empty());
    }
}
