//! One request from its head to its answer's head.
//!
//! Place: client/serve.rs calls it for every request -> [exchange] -> proxy.rs, files.rs, admin.rs
//! Rule:  checked, then located, then routed, then answered, in that order; whatever happens inside, the client gets
//!        an answer and the record is written once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use http::header::{self, HeaderValue};
use http::{request::Parts, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use mergepoint_edge_core::accept::error_form;
use mergepoint_edge_core::forwarded::{Origin, Scheme};
use mergepoint_edge_core::headers::strip_request;
use mergepoint_edge_core::identity::Claims;
use mergepoint_edge_core::router::Match;
use mergepoint_edge_core::snapshot::{Redirect, StaticFiles};
use mergepoint_edge_core::strict::{self, Accepted, Head, Target};
use mergepoint_edge_core::target::NormalTarget;
use mergepoint_edge_core::trace;

use crate::admin;
use crate::answer::Answer;
use crate::body::{self, Body};
use crate::cache;
use crate::client::connection::Connection;
use crate::compress;
use crate::edge::{Edge, Kind, Loaded};
use crate::encrypted;
use crate::identity;
use crate::identity::admit::{admit, Admitted};
use crate::identity::told::Block;
use crate::proxy::{self, Tally, Way};
use crate::random;
use crate::record::Record;
use crate::refuse::Refused;

/// A request that was checked, with where it came from.
pub struct Checked {
    /// What the strict layer found.
    pub accepted: Accepted,
    /// The client, its scheme and host.
    pub origin: Origin,
    /// The path and query in normal form.
    pub target: NormalTarget,
    /// For a tunnel.
    pub upgrade: Option<OnUpgrade>,
    /// Who was proven.
    pub visitor: Option<Arc<Claims>>,
    /// What the app is told of them.
    pub told: Option<Arc<Block>>,
}

impl Checked {
    /// The same once more, for a request of our own; a tunnel is not asked for twice.
    pub fn again(&self) -> Checked {
        Checked {
            accepted: self.accepted.clone(),
            origin: self.origin.clone(),
            target: self.target.clone(),
            upgrade: None,
            visitor: self.visitor.clone(),
            told: self.told.clone(),
        }
    }
}

/// Answer one request.
pub async fn answer(
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    mut request: Request<Incoming>,
) -> Response<Answer> {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (mut parts, body) = request.into_parts();
    let loaded = edge.loaded();
    let http1 = parts.version <= Version::HTTP_11;
    let odd = connection.begin(http1);
    let mut record = Box::new(Record::new(
        &edge,
        &connection,
        loaded.snapshot.access_log,
        &parts,
    ));
    let outcome = match odd {
        Some(odd) => Err(Refused::odd(odd)),
        None => {
            let handled = handle(
                &edge,
                &connection,
                &loaded,
                (&mut parts, body),
                upgrade,
                &mut record,
            );
            AssertUnwindSafe(handled)
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(Refused::internal()))
        }
    };
    let mut close = edge.drain.is_draining();
    let mut response = outcome.unwrap_or_else(|refused| {
        close |= refused.close;
        edge.metrics.refused(refused.code);
        refused.render(
            &record.request_id,
            error_form(&parts.headers),
            loaded.snapshot.mode,
        )
    });
    record.mark(response.headers_mut());
    if record.secure {
        encrypted::insist(response.headers_mut(), loaded.snapshot.hsts_s);
    }
    if close && http1 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    record.status = Some(response.status());
    response.map(|body| Answer::new(body, record))
}

async fn handle(
    edge: &Arc<Edge>,
    connection: &Arc<Connection>,
    loaded: &Arc<Loaded>,
    (parts, body): (&mut Parts, Incoming),
    upgrade: Option<OnUpgrade>,
    record: &mut Record,
) -> Result<Response<Body>, Refused> {
    if connection.admin {
        record.silent = true;
        return Ok(admin::answer(edge, parts));
    }
    let head = Head {
        method: &parts.method,
        uri: &parts.uri,
        version: parts.version,
        headers: &parts.headers,
    };
    let mut accepted = strict::check(head, &loaded.snapshot.limits).map_err(Refused::strict)?;
    let origin = locate(connection, loaded, parts, &accepted);
    record.peer = origin.client;
    record.host = origin.host.name().to_owned();
    strip_request(&mut parts.headers);
    record.request_id =
        trace::set_request_id(&mut parts.headers, origin.trusted, random::bits128());
    let context = trace::set_trace(&mut parts.headers, random::bits128(), random::bits64());
    record.trace_id = Some(context.trace_id);
    let target = match std::mem::replace(&mut accepted.target, Target::Server) {
        Target::Resource(target) => target,
        Target::Server => return Ok(answer_for_server()),
    };
    let checked = Checked {
        accepted,
        origin,
        target,
        upgrade,
        visitor: None,
        told: None,
    };
    record.secure = checked.origin.scheme == Scheme::Https;
    if let Some(away) = encrypted::sent_to_https(connection.https_port, &checked, parts) {
        return away;
    }
    if let Some(keys) = identity::keys(loaded, parts, checked.target.path.as_str()) {
        return Ok(keys);
    }
    route(edge, loaded, (parts, body), checked, record).await
}

