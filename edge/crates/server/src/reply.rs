//! A worker's answer as the client gets it.
//!
//! Place: proxy.rs -> [reply] -> answer.rs, or tunnel.rs after a 101
//! Rule:  nothing the edge says is left to the worker, and nothing the worker says to the edge reaches the client.

use http::header::{self, HeaderMap, HeaderValue};
use http::{request::Parts, Response, StatusCode};
use http_body_util::BodyExt;
use mergepoint_edge_core::choose::{Rules, Wish};
use mergepoint_edge_core::headers::strip_response;
use mergepoint_edge_core::prefix::{self, Mount, Site};
use mergepoint_edge_core::router::Match;
use mergepoint_edge_core::snapshot::PrefixMode;
use mergepoint_edge_core::sticky;

use crate::attempt::{Answered, Request};
use crate::body::{self, Body};
use crate::cache;
use crate::clock::seconds;
use crate::compress;
use crate::edge::Loaded;
use crate::exchange::Checked;
use crate::flight::Phase;
use crate::identity::{self, live};
use crate::pool::place::Place;
use crate::refuse::Refused;
use crate::trouble;
use crate::tunnel;
use crate::upstream::download::{Download, DownloadError, Release};
use crate::upstream::framing::Framing;
use crate::upstream::link::Link;
use crate::upstream::upload::Upload;

/// The request an answer belongs to.
pub struct Context<'a> {
    /// As it was tried.
    pub request: &'a Request,
    /// The snapshot it started under.
    pub loaded: &'a Loaded,
    /// Where it was routed.
    pub found: &'a Match<'a>,
    /// The mount, unless it is the root.
    pub mount: Option<Mount<'a>>,
    /// What is known of it.
    pub checked: Checked,
    /// The slot it wished for.
    pub wish: Wish,
}

/// The place of a request until its body is through.
struct Occupancy {
    place: Place,
    edge: std::sync::Arc<crate::edge::Edge>,
}

impl Release for Occupancy {
    fn reuse(&mut self, link: Link) {
        self.place.endpoint.keep(link);
    }

    fn failed(&mut self, error: &DownloadError) {
        trouble::failed(&self.edge, &self.place, &error.to_string());
    }
}

/// The answer for the client.
///
/// # Errors
/// The worker switched protocols unasked.
pub fn reply(
    context: Context<'_>,
    answered: Answered,
    upload: Upload,
    parts: &Parts,
) -> Result<Response<Body>, Refused> {
    if answered.head.status == StatusCode::SWITCHING_PROTOCOLS {
        return tunnel::begin(context, answered);
    }
    context.request.flight.enter(Phase::Answering);
    let Answered {
        place,
        link,
        sending,
        mut head,
        ..
    } = answered;
    if !matches!(head.framing, Framing::Length(_) | Framing::Done) {
        head.headers.remove(header::CONTENT_LENGTH);
    }
    let slot = place.slot;
    let said = cache::said(&context, &mut head.headers);
    let sticky = clean(&context, slot, &mut head.headers);
    let settings = &context.request.app.settings;
    let occupancy = Occupancy {
        place,
        edge: std::sync::Arc::clone(&context.request.edge),
    };
    let idle = seconds(settings.timeouts.body_idle_s);
    let mut download = Download::new(
        link,
        (head.framing, head.reusable),
        (sending, upload),
        idle,
        occupancy,
    );
    let body = match download.take_whole() {
        Some(whole) if whole.is_empty() => body::empty(),
        Some(whole) => body::full(whole),
        None => download.boxed_unsync(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if let Some(said) = said {
        response.extensions_mut().insert(said);
        sticky.map(|cookie| response.extensions_mut().insert(Sticky(cookie)));
    } else if let Some(cookie) = sticky {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    if settings.compress {
        response = compress::apply(
            response,
            &parts.method,
            &parts.headers,
            &context.loaded.snapshot.compression,
        );
    }
    if context.checked.visitor.is_none() || !is_event_stream(response.headers()) {
        return Ok(response);
    }
    Ok(match context.checked.enter_live(&context.request.edge)? {
        Some(alive) => response.map(|body| live::bound(body, alive)),
        None => response,
    })
}

/// The answer lasts until somebody closes it.
fn is_event_stream(headers: &HeaderMap) -> bool {
    const KIND: &[u8] = b"text/event-stream";
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().trim_ascii_start();
        kind.get(..KIND.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(KIND))
    })
}

/// The cookie that binds a visitor to a slot, which concerns nobody else who is given the same answer.
#[derive(Debug, Clone)]
pub struct Sticky(pub HeaderValue);

/// Take away what is between worker and edge, and repair the mount; the cookie that binds the visitor to the slot.
fn clean(context: &Context<'_>, slot: u32, headers: &mut HeaderMap) -> Option<HeaderValue> {
    strip_response(headers);
    let (settings, checked) = (&context.request.app.settings, &context.checked);
    if let (PrefixMode::Strip, Some(mount)) = (settings.prefix, context.mount) {
        let site = Site {
            scheme: checked.origin.scheme,
            host: &checked.origin.host,
        };
        prefix::repair(headers, mount, site);
    }
    let request = context.request;
    identity::confine(
        &request.edge,
        context.loaded,
        &request.app,
        context.found,
        headers,
    );
    if Rules::is_sticky(settings) && context.wish.sticky != Some(slot) {
        let secret = &context.loaded.snapshot.secret;
        let found = context.found;
        return sticky::set_cookie(secret, found.app, slot, found.prefix, checked.origin.scheme);
    }
    None
}
