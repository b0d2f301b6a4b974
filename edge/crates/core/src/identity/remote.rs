//! The plain fields that tell an app who asks.
//!
//! Place: set on a request to an app after everything a client said in their place was removed.
//! Rule: one name, one value, no control character; a group whose name could be read as two is not told here.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::claims::Claims;
use crate::snapshot::{Access, RemoteField};

/// Longest list of groups; the rest is in `Mergepoint-Identity`, and workers refuse longer fields.
pub const LIST_BYTES_MAX: usize = 4096;

const STANDARD: [(HeaderName, Carries); 4] = [
    (
        HeaderName::from_static("remote-user"),
        Carries::One(RemoteField::User),
    ),
    (
        HeaderName::from_static("remote-name"),
        Carries::One(RemoteField::Name),
    ),
    (
        HeaderName::from_static("remote-email"),
        Carries::One(RemoteField::Email),
    ),
    (
        HeaderName::from_static("remote-groups"),
        Carries::RolesAndGroups,
    ),
];

#[derive(Debug, Clone, Copy)]
enum Carries {
    One(RemoteField),
    RolesAndGroups,
}

/// Removes the app's own fields from what a client sent; the standard ones fall to `headers::strip_request`.
///
/// A client's `X_Webauth_User` falls there too, as every name with `_` does.
pub fn strip(headers: &mut HeaderMap, access: &Access) {
    for name in access.headers.keys() {
        headers.remove(name.as_str());
    }
}

/// Sets the standard fields and the app's own; what is empty is left out.
pub fn tell(headers: &mut HeaderMap, access: &Access, claims: &Claims) {
    for (name, carries) in &STANDARD {
        set(headers, name, value(*carries, claims));
    }
    for (name, field) in &access.headers {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            set(headers, &name, value(Carries::One(*field), claims));
        }
    }
}

fn set(headers: &mut HeaderMap, name: &HeaderName, value: String) {
    headers.remove(name);
    if value.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name.clone(), value);
    }
}

fn value(carries: Carries, claims: &Claims) -> String {
    match carries {
        Carries::One(RemoteField::User) => clean(&claims.user),
        Carries::One(RemoteField::Name) => clean(&claims.name),
        Carries::One(RemoteField::Email) => clean(&claims.email),
        Carries::One(RemoteField::Groups) => list(claims.groups.iter()),
        Carries::One(RemoteField::Roles) => list(claims.roles.iter()),
        Carries::RolesAndGroups => list(claims.roles.iter().chain(&claims.groups)),
    }
}

/// Without control characters, and without spaces at its ends, which no field keeps.
fn clean(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control()).collect();
    kept.trim().to_owned()
}

/// Joined by commas, each once, in order.
fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let mut joined = String::new();
    for name in names {
        let plain = !name.is_empty() && !name.contains(',') && clean(name) == *name;
        let known = joined.split(',').any(|known| known == name);
        if !plain || known || joined.len() + name.len() >= LIST_BYTES_MAX {
            continue;
        }
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(name);
    }
    joined
}