fn locate(connection: &Connection, loaded: &Loaded, parts: &Parts, accepted: &Accepted) -> Origin {
    let scheme = if connection.tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let peer = connection.peer().map(|peer| peer.ip());
    Origin::evaluate(
        &parts.headers,
        peer,
        scheme,
        &accepted.host,
        &loaded.snapshot.trusted_proxies,
    )
}

async fn route(
    edge: &Arc<Edge>,
    loaded: &Arc<Loaded>,
    (parts, body): (&mut Parts, Incoming),
    mut checked: Checked,
    record: &mut Record,
) -> Result<Response<Body>, Refused> {
    let found = loaded
        .router
        .route(&checked.origin.host, &checked.target.path);
    let found = found.ok_or_else(|| {
        Refused::not_found(checked.origin.host.name(), checked.target.path.as_str())
    })?;
    let found = &found;
    let member = loaded.apps.get(found.app).ok_or_else(Refused::internal)?;
    let flight = record.routed(member, checked.target.path.as_str());
    let way = (member, found);
    let admitted = admit((edge, loaded), way, parts, &mut checked, record).await;
    let guarded = match admitted.map_err(|refused| refused.of(found.app))? {
        Admitted::Answered(response) => return Ok(response),
        Admitted::Passes { guarded } => guarded,
    };
    let mut answered = match &member.kind {
        Kind::Pool(pool) => {
            let way = Way {
                edge,
                loaded,
                app: pool,
                found,
            };
            let mut tally = Tally {
                received: Arc::clone(&record.received),
                upstream: None,
                flight,
            };
            let answered = match way.keeps() {
                Some(keeps) => cache::answer(way, keeps, (parts, body), checked, &mut tally).await,
                None => proxy::answer(way, (parts, Some(body)), checked, &mut tally).await,
            };
            record.upstream = tally.upstream;
            answered
        }
        Kind::Static(files) => send_file(loaded, files, found, parts).await,
        Kind::Redirect(redirect) => redirected(redirect, found, &checked),
    };
    if let (true, Ok(response)) = (guarded, &mut answered) {
        identity::answer::keep_private(response.headers_mut());
    }
    answered.map_err(|refused| refused.of(found.app))
}

async fn send_file(
    loaded: &Loaded,
    files: &StaticFiles,
    found: &Match<'_>,
    parts: &Parts,
) -> Result<Response<Body>, Refused> {
    let response = crate::files::serve(files, &found.rest, parts).await;
    let response = response.map_err(Refused::file)?;
    if !files.compress {
        return Ok(response);
    }
    let settings = &loaded.snapshot.compression;
    Ok(compress::apply(
        response,
        &parts.method,
        &parts.headers,
        settings,
    ))
}

/// `OPTIONS *` asks about the server, and the server is the edge.
fn answer_for_server() -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn redirected(
    redirect: &Redirect,
    found: &Match<'_>,
    checked: &Checked,
) -> Result<Response<Body>, Refused> {
    let mut to = redirect.to.clone();
    if redirect.keep_path {
        to.truncate(to.trim_end_matches('/').len());
        to.push_str(&found.rest);
        if let Some(query) = &checked.target.query {
            to.push('?');
            to.push_str(query);
        }
    }
    let status = StatusCode::from_u16(redirect.status).map_err(|_| Refused::internal())?;
    location(status, &to)
}

/// A redirect to `to`.
///
/// # Errors
/// `to` is no header value.
pub fn location(status: StatusCode, to: &str) -> Result<Response<Body>, Refused> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    let to = HeaderValue::from_str(to).map_err(|_| Refused::internal())?;
    response.headers_mut().insert(header::LOCATION, to);
    Ok(response)
}
