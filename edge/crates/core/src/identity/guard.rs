//! Who may do what where: which guard decides, and whether a visitor meets it.
//!
//! Place: after routing, before an app sees the request; twin of `src/mergepoint/identity/guards.py`, and both read
//! tests/golden/guards.json.
//! Rule: a path that programs may read in several ways must be allowed in every one of them.

use super::claims::{Claims, Kind};
use super::permissions::Roles;
use super::requirement::Requirement;
use crate::snapshot::Access;

mod path;

pub use path::{is_guard_path, Readings};

/// What a guard says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It may pass.
    Allowed,
    /// Nobody is proven, and somebody must be.
    NeedsProof,
    /// Whoever asks may not; these terms were asked for.
    Forbidden(&'a [Requirement]),
}

/// The verdict on a request for `rest`, the path below the mount as `Match::rest` gives it, still encoded.
pub fn judge<'a>(
    access: &'a Access,
    roles: &Roles,
    claims: Option<&Claims>,
    method: &str,
    rest: &str,
) -> Verdict<'a> {
    let readings = Readings::of(rest);
    let mut verdict = Verdict::Allowed;
    for reading in readings.iter() {
        for case in [Case::Exact, Case::Folded] {
            let asked = asked(access, method, reading, case);
            match one(asked, roles, claims) {
                Verdict::Allowed => {}
                Verdict::NeedsProof => verdict = Verdict::NeedsProof,
                Verdict::Forbidden(terms) => return Verdict::Forbidden(terms),
            }
        }
    }
    verdict
}

/// Whether unsafe requests for this path need no proof of origin; only if every reading of it says so.
pub fn is_csrf_exempt(access: &Access, rest: &str) -> bool {
    !access.csrf_exempt.is_empty()
        && Readings::of(rest).iter().all(|reading| {
            access
                .csrf_exempt
                .iter()
                .any(|path| is_below(reading, path.as_bytes(), Case::Exact))
        })
}

/// Whether a visitor meets any one of the terms.
pub fn meets(terms: &[Requirement], roles: &Roles, claims: Option<&Claims>) -> bool {
    terms.iter().any(|term| match (term, claims) {
        (Requirement::Public, _) => true,
        (Requirement::Nobody, _) | (_, None) => false,
        (Requirement::User, Some(_)) => true,
        (Requirement::Person, Some(who)) => who.kind == Kind::Person,
        (Requirement::Service, Some(who)) => who.kind == Kind::Service,
        (Requirement::Role(name), Some(who)) => who.roles.contains(name),
        (Requirement::Group(name), Some(who)) => who.groups.contains(name),
        (Requirement::Permission(name), Some(who)) => who.may(roles, name),
        (Requirement::Subject(name), Some(who)) => who.user == *name,
    })
}

fn one<'a>(terms: &'a [Requirement], roles: &Roles, claims: Option<&Claims>) -> Verdict<'a> {
    if meets(terms, roles, claims) {
        return Verdict::Allowed;
    }
    // Where nobody is let in, to log in would lead to the same refusal.
    let hopeless = terms.iter().all(|term| *term == Requirement::Nobody);
    if claims.is_none() && !hopeless {
        Verdict::NeedsProof
    } else {
        Verdict::Forbidden(terms)
    }
}

/// Some frameworks match routes without regard to case; a path is judged under both rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Exact,
    Folded,
}

/// The terms of the guard that decides: longest path, then one that names methods, then the first.
fn asked<'a>(access: &'a Access, method: &str, path: &[u8], case: Case) -> &'a [Requirement] {
    let mut best: Option<(usize, bool)> = None;
    let mut terms = &access.require;
    for guard in &access.guards {
        if !takes(&guard.methods, method) || !is_below(path, guard.path.as_bytes(), case) {
            continue;
        }
        let rank = (guard.path.len(), !guard.methods.is_empty());
        if best.is_none_or(|best| rank > best) {
            best = Some(rank);
            terms = &guard.require;
        }
    }
    terms
}

fn takes(methods: &[String], method: &str) -> bool {
    methods.is_empty()
        || methods
            .iter()
            .any(|name| name == method || (name == "GET" && method == "HEAD"))
}

/// On whole segments; `/` holds everything.
fn is_below(path: &[u8], guard: &[u8], case: Case) -> bool {
    if guard == b"/" {
        return true;
    }
    let Some((start, rest)) = path.split_at_checked(guard.len()) else {
        return false;
    };
    let same = match case {
        Case::Exact => start == guard,
        Case::Folded => start.eq_ignore_ascii_case(guard),
    };
    same && matches!(rest.first(), None | Some(b'/'))
}
