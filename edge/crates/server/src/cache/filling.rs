//! An answer on its way into the cache: at once if it is here, else gathered while it is sent.
//!
//! Place: fetch.rs -> [filling] -> fill.rs, store.rs
//! Rule:  kept under the lock under which changes are applied, if nothing changed since it was asked for (I1); what is
//!        too large to gather is handed to its one reader.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use mergepoint_edge_core::cache::key::Key;
use mergepoint_edge_core::cache::status::Status;
use mergepoint_edge_core::cache::storing::{Plan, Refusal};
use mergepoint_edge_core::cache::tags::{self, Tag};
use mergepoint_edge_core::Moment;

use super::answered::from_entry;
use super::changes::Began;
use super::entry::{self, Entry};
use super::fill::{Coming, Lead, Outcome, Pieces, Reader};
use super::Kept;
use crate::body::{self, Body};
use crate::clock::moment;

/// What a first look at a body brought; none while nothing had come.
pub(super) type First = Option<Option<Result<http_body::Frame<Bytes>, body::BoxError>>>;

/// Whether a body is here.
pub(super) enum Whole {
    /// It is.
    Yes(Bytes),
    /// It comes; this is its begin.
    No(First),
}

/// Whether a body is here already, after a first look at it.
pub(super) fn whole(body: &Body, first: First) -> Whole {
    match first {
        Some(None) => Whole::Yes(Bytes::new()),
        Some(Some(Ok(frame))) if body.is_end_stream() => match frame.into_data() {
            Ok(data) => Whole::Yes(data),
            Err(frame) => Whole::No(Some(Some(Ok(frame)))),
        },
        first => Whole::No(first),
    }
}

/// I4, I12 and I1, as far as they can be told before the body is here; tags become those by which changes are told.
pub(super) fn may_begin(kept: &Kept, plan: &mut Plan, began: Began) -> Result<(), Refusal> {
    let state = kept.changes.lock();
    for tag in &mut plan.tags {
        let Some(name) = tags::source(tag) else {
            continue;
        };
        let source = state.sources.get(name);
        *tag = source
            .and_then(|source| source.told_by(tag))
            .ok_or(Refusal::SourceUnknown)?;
        if !began.leased {
            return Err(Refusal::Lease);
        }
    }
    // Several rows become one table where their column is not told.
    plan.tags.sort_unstable();
    plan.tags.dedup();
    match state.log.permits(began.token, plan.tags.iter()) {
        true => Ok(()),
        false => Err(Refusal::Raced),
    }
}

/// Keep an entry unless something it was made from has changed since its fill began (I1).
pub(super) fn keep_entry(
    kept: &Kept,
    (app, key): (&str, &Key),
    entry: &Arc<Entry>,
    began: Began,
) -> Result<(), Refusal> {
    let state = kept.changes.lock();
    let now = moment();
    let leased = |name: &String| state.sources.get(name).is_some_and(|s| s.is_leased(now));
    if !entry.sources.iter().all(leased) {
        kept.numbers.refused(Refusal::Lease.as_str());
        return Err(Refusal::Lease);
    }
    if !state.log.permits(began.token, entry.handles.iter()) {
        kept.numbers.refused(Refusal::Raced.as_str());
        return Err(Refusal::Raced);
    }
    kept.store.put(Arc::clone(key), Arc::clone(entry));
    drop(state);
    kept.fills.learn(key, true);
    kept.numbers.stored(app);
    Ok(())
}

/// An answer on its way into the cache.
pub(super) struct Filling {
    pub(super) kept: Arc<Kept>,
    pub(super) app: String,
    pub(super) address: Tag,
    pub(super) key: Key,
    pub(super) head: (StatusCode, HeaderMap),
    pub(super) plan: Plan,
    pub(super) began: Began,
    pub(super) lead: Option<Lead>,
    pub(super) shared: bool,
}

impl Filling {
    fn entry(&mut self, body: Bytes) -> (Arc<Entry>, Result<(), Refusal>) {
        let (status, headers) = &self.head;
        let head = (*status, headers.clone());
        let place = (self.app.as_str(), Arc::clone(&self.address));
        let entry = Arc::new(Entry::new(head, body, self.plan.clone(), place));
        let done = keep_entry(&self.kept, (&self.app, &self.key), &entry, self.began);
        if let Some(mut lead) = self.lead.take() {
            lead.tell(match (&done, self.shared) {
                (Ok(()), true) => Outcome::Stored(Arc::clone(&entry)),
                (Ok(()), false) => Outcome::Unshared,
                (Err(_), _) => Outcome::Failed,
            });
        }
        (entry, done)
    }

