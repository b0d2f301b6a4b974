//! What an app may leave in a browser.
//!
//! Place: the last look at an answer of any app but accounts, after `prefix::repair`.
//! Rule: no app touches our cookies, and under `confine` none reaches beyond its mount. Attributes are read as browsers
//! read them (draft-ietf-httpbis-rfc6265bis section 5.6): the last of one name counts, in any case.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::cookies::is_ours;
use crate::snapshot::CookiePolicy;

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Browsers pass over an attribute with a longer value, and an earlier one of its name would count.
const VALUE_BYTES_MAX: usize = 1024;

/// What had to go from an answer, for the log of its app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Cookies with a name of ours.
    pub ours: usize,
    /// Cookies named `__Host-…`, which browsers take for the whole host only, from an app mounted below it.
    pub whole_host: usize,
    /// `Clear-Site-Data`, which would log everybody out.
    pub clear_site_data: bool,
}

/// Takes from an answer what its app may not do, and gives its cookies the path of its mount.
pub fn confine(headers: &mut HeaderMap, mount: &str, policy: CookiePolicy) -> Removed {
    let mut removed = Removed {
        clear_site_data: headers.remove(CLEAR_SITE_DATA).is_some(),
        ..Removed::default()
    };
    if !headers.contains_key(header::SET_COOKIE) {
        return removed;
    }
    let header::Entry::Occupied(entry) = headers.entry(header::SET_COOKIE) else {
        return removed;
    };
    let (_, given) = entry.remove_entry_mult();
    let given: Vec<HeaderValue> = given.collect();
    for value in given {
        match fate(value.as_bytes(), mount, policy) {
            Fate::Keep => drop(headers.append(header::SET_COOKIE, value)),
            Fate::Ours => removed.ours += 1,
            Fate::WholeHost => removed.whole_host += 1,
            Fate::Change(bytes) => {
                if let Ok(changed) = HeaderValue::from_bytes(&bytes) {
                    headers.append(header::SET_COOKIE, changed);
                }
            }
        }
    }
    removed
}

enum Fate {
    Keep,
    Change(Vec<u8>),
    Ours,
    WholeHost,
}

fn fate(cookie: &[u8], mount: &str, policy: CookiePolicy) -> Fate {
    let pair = cookie.split(|b| *b == b';').next().unwrap_or_default();
    let name = name(pair);
    if is_ours(name) {
        return Fate::Ours;
    }
    if policy == CookiePolicy::Share {
        return Fate::Keep;
    }
    let mount = mount.trim_end_matches('/');
    if !mount.is_empty() && starts_with_host(name) {
        return Fate::WholeHost;
    }
    within(cookie, mount)
}

/// The name browsers will send. A cookie without a name is sent as its value, which may look like a name and a value.
fn name(pair: &[u8]) -> &[u8] {
    let mut left = pair.trim_ascii();
    while let Some(rest) = left.strip_prefix(b"=") {
        left = rest.trim_ascii();
    }
    let name = left.split(|b| *b == b'=').next().unwrap_or_default();
    name.trim_ascii()
}

fn starts_with_host(name: &[u8]) -> bool {
    const HOST: &[u8] = b"__host-";
    name.get(..HOST.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(HOST))
}

/// Without Domain, and with one path, which lies within the mount; `mount` is empty for the whole host.
fn within(cookie: &[u8], mount: &str) -> Fate {
    let mut parts = cookie.split(|b| *b == b';');
    let pair = parts.next().unwrap_or_default();
    let (mut paths, mut domains, mut path) = (0, 0, None);
    for part in parts.clone() {
        if let Some(given) = value_of(part, b"path") {
            paths += 1;
            path = Some(given);
        }
        domains += usize::from(value_of(part, b"domain").is_some());
    }
    let path = path.filter(|path| path.len() <= VALUE_BYTES_MAX && holds(mount, path));
    let path_fits = if mount.is_empty() {
        paths < 2
    } else {
        paths == 1 && path.is_some()
    };
    if path_fits && domains == 0 {
        return Fate::Keep;
    }
    let mut kept = Vec::with_capacity(cookie.len() + mount.len() + 8);
    kept.extend_from_slice(pair);
    for part in parts {
        let goes = value_of(part, b"domain").is_some() || value_of(part, b"path").is_some();
        if !goes {
            kept.push(b';');
            kept.extend_from_slice(part);
        }
    }
    if paths > 0 || !mount.is_empty() {
        let fallback = if mount.is_empty() { "/" } else { mount };
        kept.extend_from_slice(b"; Path=");
        kept.extend_from_slice(path.unwrap_or(fallback.as_bytes()));
    }
    Fate::Change(kept)
}

/// The value of an attribute of this name; empty without an equals sign.
fn value_of<'a>(attribute: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut parts = attribute.splitn(2, |b| *b == b'=');
    let found = parts.next().unwrap_or_default().trim_ascii();
    found
        .eq_ignore_ascii_case(name)
        .then(|| parts.next().unwrap_or_default().trim_ascii())
}

/// On whole segments, as browsers match paths; what does not begin with a slash is no path to them.
fn holds(mount: &str, path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && path
            .strip_prefix(mount.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}
