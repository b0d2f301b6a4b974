//! One request through the cache: looked up, waited for, or fetched.
//!
//! Place: exchange.rs -> [serve] -> answered.rs for a hit, fetch.rs for the rest
//! Rule:  a hit waits for nothing; a request that waited for another's answer is given one that nothing has made untrue
//!        since that other one was sent (I2), or asks itself.

use std::sync::Arc;

use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mergepoint_edge_core::cache::control::request_says;
use mergepoint_edge_core::cache::freshness::Use;
use mergepoint_edge_core::cache::key::Key;
use mergepoint_edge_core::cache::status::{Forward, Status};
use mergepoint_edge_core::cache::tags::{self, Tag};
use mergepoint_edge_core::Moment;

use super::answered::from_entry;
use super::asking::Asking;
use super::changes::Began;
use super::entry::Entry;
use super::fetch::{self, Fetch};
use super::fill::{Coming, Fill, Fills, Outcome, Reader, Role};
use super::store::Found;
use super::{hold, Keeps, Kept};
use crate::body::{self, Body};
use crate::clock::{moment, seconds};
use crate::exchange::Checked;
use crate::proxy::{self, Tally, Way};
use crate::refuse::Refused;
use crate::reply::Sticky;

/// How often a request waits for others before it asks itself.
const ROUNDS_MAX: u32 = 4;

/// Answer a request to an app with a cache.
///
/// # Errors
/// As `proxy::answer`.
pub async fn answer(
    way: Way<'_>,
    keeps: Keeps<'_>,
    (parts, body): (&mut Parts, Incoming),
    checked: Checked,
    tally: &mut Tally,
) -> Result<Response<Body>, Refused> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let mut response = if checked.accepted.websocket {
        proxy::answer(way, (parts, Some(body)), checked, tally).await?
    } else if !reads || !body.is_end_stream() {
        hold::pass((way, keeps), (parts, body), checked, tally).await?
    } else {
        let wrote = hold::has_written(&mut parts.headers);
        let asking = Asking::new(&way, &keeps, parts, &checked);
        if wrote && !keeps.kept.feed.pull(seconds(keeps.site.call_s)).await {
            fetch::pass(way, keeps, (parts, "lease-lost"), checked, tally).await?
        } else {
            look(way, keeps, asking, parts, checked, tally).await?
        }
    };
    if let Some(Sticky(cookie)) = response.extensions_mut().remove::<Sticky>() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// What a look into the cache found.
enum Seen {
    /// Use it.
    Hit(Arc<Entry>),
    /// Use it and fetch a new one meanwhile.
    WhileRevalidate(Key, Arc<Entry>),
    /// Ask again for it.
    Stale(Key, Arc<Entry>),
    /// Ask for it.
    Nothing(Forward),
}

/// Why the hub is asked before an answer is used.
#[derive(PartialEq, Eq)]
enum Wants {
    /// Its last reading counts no longer (I4).
    Lease,
    /// The app wants it so for each use.
    Linear,
}

impl Seen {
    fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Seen::Hit(entry) | Seen::WhileRevalidate(_, entry) | Seen::Stale(_, entry) => {
                Some(entry)
            }
            Seen::Nothing(_) => None,
        }
    }
}

fn wants_pull(keeps: &Keeps<'_>, seen: &Seen, now: Moment) -> Option<Wants> {
    let entry = seen.entry().filter(|entry| !entry.sources.is_empty())?;
    keeps.kept.feed.is_used(now);
    if !keeps.kept.changes.is_leased(&entry.sources, now) {
        return Some(Wants::Lease);
    }
    entry.plan.linear.then_some(Wants::Linear)
}

async fn look(
    way: Way<'_>,
    keeps: Keeps<'_>,
    asking: Asking,
    parts: &mut Parts,
    checked: Checked,
    tally: &mut Tally,
) -> Result<Response<Body>, Refused> {
    let mut collapsed = None;
    let mut pulled = None;
    for _ in 0..ROUNDS_MAX {
        let now = moment();
        let seen = see(keeps.kept, &asking, &parts.headers, now);
        if let Some(wants) = wants_pull(&keeps, &seen, now) {
            match pulled {
                None => {
                    pulled = Some(keeps.kept.feed.pull(seconds(keeps.site.call_s)).await);
                    continue;
                }
                Some(read) if wants == Wants::Lease || !read => {
                    let parts = (parts, "lease-lost");
                    return fetch::pass(way, keeps, parts, checked, tally).await;
                }
                Some(_) => {}
            }
        }
        let status = match &seen {
            Seen::Hit(entry) | Seen::WhileRevalidate(_, entry) => {
                Some(Status::hit(entry.plan.life.ttl_s(now)))
            }
            _ => None,
        };
        let client = (&parts.method, &parts.headers);
        if let (Seen::Hit(entry), Some(status)) = (&seen, status) {
            keeps.kept.numbers.hit(way.found.app);
            return Ok(from_entry(entry, client, status, now));
        }
        if let (Seen::WhileRevalidate(key, entry), Some(mut status)) = (&seen, status) {
            keeps.kept.numbers.hit(way.found.app);
            status.detail = Some("while-revalidate");
            fetch::meanwhile(&way, (key, entry), parts, &checked);
            return Ok(from_entry(entry, client, status, now));
        }
        if request_says(&parts.headers, "only-if-cached") {
            return Ok(nothing_kept());
        }
        keeps.kept.numbers.miss(way.found.app);
        if pulled.is_none() && !keeps.kept.changes.begin(now).leased {
            // A fill that begins without a lease is not kept (I4).
            pulled = Some(keeps.kept.feed.pull(seconds(keeps.site.call_s)).await);
        }
        let (forward, stale) = match seen {
            Seen::Stale(key, entry) => (Forward::Stale, Some((key, entry))),
            Seen::Nothing(why) => (why, None),
            _ => (Forward::UriMiss, None),
        };
        let lead = match role(keeps.kept, &asking, parts, collapsed) {
            Role::Leads(lead) => Some(lead),
            Role::Alone => None,
            Role::Waits(fill) => {
                let given = fill.outcome().await;
                match take(keeps.kept, (&fill, given), parts) {
                    Taken::Response(response) => return Ok(*response),
                    Taken::Alone => {
                        collapsed = Some(false);
                        None
                    }
                    Taken::Again => {
                        collapsed = Some(false);
                        continue;
                    }
                }
            }
        };
        let fetch = Fetch {
            asking,
            lead,
            stale,
            forward,
            collapsed,
        };
        return fetch.run((way, keeps), parts, checked, tally).await;
    }
    let fetch = Fetch {
        asking,
        lead: None,
        stale: None,
        forward: Forward::UriMiss,
        collapsed,
    };
    fetch.run((way, keeps), parts, checked, tally).await
}

