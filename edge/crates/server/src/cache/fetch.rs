//! An answer fetched from the app, and kept if that is allowed.
//!
//! Place: serve.rs -> [fetch] -> proxy.rs; fill.rs for those who wait
//! Rule:  where the fill begins is noted before the request is sent on (I1), and asked for again in the moment the
//!        answer is kept, under the lock under which changes are applied.

use std::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::time::SystemTime;

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

use super::answered::from_entry;
use super::asking::Asking;
use super::changes::Began;
use super::entry::Entry;
use super::fill::{Fills, Lead, Outcome, Role};
use super::filling::{keep_entry, may_begin, whole, Filling, Whole};
use super::Keeps;
use crate::body::Body;
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
                if let Some((key, _)) = self.asking.keys.last() {
                    let words = came.said.why_unknown.clone();
                    kept.store.note(key, why.as_str(), words);
                }
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
        status.ttl_s = Some(filling.plan.life.ttl_s(came.arrival.came));
        let first = body.frame().now_or_never();
        let mut response = match whole(&body, first) {
            Whole::Yes(bytes) => filling.now(bytes, status, client, came.arrival.came),
            Whole::No(first) => filling.gather((body, first), status, keeps.site.entry_bytes_max),
        };
        sticky.map(|sticky| response.extensions_mut().insert(sticky));
        response
    }
}
