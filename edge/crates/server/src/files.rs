//! Static files: found beneath their root, described, and sent in pieces.
//!
//! Place:  data path -> [files] -> the file system
//! Rule:   nothing outside the root, nothing hidden, nothing but regular files; memory is bounded
//!         by one piece for each answer; decisions are `mergepoint-edge-core::files`.

mod describe;
mod locate;
mod open;
mod send;

use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use mergepoint_edge_core::accept::{self, Encoding};
use mergepoint_edge_core::files::{answer, asks_for_directory, relative_path, Answer, Version};
use mergepoint_edge_core::snapshot::StaticFiles;

use crate::body::{empty, full, Body};
use locate::{Found, Opened, Wanted};
use send::Segment;

/// Why no file is sent; the caller makes the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable name, such as `edge.file_not_found`.
    pub code: &'static str,
    /// One line.
    pub title: &'static str,
    /// One sentence for the developer.
    pub detail: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: String) -> Self {
        Self {
            status,
            code,
            title,
            detail,
        }
    }

    fn not_found() -> Self {
        let detail = "There is no such file, or it may not be served.".to_owned();
        Self::new(
            StatusCode::NOT_FOUND,
            "edge.file_not_found",
            "There is nothing here",
            detail,
        )
    }
}

/// Answer a request for `rest`, the path under the mount in normal form.
///
/// # Errors
/// When there is nothing to send: no such file (404), no permission (403), no root or no
/// descriptors (500).
pub async fn serve(
    app: &StaticFiles,
    rest: &str,
    request: &Parts,
) -> Result<Response<Body>, Refusal> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Ok(method_not_allowed());
    }
    let wanted = wanted(app, rest, request).ok_or_else(Refusal::not_found)?;
    // Opening may touch a slow disk; the runtime's own threads must not wait for it.
    let found = tokio::task::spawn_blocking(move || locate::locate(&wanted)).await;
    match found.unwrap_or_else(|_| Err(unreadable("the search for the file failed")))? {
        Found::File(file) => Ok(send_file(app, *file, request)),
        Found::Directory => redirect(request).ok_or_else(Refusal::not_found),
        Found::Nothing => Err(Refusal::not_found()),
    }
}

fn unreadable(why: impl std::fmt::Display) -> Refusal {
    let title = "The file cannot be read";
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Refusal::new(
        status,
        "edge.file_unreadable",
        title,
        format!("The file cannot be read: {why}."),
    )
}

fn method_not_allowed() -> Response<Body> {
    let mut response = Response::new(full("405 Files can only be read: use GET or HEAD.\n"));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn wanted(app: &StaticFiles, rest: &str, request: &Parts) -> Option<Wanted> {
    let headers = &request.headers;
    let conditional = [
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::RANGE,
    ];
    Some(Wanted {
        root: app.root.clone(),
        path: relative_path(rest)?,
        directory: asks_for_directory(rest),
        slash: request.uri.path().ends_with('/'),
        index: app.index.clone(),
        fallback: app.fallback.clone().filter(|_| wants_page(rest, headers)),
        encodings: encodings(headers),
        // Most small files are sent whole: then the thread that opened one may as well read it.
        eager: request.method == Method::GET
            && !conditional.iter().any(|name| headers.contains_key(name)),
    })
}

/// Whether the fallback page is a sensible answer: a missing picture or script is better missing.
fn wants_page(rest: &str, headers: &HeaderMap) -> bool {
    let last = rest.rsplit('/').next().unwrap_or("");
    let named = headers.get_all(header::ACCEPT).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|text| text.to_ascii_lowercase().contains("text/html"))
    });
    named || mime_guess::from_path(last).first().is_none()
}

/// The encodings the client takes, best first.
fn encodings(headers: &HeaderMap) -> Vec<Encoding> {
    let mut offered = vec![Encoding::Br, Encoding::Zstd, Encoding::Gzip];
    let mut liked = Vec::new();
    while !offered.is_empty() {
        let best = accept::encoding(headers, &offered);
        if best == Encoding::Identity {
            break;
        }
        offered.retain(|encoding| *encoding != best);
        liked.push(best);
    }
    liked
}

/// To the same address with a slash at its end, so that relative links work.
fn redirect(request: &Parts) -> Option<Response<Body>> {
    // Two slashes at the front would name another host.
    let path = request.uri.path().trim_start_matches('/');
    let query = request
        .uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let location = HeaderValue::from_str(&format!("/{path}/{query}")).ok()?;
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    // A directory may become a file tomorrow.
    let hour = HeaderValue::from_static("max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, hour);
    Some(response)
}

fn send_file(app: &StaticFiles, file: Opened, request: &Parts) -> Response<Body> {
    let encoding = if file.encoding == Encoding::Identity {
        ""
    } else {
        file.encoding.as_str()
    };
    let version = Version::new(file.size, file.modified, SystemTime::now(), encoding);
    let mut response = Response::new(empty());
    describe::caching(response.headers_mut(), app, &file, &version);
    let size = file.size;
    match answer(&request.method, &request.headers, &version, size) {
        Answer::Whole => whole(response, file, &request.method),
        Answer::Part(spans) => part(response, file, &spans),
        Answer::NotModified => with_status(response, StatusCode::NOT_MODIFIED),
        Answer::PreconditionFailed => with_status(response, StatusCode::PRECONDITION_FAILED),
        Answer::Unsatisfiable => {
            describe::content_range(response.headers_mut(), &format!("bytes */{size}"));
            with_status(response, StatusCode::RANGE_NOT_SATISFIABLE)
        }
    }
}

fn with_status(mut response: Response<Body>, status: StatusCode) -> Response<Body> {
    *response.status_mut() = status;
    if status.is_client_error() {
        // How long the file stays true says nothing of how long the refusal does.
        response.headers_mut().remove(header::CACHE_CONTROL);
    }
    response
}

fn whole(mut response: Response<Body>, file: Opened, method: &Method) -> Response<Body> {
    let headers = response.headers_mut();
    describe::content(headers, &file);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.size));
    if *method != Method::HEAD {
        *response.body_mut() = send::whole(file);
    }
    response
}

fn part(
    mut response: Response<Body>,
    file: Opened,
    spans: &[mergepoint_edge_core::range::Span],
) -> Response<Body> {
    let headers = response.headers_mut();
    describe::content(headers, &file);
    let segments = match spans {
        [one] => {
            describe::content_range(headers, &one.content_range(file.size));
            vec![Segment::Bytes(*one)]
        }
        many => describe::multipart(headers, many, file.size),
    };
    let length: u64 = segments.iter().map(Segment::length).sum();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    *response.body_mut() = send::segments(file, segments);
    with_status(response, StatusCode::PARTIAL_CONTENT)
}

#[cfg(test)]
mod tests;
