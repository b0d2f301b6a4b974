//! A request passed to a worker of an app, tried again where that is harmless.
//!
//! Place: exchange.rs -> [proxy] -> pool/place.rs for a slot, attempt.rs for one try, reply.rs for the answer
//! Rule:  a worker never sees a request twice that may have had an effect; no try without a place.

use std::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{request::Parts, Response, StatusCode};
use hyper::body::Incoming;
use mergepoint_edge_core::choose::Wish;
use mergepoint_edge_core::prefix::Mount;
use mergepoint_edge_core::retry::{may_retry, Progress};
use mergepoint_edge_core::router::Match;
use mergepoint_edge_core::snapshot::PrefixMode;

use crate::attempt::{attempt, Answered, Failed, Request};
use crate::body::Body;
use crate::clock::{moment, seconds};
use crate::edge::{Edge, Loaded, PoolApp};
use crate::exchange::{location, Checked};
use crate::flight::{Flight, Phase};
use crate::identity;
use crate::outgoing;
use crate::pool::line::Denied;
use crate::pool::place::{self, Place};
use crate::refuse::Refused;
use crate::reply::{self, Context};
use crate::trouble;
use crate::upstream::link::Link;
use crate::upstream::upload::{Upload, UploadBounds};

/// Before the same worker is asked a second time.
const SAME_WORKER_PAUSE: Duration = Duration::from_millis(50);

/// Error numbers of our own full descriptor table, ENFILE and EMFILE: no fault of the worker.
const DESCRIPTORS_SPENT: [i32; 2] = [23, 24];

/// Where a request goes.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The running edge.
    pub edge: &'a Arc<Edge>,
    /// The snapshot it started under.
    pub loaded: &'a Arc<Loaded>,
    /// The app.
    pub app: &'a Arc<PoolApp>,
    /// Where it was routed.
    pub found: &'a Match<'a>,
}

/// What is counted of a request on its way.
pub struct Tally {
    /// Bytes of the request's body.
    pub received: Arc<AtomicU64>,
    /// Time to the worker's head; none until a worker answered.
    pub upstream: Option<Duration>,
    /// The request among those under way.
    pub flight: Arc<Flight>,
}

/// Answer a request from a pool; without a body none is sent.
///
/// # Errors
/// No worker took it, answered in time, or answered usably.
pub async fn answer(
    way: Way<'_>,
    (parts, body): (&mut Parts, Option<Incoming>),
    checked: Checked,
    tally: &mut Tally,
) -> Result<Response<Body>, Refused> {
    let Way {
        edge,
        loaded,
        app,
        found,
    } = way;
    let settings = &app.settings;
    let mount = Mount::new(found.prefix);
    if let (PrefixMode::Strip, Some(mount), true) = (settings.prefix, mount, found.rest.is_empty())
    {
        if parts.method.is_safe() {
            return to_slash(mount, &checked);
        }
    }
    let bounds = UploadBounds {
        bytes_max: settings.body_bytes_max,
        kept_bytes_max: settings.retry.body_bytes_max,
        idle: seconds(loaded.snapshot.limits.body_idle_timeout_s),
    };
    let mut upload = Upload::new(body, bounds, Arc::clone(&tally.received));
    if upload.is_too_large() {
        return Err(Refused::too_large(settings.body_bytes_max));
    }
    app.line.count_request();
    let ahead = upload.receive_ahead(|| app.line.is_calm()).await;
    ahead.map_err(|error| Refused::upload(&error))?;
    let wish = outgoing::wish(loaded, app, found, parts, &checked);
    let (encoded, announced) = outgoing::encode(app, found, mount, parts, &checked, &upload);
    let (edge, method) = (Arc::clone(edge), parts.method.clone());
    let request = Request {
        edge,
        app: Arc::clone(app),
        encoded,
        announced,
        method,
        flight: Arc::clone(&tally.flight),
    };
    let answered = try_all(&request, wish, &mut upload).await?;
    identity::hold(&request.edge, loaded, found.app, &answered.head.headers).await;
    tally.upstream = Some(answered.took);
    let context = Context {
        request: &request,
        loaded,
        found,
        mount,
        checked,
        wish,
    };
    reply::reply(context, answered, upload, parts)
}

