//! Which host and which resource a request names.
//!
//! Place: part of `strict`.
//! Rule: one host, said once or said twice alike, and a target in a form that fits the method.

use http::header::{self, HeaderMap};
use http::Method;

use super::{is_h1, Head, Refusal, Target};
use crate::host::Host;
use crate::target::NormalTarget;

pub(super) fn host(head: Head<'_>) -> Result<Host, Refusal> {
    let named = host_field(head.headers)?;
    let authority = head
        .uri
        .authority()
        .map(|a| parse_host(a.as_str()))
        .transpose()?;
    match (named, authority) {
        (Some(named), Some(authority))
            if named != authority && !same_by_default(head, &named, &authority) =>
        {
            Err(Refusal::bad(
                "edge.host_differs",
                "Host and the address of the request name different hosts.",
            ))
        }
        (Some(_), Some(authority)) if !is_h1(head.version) => Ok(authority),
        (Some(named), _) => Ok(named),
        (None, Some(authority)) if !is_h1(head.version) => Ok(authority),
        (None, _) => Err(Refusal::bad(
            "edge.host_missing",
            "The request names no host.",
        )),
    }
}

/// `example.org` and `example.org:80` are the same host when the scheme is http.
fn same_by_default(head: Head<'_>, a: &Host, b: &Host) -> bool {
    let port = match head.uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    a.name() == b.name() && a.port_or(port) == b.port_or(port)
}

fn host_field(headers: &HeaderMap) -> Result<Option<Host>, Refusal> {
    let mut values = headers.get_all(header::HOST).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refusal::bad(
            "edge.host_repeated",
            "The request has more than one Host field.",
        ));
    }
    let text = first.to_str().map_err(|_| host_invalid())?;
    parse_host(text).map(Some)
}

fn parse_host(text: &str) -> Result<Host, Refusal> {
    Host::parse(text).map_err(|_| host_invalid())
}

fn host_invalid() -> Refusal {
    Refusal::bad(
        "edge.host_invalid",
        "The host is not a valid name or address.",
    )
}

pub(super) fn target(head: Head<'_>) -> Result<Target, Refusal> {
    let invalid = |message: &str| Err(Refusal::bad("edge.target_invalid", message));
    let uri = head.uri;
    if let Some(scheme) = uri.scheme_str() {
        if !matches!(scheme, "http" | "https") {
            return invalid("The address of the request has a scheme other than http and https.");
        }
    } else if uri.authority().is_some() && is_h1(head.version) {
        return invalid("The address of the request is only a host.");
    }
    let raw = uri.path_and_query().map_or("", |target| target.as_str());
    if raw == "*" {
        return if head.method == Method::OPTIONS {
            Ok(Target::Server)
        } else {
            invalid("The address * goes only with OPTIONS.")
        };
    }
    match NormalTarget::parse(raw) {
        Ok(target) => Ok(Target::Resource(target)),
        Err(error) => invalid(&format!(
            "The address of the request is not valid: {error}."
        )),
    }
}