    /// The whole body is here.
    pub(super) fn now(
        mut self,
        body: Bytes,
        mut status: Status,
        client: (&Method, &HeaderMap),
        now: Moment,
    ) -> Response<Body> {
        let (entry, done) = self.entry(body);
        match done {
            Ok(()) => status.stored = true,
            Err(why) => status.detail = Some(why.as_str()),
        }
        from_entry(&entry, client, status, now)
    }

    /// The body comes piece by piece: gathered by a task of its own, at the app's pace, and sent at the client's.
    pub(super) fn gather(
        mut self,
        (body, first): (Body, First),
        mut status: Status,
        bytes_max: u64,
    ) -> Response<Body> {
        let length = body.size_hint().exact().and_then(|left| {
            let read = match &first {
                Some(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len) as u64,
                _ => 0,
            };
            left.checked_add(read)
        });
        let pieces = Pieces::new(length);
        let mut headers = self.head.1.clone();
        if self.plan.tell_no_cache {
            entry::tell_no_cache(&mut headers);
        }
        let mut room = Room {
            kept: Arc::clone(&self.kept),
            taken: 0,
        };
        let fits = length.is_none_or(|length| length <= bytes_max && room.take(length));
        if let (Some(_), true, true, Some(lead)) = (length, fits, self.shared, &mut self.lead) {
            lead.tell(Outcome::Coming(Arc::new(Coming {
                status: self.head.0,
                headers: headers.clone(),
                plan: self.plan.clone(),
                pieces: Arc::clone(&pieces),
            })));
        }
        let mut response = Response::new(Reader::new(Arc::clone(&pieces)).boxed_unsync());
        *response.status_mut() = self.head.0;
        status.stored = fits;
        status.mark(&mut headers);
        *response.headers_mut() = headers;
        match fits {
            true => {
                tokio::spawn(self.pump((body, first), pieces, (room, length, bytes_max)));
            }
            false => {
                if push_first(&pieces, first).is_some() {
                    pieces.hand_over(body);
                }
            }
        }
        response
    }

    async fn pump(
        mut self,
        (mut body, first): (Body, First),
        pieces: Arc<Pieces>,
        (mut room, length, bytes_max): (Room, Option<u64>, u64),
    ) {
        let Some(mut size) = push_first(&pieces, first) else {
            return self.kept.numbers.refused(Refusal::Broken.as_str());
        };
        let mut reserved = length.unwrap_or(0);
        loop {
            if size > reserved && !room.take(size - reserved) || size > bytes_max {
                // Only a body of unknown length can come here, and nobody has joined it.
                self.kept.numbers.refused(Refusal::TooLarge.as_str());
                if let Some(mut lead) = self.lead.take() {
                    lead.tell(Outcome::Unshared);
                }
                pieces.hand_over(body);
                return;
            }
            reserved = reserved.max(size);
            match body.frame().await {
                None => break,
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        size += data.len() as u64;
                        pieces.push(data);
                    }
                }
                Some(Err(error)) => {
                    self.kept.numbers.refused(Refusal::Broken.as_str());
                    pieces.fail(error.to_string());
                    return;
                }
            }
        }
        pieces.finish();
        let _ = self.entry(pieces.join());
    }
}

/// Gather what a first look brought; its size, none if the body is broken.
fn push_first(pieces: &Pieces, first: First) -> Option<u64> {
    let Some(Some(first)) = first else {
        return Some(0);
    };
    match first {
        Ok(frame) => {
            let data = frame.into_data().unwrap_or_default();
            let size = data.len() as u64;
            pieces.push(data);
            Some(size)
        }
        Err(error) => {
            pieces.fail(error.to_string());
            None
        }
    }
}

/// Room for gathering, given back when dropped.
struct Room {
    kept: Arc<Kept>,
    taken: u64,
}

impl Room {
    fn take(&mut self, bytes: u64) -> bool {
        let taken = self.kept.fills.reserve(bytes);
        if taken {
            self.taken += bytes;
        }
        taken
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.kept.fills.release(self.taken);
    }
}