/// The mount itself has no final slash; under `strip` relative links would lead out of it.
fn to_slash(mount: Mount<'_>, checked: &Checked) -> Result<Response<Body>, Refused> {
    let query = checked
        .target
        .query
        .as_ref()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    location(
        StatusCode::PERMANENT_REDIRECT,
        &format!("{}/{query}", mount.as_str()),
    )
}

/// Try until there is an answer, or no further try is allowed.
async fn try_all(request: &Request, wish: Wish, upload: &mut Upload) -> Result<Answered, Refused> {
    let patience = Instant::now() + seconds(request.app.settings.queue.wait_s);
    let mut tried: Vec<u64> = Vec::new();
    let mut sent = 0;
    loop {
        let place = take(request, wish, &tried, patience).await?;
        if tried.contains(&place.endpoint.id) {
            // The only worker may be ending: for a moment the kernel still takes connections for it, and every try
            // would be spent on them. A little later it refuses, and the request waits for the next worker.
            tokio::time::sleep(SAME_WORKER_PAUSE).await;
        }
        let Some(link) = connect(request, &place, patience).await? else {
            continue;
        };
        let endpoint = place.endpoint.id;
        let leaves = |body_kept| may_leave(request, endpoint, body_kept, sent + 1);
        let failed = match attempt(request, place, link, upload, leaves).await {
            Ok(answered) => return Ok(answered),
            Err(failed) => failed,
        };
        let Failed {
            progress: Some(progress),
            refused,
            paid,
        } = failed
        else {
            return Err(failed.refused);
        };
        sent += u32::from(progress != Progress::NotSent);
        let harmless = may_retry(
            &request.app.settings.retry,
            &request.method,
            progress,
            upload.can_replay(),
            sent,
        );
        // What never reached a worker costs it nothing, so only the others need the budget.
        let paid =
            paid || progress == Progress::NotSent || request.app.line.may_spend_retry(moment());
        if !harmless || !paid {
            return Err(refused);
        }
        request.app.line.metrics.retries.inc();
        tried.push(endpoint);
        upload.rewind();
    }
}

/// Whether a request that waits at a worker that became suspect goes elsewhere; if so, it is paid for. Without an
/// elsewhere it stays, because a worker that is stuck in part may still answer it.
fn may_leave(request: &Request, endpoint: u64, body_kept: bool, sent: u32) -> bool {
    let rules = &request.app.settings.retry;
    let line = &request.app.line;
    may_retry(rules, &request.method, Progress::NoAnswer, body_kept, sent)
        && line.has_sound_slot_beside(endpoint, moment())
        && line.may_spend_retry(moment())
}

async fn take(
    request: &Request,
    wish: Wish,
    tried: &[u64],
    patience: Instant,
) -> Result<Place, Refused> {
    request.flight.enter(Phase::Queued);
    let place = place::take(&request.app.line, wish, tried, patience)
        .await
        .map_err(|denied| match denied {
            Denied::Busy => Refused::busy(request.app.line.retry_after_s()),
            Denied::Failed => Refused::failed(request.app.settings.failure.clone()),
        })?;
    request.flight.at_slot(place.slot);
    request.flight.enter(Phase::Waiting);
    Ok(place)
}

/// A link to the worker at `place`; none when nobody is there and another place should be sought.
async fn connect(
    request: &Request,
    place: &Place,
    patience: Instant,
) -> Result<Option<Link>, Refused> {
    let limit = seconds(request.app.settings.timeouts.connect_s);
    let error = match place
        .endpoint
        .link(request.method.is_idempotent(), limit)
        .await
    {
        Ok(link) => return Ok(Some(link)),
        Err(error) => error,
    };
    if error
        .raw_os_error()
        .is_some_and(|code| DESCRIPTORS_SPENT.contains(&code))
    {
        eprintln!(
            "mergepoint-edge: no connection to {}: {error}",
            place.endpoint.address
        );
        return Err(Refused::busy(1));
    }
    trouble::unreachable(&request.edge, place, &error);
    if Instant::now() >= patience {
        return Err(Refused::unreachable(format!(
            "No worker of the app accepts connections: {error}."
        )));
    }
    Ok(None)
}
