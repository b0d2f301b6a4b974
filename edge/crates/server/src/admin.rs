//! What an operator's listener answers: alive, ready, metrics.
//!
//! Place: exchange.rs -> [admin]
//! Rule:  reads only; nothing of the site is served here.

use http::header::{self, HeaderValue};
use http::{request::Parts, Method, Response, StatusCode};

use crate::body::{self, Body};
use crate::edge::Edge;

/// Answer an operator's request.
pub fn answer(edge: &Edge, parts: &Parts) -> Response<Body> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD\n".to_owned(),
        );
    }
    match parts.uri.path() {
        "/livez" => text(StatusCode::OK, "alive\n".to_owned()),
        "/readyz" => match unready(edge) {
            None => text(StatusCode::OK, "ready\n".to_owned()),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/metrics" => text(StatusCode::OK, edge.exposition()),
        _ => text(
            StatusCode::NOT_FOUND,
            "here are /livez, /readyz and /metrics\n".to_owned(),
        ),
    }
}

/// Why a balancer should send its requests elsewhere.
fn unready(edge: &Edge) -> Option<&'static str> {
    if edge.drain.is_draining() {
        return Some("draining");
    }
    let pools = edge.pools();
    let none_ready = !pools.is_empty() && !pools.iter().any(|app| app.line.has_ready_slot());
    none_ready.then_some("no app has a ready worker")
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    // The version is the one of the Prometheus text format and means nothing to others.
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
