//! An answer fetched from the app, and kept if that is allowed.
//!
//! Place: serve.rs -> [fetch] -> proxy.rs; fill.rs for those who wait
//! Rule:  where the fill begins is noted before the request is sent on (I1), and asked for again in the moment the
//!        answer is kept, under the lock under which changes are applied.

use std::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use mergepoint_edge_core::cache::conditional;
use mergepoint_edge_core::cache::freshness::{Arrival, Use};
use mergepoint_edge_core::cache::key::Key;
use mergepoint_edge_core::cache::said::Said;
use mergepoint_edge_core::cache::status::{Forward, Status};
use mergepoint_edge_core::cache::storing::{self, Asked, Plan, Refusal};
use mergepoint_edge_core::cache::tags::{self, Tag};
use mergepoint_edge_core::Moment;

use super::answered::from_entry;
use super::asking::Asking;
use super::changes::Began;
use super::entry::{self, Entry};
use super::fill::{Coming, Fills, Lead, Outcome, Pieces, Reader, Role};
use super::{Keeps, Kept};
use crate::body::{self, Body};
use crate::clock::moment;
use crate::exchange::Checked;
use crate::flight::Flight;
use crate::proxy::{self, Tally, Way};
use crate::refuse::Refused;
use crate::reply::Sticky;

/// Tells the app that its answer may be kept, so that it finds out what it was made from.
const FILL: HeaderName = HeaderName::from_static("mergepoint-fill");

/// A request that goes on to the app.
pub struct Fetch {
    /// What the cache makes of it.
    pub asking: Asking,
    /// It is asked for all who wait.
    pub lead: Option<Lead>,
    /// What is kept, but too old.
    pub stale: Option<(Key, Arc<Entry>)>,
    /// Why it goes on.
    pub forward: Forward,
    /// It waited for another in vain.
    pub collapsed: Option<bool>,
}

/// What came of asking the app.
struct Came {
    response: Response<Body>,
    said: Arc<Said>,
    arrival: Arrival,
    began: Began,
}