fn see(kept: &Kept, asking: &Asking, request: &HeaderMap, now: Moment) -> Seen {
    let mut why = Forward::UriMiss;
    for (key, only_shared) in &asking.keys {
        match kept.store.find(key, request) {
            Found::Nothing => {}
            Found::Others => why = Forward::VaryMiss,
            Found::Entry(entry) if *only_shared && !entry.plan.shared => why = Forward::Bypass,
            Found::Entry(entry) => {
                let key = Arc::clone(key);
                return match entry.plan.life.at(now) {
                    Use::Fresh => Seen::Hit(entry),
                    Use::WhileRevalidate => Seen::WhileRevalidate(key, entry),
                    Use::IfError | Use::Ask => Seen::Stale(key, entry),
                };
            }
        }
    }
    Seen::Nothing(why)
}

/// What a request that found nothing does: those for a part of it, and those whose answer nobody else may see, ask
/// for themselves.
fn role(kept: &Arc<Kept>, asking: &Asking, parts: &Parts, collapsed: Option<bool>) -> Role {
    let alone = parts.method != Method::GET || parts.headers.contains_key(header::RANGE);
    let own = asking.own.as_ref().filter(|_| !alone);
    match own {
        // Who waited in vain asks for all, too; somebody else may lead already, and then it waits once more.
        Some(key) if collapsed.is_none() || !alone => {
            Fills::join(kept, key, || kept.changes.begin(moment()))
        }
        _ => Role::Alone,
    }
}

enum Taken {
    Response(Box<Response<Body>>),
    Alone,
    Again,
}

/// What a waiter is given (I2).
fn take(kept: &Kept, (fill, given): (&Fill, Outcome), parts: &Parts) -> Taken {
    let now = moment();
    let (method, headers) = (&parts.method, &parts.headers);
    match given {
        Outcome::Stored(entry) => {
            let fits = entry.plan.chosen.matches(headers) && entry.plan.life.at(now) == Use::Fresh;
            if !fits || !holds(kept, fill.began, (&entry.handles, &entry.sources)) {
                return Taken::Again;
            }
            let mut status = Status::hit(entry.plan.life.ttl_s(now));
            status.collapsed = Some(true);
            status.forward = Some(Forward::UriMiss);
            Taken::Response(Box::new(from_entry(&entry, (method, headers), status, now)))
        }
        Outcome::Coming(coming) => match coming.plan.chosen.matches(headers) {
            true if fill_holds(kept, fill.began, &coming) => {
                Taken::Response(Box::new(join(&coming)))
            }
            _ => Taken::Alone,
        },
        Outcome::Unshared => Taken::Alone,
        Outcome::Failed | Outcome::Pending => Taken::Again,
    }
}

fn fill_holds(kept: &Kept, began: Began, coming: &Coming) -> bool {
    let mut sources: Vec<String> = Vec::new();
    for tag in &coming.plan.tags {
        sources.extend(tags::source(tag).map(str::to_owned));
    }
    holds(kept, began, (&coming.plan.tags, &sources))
}

/// Nothing that it was made from changed since it was asked for, and changes can be read.
fn holds(kept: &Kept, began: Began, (tags, sources): (&[Tag], &[String])) -> bool {
    let now = moment();
    let state = kept.changes.lock();
    let leased = |name: &String| state.sources.get(name).is_some_and(|s| s.is_leased(now));
    state.log.permits(began.token, tags.iter()) && sources.iter().all(leased)
}

fn join(coming: &Coming) -> Response<Body> {
    let reader = Reader::new(Arc::clone(&coming.pieces));
    let mut response = Response::new(reader.boxed_unsync());
    *response.status_mut() = coming.status;
    *response.headers_mut() = coming.headers.clone();
    let mut status = Status::forwarded(Forward::UriMiss, None);
    status.collapsed = Some(true);
    status.mark(response.headers_mut());
    response
}

/// `only-if-cached`, and it is not (RFC 9111 section 5.2.1.7).
fn nothing_kept() -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    Status::forwarded(Forward::Request, Some("only-if-cached")).mark(response.headers_mut());
    response
}
