//! What an answer to an unsafe request makes untrue (RFC 9111 section 4.4).
//!
//! Place: asked by the server after every answer to an unsafe request.
//! Rule: only addresses of the same origin, so that no site drops what another one keeps.

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};

use super::key::Place;
use super::tags::{self, Tag};
use crate::host::Host;
use crate::target::NormalTarget;

/// The request may have changed something at its address.
pub fn changes(method: &Method, status: StatusCode) -> bool {
    !method.is_safe() && (status.is_success() || status.is_redirection())
}

/// The addresses that an answer drops: its own, and those it names.
pub fn dropped(place: &Place<'_>, answer: &HeaderMap) -> Vec<Tag> {
    let mut all = vec![place.address()];
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let named = answer.get(&name).and_then(|value| value.to_str().ok());
        all.extend(named.and_then(|text| resolve(place, text)));
    }
    all
}

/// The address a reference leads to, if it has the same origin (RFC 3986 section 5, without dot segments, which no
/// address of ours holds).
fn resolve(place: &Place<'_>, text: &str) -> Option<Tag> {
    let text = text.split('#').next().unwrap_or(text);
    let target = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (host, target) = rest.split_at(end);
            let same = scheme.eq_ignore_ascii_case(place.scheme)
                && Host::parse(host).is_ok_and(|host| host.text() == place.host);
            if !same {
                return None;
            }
            match target.starts_with('/') {
                true => target.to_owned(),
                false => format!("/{target}"),
            }
        }
        _ if text.starts_with("//") => return None,
        _ if text.is_empty() => place.target(),
        _ if text.starts_with('/') => text.to_owned(),
        _ if text.starts_with('?') => format!("{}{text}", place.path),
        _ => {
            let directory = place.path.rfind('/').map_or("/", |end| &place.path[..=end]);
            format!("{directory}{text}")
        }
    };
    let target = NormalTarget::parse(&target).ok()?;
    Some(tags::address(place.scheme, place.host, &target.to_string()))
}
