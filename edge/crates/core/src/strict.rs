//! Which requests are let in at all.
//!
//! Place: the first thing done with every request head, before routing.
//! Rule: a request that two HTTP implementations could read in two ways is refused, whatever hyper made of it.
//!
//! What hyper 1.12 hides from `http::Request` and the server must therefore settle itself:
//! * Content-Length beside Transfer-Encoding: hyper drops the length, reads chunks, and closes afterwards (RFC 9112
//!   section 6.3 allows it); the request is re-framed on its way to the worker, so nothing ambiguous passes.
//! * bare LF line ends: read as CRLF, and written as CRLF to the worker.
//! * a fragment in the target: cut off by `http::Uri`.
//! * trailers: the server must not forward them.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version};

use crate::cookie::list_tokens;
use crate::host::Host;
use crate::snapshot::Limits;
use crate::target::NormalTarget;

mod framing;
mod place;
mod upgrade;

pub use framing::Framing;

/// Longest method name; the longest registered one has 17 letters.
pub const METHOD_BYTES_MAX: usize = 32;

/// A request head as hyper hands it over.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target: origin-form, absolute-form, `*`, or for HTTP/2 scheme, authority and path.
    pub uri: &'a Uri,
    /// HTTP/1.0, 1.1 or 2.
    pub version: Version,
    /// The fields.
    pub headers: &'a HeaderMap,
}

/// What the request asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A resource.
    Resource(NormalTarget),
    /// `OPTIONS *`: the server as a whole; the edge answers it itself.
    Server,
}

/// What a request that was let in says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What it asks about.
    pub target: Target,
    /// The one host it names.
    pub host: Host,
    /// How its body ends.
    pub framing: Framing,
    /// It asks for a WebSocket over HTTP/1.1, correctly.
    pub websocket: bool,
    /// It waits for `100 Continue`.
    pub expects_continue: bool,
}

/// The answer to a request that is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable code such as `edge.host_missing`, for logs and metrics.
    pub code: &'static str,
    /// One sentence for the visitor; repeats nothing the visitor sent.
    pub message: String,
    /// The connection cannot be trusted any more.
    pub close: bool,
}

impl Refusal {
    pub(crate) fn bad(code: &'static str, message: &str) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.to_owned(),
            close: true,
        }
    }

    pub(crate) fn with(status: StatusCode, code: &'static str, message: String) -> Refusal {
        Refusal {
            status,
            code,
            message,
            close: false,
        }
    }
}

/// Lets a request in, or says why not.
///
/// # Errors
/// The refusal to answer with; nothing of the request may reach a worker.
pub fn check(head: Head<'_>, limits: &Limits) -> Result<Accepted, Refusal> {
    version(head.version)?;
    sizes(head, limits)?;
    method(head.method)?;
    let framing = framing::framing(head)?;
    connection_fields(head)?;
    let target = place::target(head)?;
    let host = place::host(head)?;
    let websocket = upgrade::websocket(head, &framing)?;
    let expects_continue = expectation(head)?;
    Ok(Accepted {
        target,
        host,
        framing,
        websocket,
        expects_continue,
    })
}

pub(crate) fn is_h1(version: Version) -> bool {
    version <= Version::HTTP_11
}

fn version(version: Version) -> Result<(), Refusal> {
    match version {
        Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2 => Ok(()),
        _ => Err(Refusal::with(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "edge.version",
            "This server speaks HTTP/1.0, HTTP/1.1 and HTTP/2.".to_owned(),
        )),
    }
}

fn sizes(head: Head<'_>, limits: &Limits) -> Result<(), Refusal> {
    let target = head
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > limits.target_bytes_max {
        let message = format!(
            "The address is longer than {} bytes.",
            limits.target_bytes_max
        );
        return Err(Refusal::with(
            StatusCode::URI_TOO_LONG,
            "edge.target_too_long",
            message,
        ));
    }
    let too_large = |message: String| {
        Err(Refusal::with(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "edge.headers_too_large",
            message,
        ))
    };
    if head.headers.len() > limits.headers_max {
        return too_large(format!(
            "The request has more than {} header fields.",
            limits.headers_max
        ));
    }
    let bytes: usize = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if bytes > limits.header_bytes_max {
        return too_large(format!(
            "The header fields are longer than {} bytes.",
            limits.header_bytes_max
        ));
    }
    Ok(())
}

/// `http::Method` has already made sure of a token.
fn method(method: &Method) -> Result<(), Refusal> {
    let name = method.as_str();
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        let message = format!("This server does not answer {name}.");
        return Err(Refusal::with(
            StatusCode::METHOD_NOT_ALLOWED,
            "edge.method_refused",
            message,
        ));
    }
    // Methods are case-sensitive, but some workers fold their case: `get` would be two things at once.
    let plain = |b: u8| {
        b.is_ascii_uppercase()
            || b.is_ascii_digit()
            || matches!(b, b'-' | b'_' | b'.' | b'$' | b'!' | b'*' | b'+')
    };
    if name.len() > METHOD_BYTES_MAX || !name.bytes().all(plain) {
        return Err(Refusal::bad(
            "edge.method_invalid",
            "The method is not a known kind of name; methods are written in upper case.",
        ));
    }
    Ok(())
}

/// Fields that belong to one connection have no place in HTTP/2 (RFC 9113 section 8.2.2).
fn connection_fields(head: Head<'_>) -> Result<(), Refusal> {
    if is_h1(head.version) {
        let fields = [header::CONNECTION, header::UPGRADE];
        if fields
            .iter()
            .flat_map(|name| head.headers.get_all(name))
            .any(|value| value.to_str().is_err())
        {
            return Err(Refusal::bad(
                "edge.connection_invalid",
                "Connection or Upgrade holds bytes outside ASCII.",
            ));
        }
        return Ok(());
    }
    const REFUSED: [HeaderName; 4] = [
        header::CONNECTION,
        header::UPGRADE,
        header::TRANSFER_ENCODING,
        HeaderName::from_static("keep-alive"),
    ];
    let te_fits = head
        .headers
        .get_all(header::TE)
        .iter()
        .all(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    if !te_fits
        || head.headers.contains_key("proxy-connection")
        || REFUSED.iter().any(|name| head.headers.contains_key(name))
    {
        return Err(Refusal::bad(
            "edge.connection_field",
            "The request holds a field that HTTP/2 does not allow.",
        ));
    }
    Ok(())
}

fn expectation(head: Head<'_>) -> Result<bool, Refusal> {
    let mut values = head.headers.get_all(header::EXPECT).iter();
    let Some(value) = values.next() else {
        return Ok(false);
    };
    if values.next().is_some() || !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        let message = "The only expectation this server knows is 100-continue.".to_owned();
        return Err(Refusal {
            close: true,
            ..Refusal::with(StatusCode::EXPECTATION_FAILED, "edge.expectation", message)
        });
    }
    Ok(head.version >= Version::HTTP_11)
}

/// Whether a list field such as Connection names a token, in any case.
pub(crate) fn names_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value: &HeaderValue| value.to_str().ok())
        .flat_map(list_tokens)
        .any(|found| found.eq_ignore_ascii_case(token))
}
