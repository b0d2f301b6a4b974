//! Ranges and shapes of identity, and of what apps ask of their visitors.
//!
//! Place: part of `check`.
//! Rule: as `check`; besides, no app of a site with identity is left without a requirement, nor the reverse.

use std::collections::HashSet;

use http::HeaderName;

use super::check::{is_mount, Problems, COUNT_MAX};
use super::{Access, App, Guard, Identity, Snapshot, KEY_BYTES};
use crate::headers::may_carry_identity;
use crate::identity::claims::LIFE_S_MAX;
use crate::identity::guard::is_guard_path;
use crate::identity::requirement::NAME_BYTES_MAX;
use crate::identity::revocations::KEEP_S;
use crate::identity::token::is_kid;
use crate::strict::METHOD_BYTES_MAX;

/// Accounts keeps revocations for `KEEP_S`; a token lives `LIFE_S_MAX` at most, and no longer than this beyond it, so
/// that no edge meets a token whose revocation it was never told.
const STALE_S_MAX: f64 = KEEP_S - LIFE_S_MAX;
/// Longest name of the issuer.
const ISSUER_BYTES_MAX: usize = 256;

pub(super) fn identity(snapshot: &Snapshot, found: &mut Problems) {
    if let Some(identity) = &snapshot.identity {
        place(snapshot, identity, found);
        keys(identity, found);
        bounds(identity, found);
        roles(identity, found);
    }
    for (name, app) in &snapshot.apps {
        let path = format!("apps.{name}.access");
        match (app.access(), &snapshot.identity) {
            (Some(asked), Some(_)) => access(&path, asked, found),
            (None, None) => {}
            (None, Some(_)) => found.add(&path, "must be given, because the site has an identity"),
            (Some(_), None) => found.add(&path, "must be null, because identity is null"),
        }
    }
}

fn place(snapshot: &Snapshot, identity: &Identity, found: &mut Problems) {
    match snapshot.apps.get(&identity.app) {
        Some(App::Pool(_)) => {}
        Some(_) => found.add(
            "identity.app",
            format!("{:?} is not a pool of workers", identity.app),
        ),
        None => found.add(
            "identity.app",
            format!("{:?} is not among apps", identity.app),
        ),
    }
    if !is_mount(&identity.mount) {
        found.add(
            "identity.mount",
            format!(
                "{:?} must be / or begin with / and end without, in normal form",
                identity.mount
            ),
        );
    }
    let issuer = &identity.issuer;
    if issuer.is_empty() || issuer.len() > ISSUER_BYTES_MAX || issuer.chars().any(char::is_control)
    {
        found.add(
            "identity.issuer",
            format!("must be 1 to {ISSUER_BYTES_MAX} bytes without control characters"),
        );
    }
}

fn keys(identity: &Identity, found: &mut Problems) {
    kid("identity.signing.kid", &identity.signing.kid, found);
    if identity.signing.seed.bytes().len() != KEY_BYTES {
        found.add(
            "identity.signing.seed",
            format!("must be {KEY_BYTES} bytes in base64"),
        );
    }
    let mut kids = HashSet::new();
    for (index, key) in identity.published.iter().enumerate() {
        let path = format!("identity.published[{index}].kid");
        kid(&path, &key.kid, found);
        if !kids.insert(&key.kid) {
            found.add(&path, format!("{:?} appears twice", key.kid));
        }
    }
}

fn kid(path: &str, kid: &str, found: &mut Problems) {
    if !is_kid(kid) {
        let message = format!("{kid:?} must be 1 to 64 of A-Z, a-z, 0-9, ., _ and -");
        found.add(path, message);
    }
}

fn bounds(identity: &Identity, found: &mut Problems) {
    let seconds = [
        (
            "refresh_before_s",
            identity.refresh_before_s,
            0.0,
            LIFE_S_MAX,
        ),
        ("stale_s", identity.stale_s, 0.0, STALE_S_MAX),
        ("skew_s", identity.skew_s, 0.0, 300.0),
        ("poll_s", identity.poll_s, 0.01, 60.0),
        ("call_s", identity.call_s, 0.01, 60.0),
        ("credential_s", identity.credential_s, 0.0, 3_600.0),
    ];
    for (name, value_s, least_s, most_s) in seconds {
        found.within(&format!("identity.{name}"), value_s, least_s..=most_s);
    }
    let counts = [
        ("sessions_max", identity.sessions_max),
        ("credentials_max", identity.credentials_max),
        ("revocations_max", identity.revocations_max),
    ];
    for (name, count) in counts {
        found.within(&format!("identity.{name}"), count, 1..=COUNT_MAX);
    }
}

fn roles(identity: &Identity, found: &mut Problems) {
    for (role, permissions) in &identity.roles {
        let path = format!("identity.roles.{role}");
        if !is_name(role) {
            found.add(&path, name_rule(role));
        }
        for (index, permission) in permissions.iter().enumerate() {
            if !is_name(permission) {
                found.add(&format!("{path}[{index}]"), name_rule(permission));
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

fn name_rule(name: &str) -> String {
    format!("{name:?} must be 1 to {NAME_BYTES_MAX} bytes without control characters")
}

fn access(path: &str, access: &Access, found: &mut Problems) {
    if access.require.is_empty() {
        found.add(&format!("{path}.require"), NO_TERM);
    }
    for (index, asked) in access.guards.iter().enumerate() {
        guard(&format!("{path}.guards[{index}]"), asked, found);
    }
    for (index, exempt) in access.csrf_exempt.iter().enumerate() {
        guard_path(&format!("{path}.csrf_exempt[{index}]"), exempt, found);
    }
    for name in access.headers.keys() {
        let known = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|n| n.as_str() == name);
        if !known || !may_carry_identity(name) {
            let message =
                "must be the lower-case name of a field that nothing else gives a meaning";
            found.add(&format!("{path}.headers.{name}"), message);
        }
    }
}

const NO_TERM: &str = "must name at least one term; public lets everybody in, nobody nobody";

fn guard(path: &str, guard: &Guard, found: &mut Problems) {
    guard_path(&format!("{path}.path"), &guard.path, found);
    if guard.require.is_empty() {
        found.add(&format!("{path}.require"), NO_TERM);
    }
    for (index, method) in guard.methods.iter().enumerate() {
        let plain =
            |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if method.is_empty() || method.len() > METHOD_BYTES_MAX || !method.bytes().all(plain) {
            let message = format!("{method:?} must be a method in upper case");
            found.add(&format!("{path}.methods[{index}]"), message);
        }
    }
}

fn guard_path(path: &str, given: &str, found: &mut Problems) {
    if !is_guard_path(given) {
        let message = format!(
            "{given:?} must be / or begin with / and end without, decoded, without repeated slashes, \
             dot segments, ; and backslash"
        );
        found.add(path, message);
    }
}
