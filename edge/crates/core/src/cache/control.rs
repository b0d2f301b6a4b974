//! `Cache-Control` and its targeted siblings (RFC 9111 section 5.2, RFC 9213, RFC 5861, RFC 8246).
//!
//! Place: read once from an answer, by `said`.
//! Rule: `Cache-Control` is read leniently, because a directive that is overlooked may be the one that forbids; a
//!       targeted field is a structured dictionary or nothing at all.

use http::header::{self, HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// Longest time a directive can name, in seconds; more means the same (RFC 9111 section 1.2.2).
pub const DELTA_S_MAX: u64 = 1 << 31;

/// Most bytes of one field that are read; a longer one forbids keeping.
pub const FIELD_BYTES_MAX: usize = 8 * 1024;

/// For Mergepoint's cache alone; removed from the answer.
pub const MERGEPOINT: HeaderName = HeaderName::from_static("mergepoint-cache-control");

const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Whose answer may be given to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Visitors nobody has proven.
    Anonymous,
    /// Everybody with the same roles and permissions.
    Roles,
    /// One proven visitor.
    Subject,
}

/// What an unsafe request's answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hold {
    /// Every edge has seen the write.
    Strict,
    /// The writer alone must see it.
    Session,
    /// Nothing.
    None,
}

/// The directives of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache` without fields.
    pub no_cache: bool,
    /// Fields of `no-cache="..."`: not kept.
    pub unkept: Vec<HeaderName>,
    /// `private`, with or without fields.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `max-age`, in seconds; 0 where it cannot be read.
    pub max_age_s: Option<u64>,
    /// `s-maxage`, in seconds; 0 where it cannot be read.
    pub s_maxage_s: Option<u64>,
    /// `stale-while-revalidate`, in seconds.
    pub while_revalidate_s: Option<u64>,
    /// `stale-if-error`, in seconds.
    pub if_error_s: Option<u64>,
    /// `strict` or `session` of Mergepoint's own field.
    pub hold: Option<Hold>,
    /// `linear` of Mergepoint's own field.
    pub linear: bool,
    /// `scope` of Mergepoint's own field.
    pub scope: Option<Scope>,
    /// They stood in a targeted field, so that `Expires` says nothing.
    pub targeted: bool,
}

impl Directives {
    /// The directives that bind this cache: of the first targeted field that can be read, else of `Cache-Control`.
    /// What Mergepoint's own field says beside them always counts.
    pub fn of(headers: &HeaderMap) -> Directives {
        let own = dictionary(headers, &MERGEPOINT);
        let mut found = match &own {
            Some(own) if own.says_how_to_cache() => own.clone(),
            _ => dictionary(headers, &CDN).unwrap_or_else(|| plain(headers)),
        };
        // Another targeted field may not say these.
        found.hold = own.as_ref().and_then(|own| own.hold);
        found.linear = own.as_ref().is_some_and(|own| own.linear);
        found.scope = own.as_ref().and_then(|own| own.scope);
        found
    }

    /// It says how long something lives, that it does not, or that it must be asked for again.
    pub fn is_explicit(&self) -> bool {
        self.max_age_s.is_some() || self.s_maxage_s.is_some() || self.no_cache
    }

    /// Whoever asks with a credential or an unknown cookie may be given it, too (RFC 9111 section 3.5).
    pub fn is_shared(&self) -> bool {
        self.public || self.s_maxage_s.is_some()
    }

    fn says_how_to_cache(&self) -> bool {
        let bare = Directives {
            targeted: true,
            hold: self.hold,
            linear: self.linear,
            scope: self.scope,
            ..Directives::default()
        };
        *self != bare
    }

    fn set_flag(&mut self, name: &str) {
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "strict" if self.targeted => self.hold = Some(Hold::Strict),
            "session" if self.targeted => self.hold = Some(Hold::Session),
            "linear" if self.targeted => self.linear = true,
            _ => {}
        }
    }

    /// The first of two counts (RFC 9111 section 4.2.1).
    fn set_time(&mut self, name: &str, seconds: u64) {
        let place = match name {
            "max-age" => &mut self.max_age_s,
            "s-maxage" => &mut self.s_maxage_s,
            "stale-while-revalidate" => &mut self.while_revalidate_s,
            "stale-if-error" => &mut self.if_error_s,
            _ => return,
        };
        place.get_or_insert(seconds.min(DELTA_S_MAX));
    }
}

