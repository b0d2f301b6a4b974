//! Our cookies in requests: found for us, removed for everybody else.
//!
//! Place: the first look at who asks, and the last before a request goes to an app.
//! Rule: works on bytes, since other cookies may hold any; a cookie that comes twice proves nobody, because whoever
//! could plant a second one could have somebody act under a foreign name.

use std::collections::HashSet;

use http::header::{self, HeaderMap, HeaderValue};
use memchr::memchr;

use crate::forwarded::Scheme;
use crate::snapshot::CookiePolicy;

/// Longest refresh cookie worth a call.
pub const REFRESH_BYTES_MAX: usize = 256;
/// Characters of the secret part of a refresh cookie.
const REFRESH_SECRET_CHARACTERS: usize = 43;
/// Up to this many cookies are compared one by one; a set of names pays beyond.
const COMPARED_MAX: usize = 16;

/// The names of our cookies on one kind of connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// Of the session token.
    pub session: &'static str,
    /// Of the refresh.
    pub refresh: &'static str,
}

const SECURE: Names = Names {
    session: "__Host-mergepoint-session",
    refresh: "__Host-mergepoint-refresh",
};
const PLAIN: Names = Names {
    session: "mergepoint-session",
    refresh: "mergepoint-refresh",
};

/// The names that count on a connection of this scheme; the others are not looked at there.
pub fn names(scheme: Scheme) -> Names {
    match scheme {
        Scheme::Https => SECURE,
        Scheme::Http => PLAIN,
    }
}

/// Whether a cookie of this name, in any case, belongs to accounts on some scheme.
pub fn is_ours(name: &[u8]) -> bool {
    [SECURE, PLAIN]
        .iter()
        .flat_map(|names| [names.session, names.refresh])
        .any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

/// What a request carries under one of our names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// No such cookie, or an empty one.
    Nothing,
    /// One.
    One(&'a str),
    /// More than one, or one that is no text: proves nobody.
    Unusable,
}

impl<'a> Found<'a> {
    /// The value, if there is exactly one.
    pub fn value(self) -> Option<&'a str> {
        match self {
            Found::One(value) => Some(value),
            Found::Nothing | Found::Unusable => None,
        }
    }
}

impl std::fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Found::Nothing => "Nothing",
            Found::One(_) => "One(hidden)",
            Found::Unusable => "Unusable",
        })
    }
}

/// Our cookies of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried<'a> {
    /// The session token.
    pub session: Found<'a>,
    /// The refresh.
    pub refresh: Found<'a>,
}

impl Carried<'_> {
    /// Whether a browser sent any of ours, good or not: then the request needs a proof of origin.
    pub fn any(&self) -> bool {
        self.session != Found::Nothing || self.refresh != Found::Nothing
    }
}

/// Our cookies of a request that came over this scheme.
pub fn carried(headers: &HeaderMap, scheme: Scheme) -> Carried<'_> {
    let names = names(scheme);
    let mut carried = Carried {
        session: Found::Nothing,
        refresh: Found::Nothing,
    };
    for pair in pairs(headers) {
        let (name, value) = split(pair);
        let place = if name == names.session.as_bytes() {
            &mut carried.session
        } else if name == names.refresh.as_bytes() {
            &mut carried.refresh
        } else {
            continue;
        };
        *place = match (*place, std::str::from_utf8(value)) {
            (Found::Nothing, Ok("")) => Found::Nothing,
            (Found::Nothing, Ok(value)) => Found::One(value),
            _ => Found::Unusable,
        };
    }
    carried
}

/// The session id of a well-formed refresh cookie, `<session id>.<43 characters base64url>`.
pub fn refresh_session(value: &str) -> Option<&str> {
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let (session, secret) = value.split_once('.')?;
    let fits = value.len() <= REFRESH_BYTES_MAX
        && !session.is_empty()
        && secret.len() == REFRESH_SECRET_CHARACTERS
        && plain(session)
        && plain(secret);
    fits.then_some(session)
}

/// Removes our four cookies, and under `confine` all but the first of those with one name, from what an app receives.
///
/// Other cookies stay byte for byte, joined into one field if anything had to go; where nothing has, nothing is copied.
/// Not to be called for accounts.
pub fn forward(headers: &mut HeaderMap, policy: CookiePolicy) {
    let mut seen = Seen::new(policy);
    if pairs(headers).all(|pair| seen.passes(pair)) {
        return;
    }
    let mut seen = Seen::new(policy);
    let mut left: Vec<u8> = Vec::new();
    for pair in pairs(headers).filter(|pair| seen.passes(pair)) {
        if !left.is_empty() {
            left.extend_from_slice(b"; ");
        }
        left.extend_from_slice(pair);
    }
    headers.remove(header::COOKIE);
    if left.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_bytes(&left) {
        headers.insert(header::COOKIE, value);
    }
}

/// The cookies of a request as they were written; empty ones left out.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| Pieces(Some(value.as_bytes())))
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

/// What stands between the semicolons of a field. Searched in wide steps: our own cookies alone are most of a thousand
/// bytes, and every request of a browser is searched three times.
struct Pieces<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let left = self.0?;
        let Some((piece, rest)) = memchr(b';', left).and_then(|at| left.split_at_checked(at))
        else {
            return self.0.take();
        };
        self.0 = rest.get(1..);
        Some(piece)
    }
}

/// Name and value; what has no equals sign is all name, because some programs read it so.
fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'=', pair) {
        Some(at) => (
            pair[..at].trim_ascii(),
            pair.get(at + 1..).unwrap_or_default().trim_ascii(),
        ),
        None => (pair, b""),
    }
}

/// Which cookies may pass, and the names met so far.
struct Seen<'a> {
    confine: bool,
    few: [&'a [u8]; COMPARED_MAX],
    count: usize,
    many: HashSet<&'a [u8]>,
}

impl<'a> Seen<'a> {
    fn new(policy: CookiePolicy) -> Seen<'a> {
        Seen {
            confine: policy == CookiePolicy::Confine,
            few: [b""; COMPARED_MAX],
            count: 0,
            many: HashSet::new(),
        }
    }

    fn passes(&mut self, pair: &'a [u8]) -> bool {
        let (name, _) = split(pair);
        !is_ours(name) && (!self.confine || self.is_first(name))
    }

    fn is_first(&mut self, name: &'a [u8]) -> bool {
        let Some(known) = self.few.get(..self.count) else {
            return false;
        };
        if known.contains(&name) {
            return false;
        }
        let Some(free) = self.few.get_mut(self.count) else {
            return self.many.insert(name);
        };
        *free = name;
        self.count += 1;
        true
    }
}
