//! Removing a mount from requests and putting it back into answers, for apps under `prefix = "strip"`.
//!
//! Place: called by the server around one exchange with a worker.
//! Rule: only what surely points into the app is changed; foreign hosts, relative references and what already carries
//! the mount stay byte for byte.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::forwarded::Scheme;
use crate::host::Host;
use crate::target::NormalPath;

const REFRESH: HeaderName = HeaderName::from_static("refresh");

/// A mount other than `/`, such as `/tickets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount<'a>(&'a str);

impl<'a> Mount<'a> {
    /// The mount of a route; `None` for `/`, where there is nothing to remove or repair.
    pub fn new(prefix: &'a str) -> Option<Mount<'a>> {
        let prefix = prefix.trim_end_matches('/');
        (prefix.len() > 1 && prefix.starts_with('/')).then_some(Mount(prefix))
    }

    /// Without final slash.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// The path a worker sees; a path outside the mount stays as it is.
    pub fn strip<'p>(&self, path: &'p NormalPath) -> &'p str {
        match path.as_str().strip_prefix(self.0) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path.as_str(),
        }
    }

    /// Whether a path or reference lies in the mount already.
    fn holds(&self, reference: &str) -> bool {
        match reference.strip_prefix(self.0) {
            Some(rest) => rest.is_empty() || rest.starts_with(['/', '?', '#']),
            None => false,
        }
    }
}

/// The address the visitor used, to tell our own absolute URLs from foreign ones.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The visitor's scheme.
    pub scheme: Scheme,
    /// The visitor's host and port.
    pub host: &'a Host,
}

/// Repairs Location, Content-Location, Refresh and the Path of Set-Cookie in an answer.
pub fn repair(headers: &mut HeaderMap, mount: Mount<'_>, site: Site<'_>) {
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        map_values(headers, &name, |text| reference(text, mount, site));
    }
    map_values(headers, &REFRESH, |text| refresh(text, mount, site));
    map_values(headers, &header::SET_COOKIE, |text| set_cookie(text, mount));
}

fn map_values(headers: &mut HeaderMap, name: &HeaderName, repair: impl Fn(&str) -> Option<String>) {
    let header::Entry::Occupied(mut entry) = headers.entry(name) else {
        return;
    };
    for value in entry.iter_mut() {
        // A value outside ASCII is nothing a mount could be put into safely.
        let repaired = value.to_str().ok().and_then(&repair);
        if let Some(Ok(new)) = repaired.map(|text| HeaderValue::from_str(&text)) {
            *value = new;
        }
    }
}

/// The repaired URL reference, or `None` if it is right already.
pub fn reference(text: &str, mount: Mount<'_>, site: Site<'_>) -> Option<String> {
    let (before, path) = split_authority(text, site)?;
    if mount.holds(path) {
        return None;
    }
    match path.as_bytes().first() {
        None | Some(b'/') => Some(format!("{before}{}{path}", mount.0)),
        // `https://host?query` asks for the root of the app.
        Some(b'?' | b'#') if !before.is_empty() => Some(format!("{before}{}/{path}", mount.0)),
        _ => None,
    }
}

/// What stands before the path, and the rest; `None` for foreign and relative references.
fn split_authority<'t>(text: &'t str, site: Site<'_>) -> Option<(&'t str, &'t str)> {
    let after_scheme = if let Some(rest) = text.strip_prefix("//") {
        Some((rest, site.scheme))
    } else if text.starts_with('/') {
        None
    } else {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        Some((rest, scheme))
    };
    let Some((rest, scheme)) = after_scheme else {
        return Some(("", text));
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = Host::parse(rest.get(..end)?).ok()?;
    same_site(&host, scheme, site).then(|| text.split_at(text.len() - rest.len() + end))
}

/// The same host; a URL of the other scheme is ours if both ports are the default ones, since a site is often
/// reached by both and redirects from one to the other.
fn same_site(host: &Host, scheme: Scheme, site: Site<'_>) -> bool {
    let default =
        |host: &Host, scheme: Scheme| host.port_or(scheme.default_port()) == scheme.default_port();
    let same_port =
        host.port_or(scheme.default_port()) == site.host.port_or(site.scheme.default_port());
    host.name() == site.host.name()
        && (same_port || (default(host, scheme) && default(site.host, site.scheme)))
}

/// `5; url=/next`, with or without quotes.
fn refresh(text: &str, mount: Mount<'_>, site: Site<'_>) -> Option<String> {
    let at = text.find([';', ','])? + 1;
    let (delay, rest) = text.split_at(at);
    let start = rest.len() - rest.trim_start().len();
    let rest_trimmed = rest.trim_start();
    let has_name = rest_trimmed
        .get(..3)
        .is_some_and(|name| name.eq_ignore_ascii_case("url"));
    let mut url_at = start;
    if has_name {
        let after = rest_trimmed.get(3..)?.trim_start();
        let value = after.strip_prefix('=')?.trim_start();
        url_at = rest.len() - value.len();
    }
    let (before, quoted) = rest.split_at(url_at);
    let (quote, url) = match quoted.chars().next() {
        Some(q @ ('"' | '\'')) => (Some(q), quoted.get(1..)?),
        _ => (None, quoted),
    };
    let end = quote
        .and_then(|q| url.find(q))
        .unwrap_or_else(|| url.trim_end().len());
    let (url, after) = url.split_at(end);
    let repaired = reference(url, mount, site)?;
    let quote = quote.map(String::from).unwrap_or_default();
    Some(format!("{delay}{before}{quote}{repaired}{after}"))
}

/// A cookie of an app that believes to be at `/` belongs to its mount, or it would be sent to every other app.
///
/// A cookie whose name begins with `__Host-` is only valid with `Path=/` and stays as it is.
fn set_cookie(text: &str, mount: Mount<'_>) -> Option<String> {
    let mut parts: Vec<&str> = text.split(';').collect();
    let name = parts.first()?.split('=').next().unwrap_or("").trim();
    if name
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("__host-"))
    {
        return None;
    }
    let is_path = |part: &&str| {
        part.split('=')
            .next()
            .is_some_and(|name| name.trim().eq_ignore_ascii_case("path"))
    };
    // Browsers obey the last Path attribute.
    let given = parts.iter().skip(1).rposition(is_path).map(|at| at + 1);
    let path = given
        .and_then(|at| parts.get(at)?.split_once('='))
        .map_or("", |(_, path)| path.trim());
    if mount.holds(path) {
        return None;
    }
    let repaired = match path.strip_prefix('/') {
        // Browsers replace a path that does not begin with a slash by their default.
        None | Some("") => format!(" Path={}", mount.0),
        Some(rest) => format!(" Path={}/{rest}", mount.0),
    };
    match given {
        Some(at) => {
            if let Some(part) = parts.get_mut(at) {
                *part = &repaired;
            }
        }
        None => parts.push(&repaired),
    }
    Some(parts.join(";"))
}