/// A targeted field; none when it is absent, empty or no dictionary (RFC 9213 section 2.1).
fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Directives> {
    let text = joined(headers, name)?;
    let parsed: Dictionary = Parser::new(&text).parse().ok()?;
    if parsed.is_empty() {
        return None;
    }
    let mut found = Directives {
        targeted: true,
        ..Directives::default()
    };
    for (key, entry) in &parsed {
        let ListEntry::Item(item) = entry else {
            return None;
        };
        apply(&mut found, key.as_str(), &item.bare_item)?;
    }
    Some(found)
}

/// None: a directive with a value of the wrong kind, which spoils its field.
fn apply(found: &mut Directives, key: &str, value: &BareItem) -> Option<()> {
    match (key, value) {
        ("max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error", value) => {
            let seconds = i64::from(value.as_integer()?);
            found.set_time(key, u64::try_from(seconds).ok()?);
        }
        ("scope", value) => {
            found.scope = Some(match value.as_token()?.as_str() {
                "anonymous" => Scope::Anonymous,
                "roles" => Scope::Roles,
                "subject" => Scope::Subject,
                _ => return None,
            });
        }
        (key, BareItem::Boolean(true)) => found.set_flag(key),
        // Fields of the qualified forms: forbidding more is safe.
        ("no-cache" | "private", BareItem::String(_)) => found.set_flag(key),
        _ => {}
    }
    Some(())
}

fn plain(headers: &HeaderMap) -> Directives {
    let mut found = Directives::default();
    if !headers.contains_key(header::CACHE_CONTROL) {
        return found;
    }
    let Some(text) = joined(headers, &header::CACHE_CONTROL) else {
        found.no_store = true;
        return found;
    };
    for (name, value) in directives(&text) {
        let name = name.to_ascii_lowercase();
        match (name.as_str(), value) {
            ("max-age" | "s-maxage", value) => {
                // What cannot be read is taken for "stale already" (RFC 9111 section 4.2.1).
                found.set_time(&name, value.and_then(delta_s).unwrap_or(0));
            }
            ("stale-while-revalidate" | "stale-if-error", Some(value)) => {
                if let Some(seconds) = delta_s(value) {
                    found.set_time(&name, seconds);
                }
            }
            ("no-cache", Some(fields)) => {
                let names = fields.split(',').map(str::trim);
                let names = names.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
                found.unkept.extend(names);
            }
            (name, _) => found.set_flag(name),
        }
    }
    found
}

/// Whether a request's `Cache-Control` names this directive.
pub fn request_says(headers: &HeaderMap, directive: &str) -> bool {
    joined(headers, &header::CACHE_CONTROL)
        .is_some_and(|text| directives(&text).any(|(name, _)| name.eq_ignore_ascii_case(directive)))
}

/// All lines of a field as one; none when absent, too long or not text.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut all = headers.get_all(name).iter().peekable();
    all.peek()?;
    let mut text = String::new();
    for value in all {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(value.to_str().ok()?);
        if text.len() > FIELD_BYTES_MAX {
            return None;
        }
    }
    Some(text)
}

/// The directives of a list, each with its value without quotes.
fn directives(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (part, left) = cut(rest);
            rest = left;
            let part = part.trim_matches([' ', '\t']);
            if part.is_empty() {
                continue;
            }
            return Some(match part.split_once('=') {
                Some((name, value)) => (name, Some(unquoted(value))),
                None => (part, None),
            });
        }
        None
    })
}

/// Up to the next comma that stands in no quoted string, and what follows it.
fn cut(text: &str) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// Seconds; more digits than fit mean the most there is.
pub(super) fn delta_s(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(DELTA_S_MAX).min(DELTA_S_MAX))
}
