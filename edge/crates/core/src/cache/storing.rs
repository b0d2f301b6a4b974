//! Whether an answer is kept, for how long, and for whom (RFC 9111 section 3, RFC 5861).
//!
//! Place: asked by the server once the head of an answer is there.
//! Rule: every "no" has a name, which metrics and `mergepoint cache why` show; in doubt the answer is not kept.

use std::time::Duration;

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};

use super::control::{Directives, Scope};
use super::freshness::{initial_age, lifetime, Arrival, Life};
use super::said::{MadeFrom, Said};
use super::tags::Tag;
use super::vary::Chosen;

/// What the site says of an app's cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Answers made from named data are kept without being told so.
    pub auto: bool,
    /// How long those live.
    pub ttl: Duration,
    /// How long an answer that is too old may stand in for an error.
    pub stale: Duration,
    /// For whom answers are kept.
    pub scope: Scope,
}

/// The request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its fields, as the app got them.
    pub headers: &'a HeaderMap,
    /// Somebody was proven.
    pub proven: bool,
    /// It carried a cookie that the app did not name.
    pub unknown_cookie: bool,
}

/// Why an answer is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Not an answer to GET.
    Method,
    /// No answer of this status can be used again.
    Status,
    /// `no-store`, in the answer or the request.
    NoStore,
    /// `private`.
    Private,
    /// It sets a cookie.
    SetCookie,
    /// It was given to somebody with a credential or an unknown cookie, and is not marked `public` or `s-maxage`.
    Credential,
    /// It varies by what cannot be compared.
    Vary,
    /// It says nothing of how long it lives.
    NoLife,
    /// It cannot be told what it was made from.
    TagsUnknown,
    /// It was made from a database that nobody follows.
    SourceUnknown,
    /// Its groups cannot be read, or are too many.
    Groups,
    /// What it was made from changed while it was made.
    Raced,
    /// Changes could not be read while it was made.
    Lease,
    /// It is larger than may be kept.
    TooLarge,
    /// It ended early.
    Broken,
}

impl Refusal {
    /// A word for metrics and `detail` of `Cache-Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::Status => "status",
            Refusal::NoStore => "no-store",
            Refusal::Private => "private",
            Refusal::SetCookie => "set-cookie",
            Refusal::Credential => "credential",
            Refusal::Vary => "vary",
            Refusal::NoLife => "no-life",
            Refusal::TagsUnknown => "tags-unknown",
            Refusal::SourceUnknown => "source-unknown",
            Refusal::Groups => "groups",
            Refusal::Raced => "fill-raced",
            Refusal::Lease => "lease-lost",
            Refusal::TooLarge => "too-large",
            Refusal::Broken => "broken",
        }
    }
}

/// How an answer is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How long.
    pub life: Life,
    /// For requests like this one.
    pub chosen: Chosen,
    /// For whom.
    pub scope: Scope,
    /// Given to those with a credential or an unknown cookie, too.
    pub shared: bool,
    /// Asked for at the hub before each use.
    pub linear: bool,
    /// Nobody but this cache may believe it for long: the client is told `no-cache`.
    pub tell_no_cache: bool,
    /// What it was made from, and its groups.
    pub tags: Vec<Tag>,
    /// What the answer said.
    pub said: Said,
}

/// How an answer is kept.
///
/// # Errors
/// It is not, and why.
pub fn plan(
    rules: &Rules,
    asked: &Asked<'_>,
    (status, headers, said): (StatusCode, &HeaderMap, &Said),
    arrival: Arrival,
) -> Result<Plan, Refusal> {
    let directives = &said.directives;
    forbidden(asked, status, headers, directives)?;
    let shared = directives.is_shared();
    let scope = directives.scope.unwrap_or(rules.scope);
    let apart = asked.unknown_cookie
        || asked.headers.contains_key(header::AUTHORIZATION)
        || asked.proven && scope == Scope::Anonymous;
    if apart && !shared {
        return Err(Refusal::Credential);
    }
    let chosen = Chosen::new(headers, asked.headers).ok_or(Refusal::Vary)?;
    let explicit = lifetime(headers, directives, arrival.wall);
    let tags = made_from(rules, said, explicit.is_some() || directives.no_cache)?;
    let implied = explicit.is_none() && !directives.no_cache && is_auto(rules, status, said);
    let fresh = match explicit {
        Some(fresh) => fresh,
        None if implied => rules.ttl,
        None if directives.no_cache => Duration::ZERO,
        None => return Err(Refusal::NoLife),
    };
    let asks = directives.no_cache || fresh.is_zero();
    let can_ask = headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED);
    if asks && !can_ask {
        return Err(Refusal::NoLife);
    }
    Ok(Plan {
        life: life(rules, directives, fresh, (headers, arrival)),
        chosen,
        scope,
        shared,
        linear: directives.linear,
        tell_no_cache: implied,
        tags,
        said: said.clone(),
    })
}

/// What no setting can allow.
fn forbidden(
    asked: &Asked<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    said: &Directives,
) -> Result<(), Refusal> {
    let understood = said.must_understand && is_understood(status);
    let request_forbids = super::control::request_says(asked.headers, "no-store");
    match () {
        () if *asked.method != Method::GET => Err(Refusal::Method),
        () if status.is_informational() || matches!(status.as_u16(), 206 | 304) => {
            Err(Refusal::Status)
        }
        () if said.must_understand && !understood => Err(Refusal::NoStore),
        () if said.no_store && !understood || request_forbids => Err(Refusal::NoStore),
        () if said.private => Err(Refusal::Private),
        () if headers.contains_key(header::SET_COOKIE) => Err(Refusal::SetCookie),
        () => Ok(()),
    }
}

/// Statuses whose meaning for caches this cache knows.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 302 | 303 | 307 | 308 | 404 | 405 | 410 | 414 | 421 | 501
    )
}

/// The tags to keep an answer under. What was made from data that cannot be named is kept only where HTTP's own rules
/// are all that was asked for.
fn made_from(rules: &Rules, said: &Said, explicit: bool) -> Result<Vec<Tag>, Refusal> {
    let mut tags = match &said.made_from {
        MadeFrom::Tags(tags) => tags.clone(),
        MadeFrom::Unsaid => Vec::new(),
        MadeFrom::Unknown if rules.auto || !explicit => return Err(Refusal::TagsUnknown),
        MadeFrom::Unknown => Vec::new(),
    };
    tags.extend(said.groups.clone().ok_or(Refusal::Groups)?);
    Ok(tags)
}

/// Kept without having said so: 200, and its data are known.
fn is_auto(rules: &Rules, status: StatusCode, said: &Said) -> bool {
    rules.auto && status == StatusCode::OK && matches!(said.made_from, MadeFrom::Tags(_))
}

fn life(
    rules: &Rules,
    said: &Directives,
    fresh: Duration,
    (headers, arrival): (&HeaderMap, Arrival),
) -> Life {
    let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    Life {
        since: arrival.came,
        age: initial_age(headers, arrival),
        fresh,
        while_revalidate: seconds(said.while_revalidate_s).unwrap_or_default(),
        if_error: seconds(said.if_error_s).unwrap_or(rules.stale),
        always_ask: said.no_cache,
        // `s-maxage` says `proxy-revalidate`, too (RFC 9111 section 5.2.2.10).
        never_stale: said.must_revalidate || said.proxy_revalidate || said.s_maxage_s.is_some(),
    }
}

/// An answer of the app that a kept one may stand in for (RFC 5861 section 4).
pub fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