/// Pass a request by the cache: nothing of it is used, joined or kept.
///
/// # Errors
/// As `proxy::answer`.
pub async fn pass(
    way: Way<'_>,
    keeps: Keeps<'_>,
    (parts, why): (&mut Parts, &'static str),
    checked: Checked,
    tally: &mut Tally,
) -> Result<Response<Body>, Refused> {
    keeps.kept.numbers.refused(why);
    let mut response = proxy::answer(way, (parts, None), checked, tally).await?;
    Status::forwarded(Forward::Bypass, Some(why)).mark(response.headers_mut());
    Ok(response)
}

/// Fetch a new answer while the old one is used, unless somebody does already.
pub fn meanwhile(
    way: &Way<'_>,
    (key, entry): (&Key, &Arc<Entry>),
    parts: &Parts,
    checked: &Checked,
) {
    let Some(keeps) = way.keeps() else { return };
    let kept = keeps.kept;
    let Role::Leads(lead) = Fills::join(kept, key, || kept.changes.begin(moment())) else {
        return;
    };
    let fetch = Fetch {
        asking: Asking::new(way, &keeps, parts, checked),
        lead: Some(lead),
        stale: Some((Arc::clone(key), Arc::clone(entry))),
        forward: Forward::Stale,
        collapsed: None,
    };
    let (edge, loaded, app) = (
        Arc::clone(way.edge),
        Arc::clone(way.loaded),
        Arc::clone(way.app),
    );
    let (mut parts, checked) = (parts.clone(), checked.again());
    tokio::spawn(async move {
        let found = loaded
            .router
            .route(&checked.origin.host, &checked.target.path);
        let Some(found) = found else { return };
        let way = Way {
            edge: &edge,
            loaded: &loaded,
            app: &app,
            found: &found,
        };
        let Some(keeps) = way.keeps() else { return };
        let flight = Flight::new(
            "",
            found.app.into(),
            &parts.method,
            checked.target.path.as_str(),
        );
        let flight = Arc::new(flight);
        let entered = edge.flights.enter(Arc::clone(&flight));
        let mut tally = Tally {
            received: Arc::new(AtomicU64::new(0)),
            upstream: None,
            flight,
        };
        if let Ok(response) = fetch
            .run((way, keeps), &mut parts, checked, &mut tally)
            .await
        {
            // What is kept is kept by now or gathered elsewhere; what is not is of no use to anybody.
            drop(response);
        }
        edge.flights.leave(entered);
    });
}

impl Fetch {
    /// Ask the app, keep what may be kept, and answer.
    ///
    /// # Errors
    /// As `proxy::answer`, where nothing kept can stand in.
    pub async fn run(
        mut self,
        (way, keeps): (Way<'_>, Keeps<'_>),
        parts: &mut Parts,
        checked: Checked,
        tally: &mut Tally,
    ) -> Result<Response<Body>, Refused> {
        let asked = moment();
        let began = match &self.lead {
            Some(lead) => lead.began(),
            None => keeps.kept.changes.begin(asked),
        };
        let client = parts.headers.clone();
        let again = self.ask_for_all(&parts.method.clone(), &mut parts.headers);
        let answered = proxy::answer(way, (parts, None), checked, tally).await;
        let mut response = match answered {
            Ok(response) => response,
            Err(refused) => match self.stand_in() {
                Some(entry) => return Ok(self.old_instead(&entry, (&parts.method, &client), None)),
                None => {
                    // Who waits would be kept waiting once more.
                    self.tell(Outcome::Unshared);
                    return Err(refused);
                }
            },
        };
        let status = response.status();
        if storing::is_error(status) {
            if let Some(entry) = self.stand_in() {
                let told = (&parts.method, &client);
                return Ok(self.old_instead(&entry, told, Some(status)));
            }
        }
        let Some(said) = response.extensions_mut().remove::<Arc<Said>>() else {
            Status::forwarded(self.forward, None).mark(response.headers_mut());
            return Ok(response);
        };
        let came = Came {
            response,
            said,
            arrival: Arrival {
                asked,
                came: moment(),
                wall: SystemTime::now(),
            },
            began,
        };
        let asker = (&parts.method, &client);
        if again && status == StatusCode::NOT_MODIFIED {
            if let Some(stale) = self.stale.take() {
                return Ok(self.confirmed((way, keeps), stale, came, asker));
            }
        }
        Ok(self.keep((way, keeps), came, asker))
    }

    /// For all who wait, and for what is kept: not what this one client has already or wants a part of. True when the
    /// app is asked whether what is kept still holds.
    fn ask_for_all(&self, method: &Method, headers: &mut HeaderMap) -> bool {
        if *method != Method::GET || headers.contains_key(header::RANGE) {
            return false;
        }
        if self.asking.rules.auto && self.asking.own.is_some() {
            headers.insert(FILL, HeaderValue::from_static("1"));
        }
        match &self.stale {
            Some((_, entry)) => conditional::ask_again(headers, &entry.headers),
            None => {
                if self.lead.is_some() {
                    conditional::CONDITIONS
                        .iter()
                        .for_each(|name| drop(headers.remove(name)));
                }
                false
            }
        }
    }

    /// What is kept may stand in for this answer (RFC 5861 section 4); never when a change has made it untrue, for then
    /// it is kept no more (I11).
    fn stand_in(&self) -> Option<Arc<Entry>> {
        let (_, entry) = self.stale.as_ref()?;
        let usable = matches!(
            entry.plan.life.at(moment()),
            Use::Fresh | Use::WhileRevalidate | Use::IfError
        );
        usable.then(|| Arc::clone(entry))
    }

    fn old_instead(
        &self,
        entry: &Entry,
        client: (&Method, &HeaderMap),
        told: Option<StatusCode>,
    ) -> Response<Body> {
        let now = moment();
        let mut status = Status::hit(entry.plan.life.ttl_s(now));
        status.forward_status = told.map(|status| status.as_u16());
        status.detail = Some("if-error");
        from_entry(entry, client, status, now)
    }

    /// The app says that what is kept still holds (RFC 9111 section 4.3.4).
    fn confirmed(
        mut self,
        (way, keeps): (Way<'_>, Keeps<'_>),
        (key, old): (Key, Arc<Entry>),
        came: Came,
        client: (&Method, &HeaderMap),
    ) -> Response<Body> {
        let now = came.arrival.came;
        let mut fields = old.headers.clone();
        conditional::update(&mut fields, came.response.headers());
        let said = came.said.over(&old.plan.said, came.response.headers());
        let planned = self.plan((old.status, &fields, &said), client, came.arrival);
        let planned = planned.and_then(|mut plan| {
            may_begin(keeps.kept, &mut plan, came.began)?;
            Ok(plan)
        });
        let mut status = Status::forwarded(Forward::Stale, None);
        status.forward_status = Some(304);
        status.collapsed = self.collapsed;
        let entry = match planned {
            Ok(plan) => {
                let content = ((old.status, fields), old.body.clone());
                let place = (way.found.app, Arc::clone(&self.asking.address));
                let entry = Arc::new(Entry::new(content.0, content.1, plan, place));
                match keep_entry(keeps.kept, (way.found.app, &key), &entry, came.began) {
                    Ok(()) => {
                        status.stored = true;
                        self.tell(Outcome::Stored(Arc::clone(&entry)));
                    }
                    Err(why) => status.detail = Some(why.as_str()),
                }
                entry
            }
            Err(why) => {
                keeps.kept.store.drop_entry(&key, &old, why.as_str());
                keeps.kept.numbers.refused(why.as_str());
                status.detail = Some(why.as_str());
                old
            }
        };
        from_entry(&entry, client, status, now)
    }

    fn plan(
        &self,
        answer: (StatusCode, &HeaderMap, &Said),
        (method, headers): (&Method, &HeaderMap),
        arrival: Arrival,
    ) -> Result<Plan, Refusal> {
        let asked = Asked {
            method,
            headers,
            proven: self.asking.proven,
            unknown_cookie: self.asking.unknown_cookie,
        };
        storing::plan(&self.asking.rules, &asked, answer, arrival)
    }

    fn tell(&mut self, outcome: Outcome) {
        if let Some(mut lead) = self.lead.take() {
            lead.tell(outcome);
        }
    }

    /// Keep an answer if that is allowed, and pass it on.
    fn keep(
        mut self,
        (way, keeps): (Way<'_>, Keeps<'_>),
        came: Came,
        client: (&Method, &HeaderMap),
    ) -> Response<Body> {
        let kept = keeps.kept;
        let mut status = Status::forwarded(self.forward, None);
        status.collapsed = self.collapsed;
        let answer = (came.response.status(), came.response.headers(), &*came.said);
        let planned = self.plan(answer, client, came.arrival);
        let planned = planned.and_then(|mut plan| {
            may_begin(kept, &mut plan, came.began)?;
            let key = self.asking.key_of(&plan).ok_or(Refusal::Credential)?;
            let size = came.response.body().size_hint().lower();
            match size > keeps.site.entry_bytes_max {
                true => Err(Refusal::TooLarge),
                false => Ok((plan, key)),
            }
        });
        let (plan, key) = match planned {
            Ok(planned) => planned,
            Err(why) => {
                self.tell(match why {
                    Refusal::Raced => Outcome::Failed,
                    _ => Outcome::Unshared,
                });
                kept.numbers.refused(why.as_str());
                status.detail = Some(why.as_str());
                let mut response = came.response;
                status.mark(response.headers_mut());
                return response;
            }
        };
        let shared = self.asking.own.as_ref() == Some(&key);
        let (head, mut body) = came.response.into_parts();
        let sticky = head.extensions.get::<Sticky>().cloned();
        let filling = Filling {
            kept: Arc::clone(kept),
            app: way.found.app.to_owned(),
            address: Arc::clone(&self.asking.address),
            key,
            head: (head.status, head.headers),
            plan,
            began: came.began,
            lead: self.lead.take(),
            shared,
        };
        let first = body.frame().now_or_never();
        let mut response = match whole(&body, first) {
            Whole::Yes(bytes) => filling.now(bytes, status, client, came.arrival.came),
            Whole::No(first) => filling.gather((body, first), status, keeps.site.entry_bytes_max),
        };
        sticky.map(|sticky| response.extensions_mut().insert(sticky));
        response
    }
}

type First = Option<Option<Result<http_body::Frame<Bytes>, body::BoxError>>>;

enum Whole {
    Yes(Bytes),
    No(First),
}

/// Whether a body is here already, after a first look at it.
fn whole(body: &Body, first: First) -> Whole {
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
fn may_begin(kept: &Kept, plan: &mut Plan, began: Began) -> Result<(), Refusal> {
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
    match state.log.permits(began.token, plan.tags.iter()) {
        true => Ok(()),
        false => Err(Refusal::Raced),
    }
}

/// Keep an entry unless something it was made from has changed since its fill began (I1).
fn keep_entry(
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
struct Filling {
    kept: Arc<Kept>,
    app: String,
    address: Tag,
    key: Key,
    head: (StatusCode, HeaderMap),
    plan: Plan,
    began: Began,
    lead: Option<Lead>,
    shared: bool,
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
    fn now(
        mut self,
        body: Bytes,
        mut status: Status,
        client: (&Method, &HeaderMap),
        now: Moment,
    ) -> Response<Body> {
        let (entry, done) = self.entry(body);
        match done {
            Ok(()) => {
                status.stored = true;
                status.ttl_s = Some(entry.plan.life.ttl_s(now));
            }
            Err(why) => status.detail = Some(why.as_str()),
        }
        from_entry(&entry, client, status, now)
    }

    /// The body comes piece by piece: gathered by a task of its own, at the app's pace, and sent at the client's.
    fn gather(
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
