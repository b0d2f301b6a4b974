//! Answers to requests that may have changed something: what they make untrue, and how long they are held.
//!
//! Place: serve.rs -> [hold] -> feed.rs for the barrier
//! Rule:  I3: whoever has the complete answer to a write is never shown what was before it, by no edge of this site.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mergepoint_edge_core::cache::control::Hold;
use mergepoint_edge_core::cache::invalidation;
use mergepoint_edge_core::cache::said::Said;
use mergepoint_edge_core::cache::status::{Forward, Status};
use mergepoint_edge_core::cookie;

use super::asking::place;
use super::{Keeps, Kept};
use crate::body::{self, Body, BoxError};
use crate::clock::seconds;
use crate::exchange::Checked;
use crate::proxy::{self, Tally, Way};
use crate::refuse::Refused;

/// A longer body is sent while it comes, all but its last piece.
pub const HELD_BYTES_MAX: usize = 64 * 1024;

/// Its visitor wrote a moment ago.
const COOKIE: &str = "mergepoint-seen";

/// Pass a request that is not for the cache, drop what its answer makes untrue, and hold it until that is known.
///
/// # Errors
/// As `proxy::answer`.
pub async fn pass(
    (way, keeps): (Way<'_>, Keeps<'_>),
    (parts, body): (&mut Parts, Incoming),
    checked: Checked,
    tally: &mut Tally,
) -> Result<Response<Body>, Refused> {
    cookie::remove(&mut parts.headers, COOKIE);
    let safe = parts.method.is_safe();
    let host = checked.origin.host.text().into_owned();
    let where_to = checked.again();
    let mut response = proxy::answer(way, (parts, Some(body)), checked, tally).await?;
    Status::forwarded(Forward::Method, None).mark(response.headers_mut());
    let said = response.extensions_mut().remove::<Arc<Said>>();
    let Some(said) = said.filter(|_| !safe) else {
        return Ok(response);
    };
    let mut dropped = said.drops.clone();
    if invalidation::changes(&parts.method, response.status()) {
        let place = place(way.found.app, &host, &where_to);
        dropped.extend(invalidation::dropped(&place, response.headers()));
    }
    let tags: Vec<&str> = dropped.iter().map(|tag| &**tag).collect();
    if !tags.is_empty() {
        keeps.kept.drop_tags(tags, "written", None);
    }
    if keeps.site.feed.is_none() || is_endless(response.headers()) {
        return Ok(response);
    }
    // The hub names the lease; a snapshot that says less must not end a wait before that is over.
    let named = keeps.kept.changes.lock().lease;
    let lease = seconds(keeps.site.lease_s).max(named);
    Ok(match said.directives.hold.unwrap_or(keeps.app.hold) {
        Hold::None => response,
        Hold::Strict => hold_back(response, Arc::clone(keeps.kept), lease).await,
        Hold::Session => {
            let headers = response.headers_mut();
            headers.append(header::SET_COOKIE, seen(lease));
            response
        }
    })
}

/// An event stream has no end that could be waited for.
fn is_endless(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"text/event-stream"))
}

/// Keep an answer back until every edge has seen what it wrote.
async fn hold_back(response: Response<Body>, kept: Arc<Kept>, lease: Duration) -> Response<Body> {
    let (head, mut source) = response.into_parts();
    let mut held = VecDeque::new();
    let mut size = 0;
    loop {
        match source.frame().await {
            None => break,
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                size += data.len();
                held.push_back(data);
                if size > HELD_BYTES_MAX {
                    let tail = Tail::new(held, source, (kept, lease));
                    return Response::from_parts(head, tail.boxed_unsync());
                }
            }
            Some(Err(error)) => {
                // Broken in the middle: what came goes on, and the client learns that it is not all.
                held.push_back(Bytes::new());
                let broken = Tail {
                    ready: held,
                    state: State::Broken(Some(error)),
                    left: None,
                };
                return Response::from_parts(head, broken.boxed_unsync());
            }
        }
    }
    kept.feed.barrier(lease).await;
    let mut whole = BytesMut::with_capacity(size);
    held.iter().for_each(|piece| whole.extend_from_slice(piece));
    let body = match whole.is_empty() {
        true => body::empty(),
        false => body::full(whole.freeze()),
    };
    Response::from_parts(head, body)
}

type Barrier = Pin<Box<dyn Future<Output = ()> + Send>>;

enum State {
    /// More comes.
    Flowing(Body, Arc<Kept>, Duration),
    /// All has come but nobody may have the last piece yet.
    Waiting(Barrier),
    /// All may go.
    Free,
    /// It ended early.
    Broken(Option<BoxError>),
}

/// A long body whose last piece is held.
struct Tail {
    /// What may go, but for the last of it while more may come.
    ready: VecDeque<Bytes>,
    state: State,
    left: Option<u64>,
}

impl Tail {
    fn new(ready: VecDeque<Bytes>, source: Body, (kept, lease): (Arc<Kept>, Duration)) -> Tail {
        let came: usize = ready.iter().map(Bytes::len).sum();
        let left = source.size_hint().exact().map(|left| left + came as u64);
        Tail {
            ready,
            state: State::Flowing(source, kept, lease),
            left,
        }
    }

    fn give(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        let piece = self.ready.pop_front()?;
        let size = piece.len() as u64;
        self.left = self.left.map(|left| left.saturating_sub(size));
        Some(Ok(Frame::data(piece)))
    }
}

impl http_body::Body for Tail {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Flowing(source, kept, lease) => {
                    if this.ready.len() > 1 {
                        return Poll::Ready(this.give());
                    }
                    match ready!(Pin::new(source).poll_frame(cx)) {
                        Some(Ok(frame)) => this.ready.extend(frame.into_data()),
                        Some(Err(error)) => this.state = State::Broken(Some(error)),
                        None => {
                            let (kept, lease) = (Arc::clone(kept), *lease);
                            let barrier = async move { kept.feed.barrier(lease).await };
                            this.state = State::Waiting(Box::pin(barrier));
                        }
                    }
                }
                State::Waiting(barrier) => {
                    ready!(barrier.as_mut().poll(cx));
                    this.state = State::Free;
                }
                State::Free => return Poll::Ready(this.give()),
                State::Broken(error) => {
                    let error = error.take();
                    if let Some(given) = this.give() {
                        this.state = State::Broken(error);
                        return Poll::Ready(Some(given));
                    }
                    return Poll::Ready(error.map(Err));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The cookie of a visitor who wrote: whoever answers them next reads first. It says nothing more, because two edges cannot
/// compare how far they have read, and of two writes at once the older answer may come last.
fn seen(lease: Duration) -> HeaderValue {
    // Whoever serves after a lease has read since.
    let life = lease.as_secs() + 1;
    let text = format!("{COOKIE}=1; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("mergepoint-seen=1"))
}

/// The visitor wrote a moment ago. The cookie is ours, so it is taken away.
pub fn has_written(headers: &mut HeaderMap) -> bool {
    if !headers.contains_key(header::COOKIE) || cookie::get(headers, COOKIE).is_none() {
        return false;
    }
    cookie::remove(headers, COOKIE);
    true
}
