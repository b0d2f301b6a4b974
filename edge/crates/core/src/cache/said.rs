//! What an answer says to the cache, taken out of its head.
//!
//! Place: the server calls it for every answer of an app with a cache, before the head is cleaned.
//! Rule: section 7 of docs/reference/contracts.md; what is meant for the cache alone does not go on to the client.

use http::header::{HeaderMap, HeaderName};
use sfv::{BareItem, List, ListEntry, Parser};

use super::control::{joined, Directives};
use super::tags::{self, Tag, TAGS_MAX};

/// Characters of why tags are unknown; longer words are cut.
const WHY_UNKNOWN_MAX: usize = 200;

const WHY_UNKNOWN: HeaderName = HeaderName::from_static("x-mergepoint-unknown");
const TAGS: HeaderName = HeaderName::from_static("x-mergepoint-tags");
const GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const XKEY: HeaderName = HeaderName::from_static("xkey");

/// What an answer was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MadeFrom {
    /// Nobody said.
    Unsaid,
    /// From data that cannot be named.
    Unknown,
    /// From these.
    Tags(Vec<Tag>),
}

/// What an answer says to the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// How long and for whom.
    pub directives: Directives,
    /// Which data it was made from.
    pub made_from: MadeFrom,
    /// Groups of its app; none when there are too many, or one cannot be read.
    pub groups: Option<Vec<Tag>>,
    /// Groups of its app that it drops, if the request was unsafe.
    pub drops: Vec<Tag>,
    /// Why it is not known what the answer was made from, in the worker's words.
    pub why_unknown: Option<String>,
}

impl Said {
    /// What holds after a 304 that says `self` of an answer that said `old`: what it does not say again has not changed.
    pub fn over(&self, old: &Said, headers: &HeaderMap) -> Said {
        let mut said = self.clone();
        if !said.directives.targeted && !headers.contains_key(http::header::CACHE_CONTROL) {
            said.directives = old.directives.clone();
        }
        if said.made_from == MadeFrom::Unsaid {
            said.made_from = old.made_from.clone();
        }
        if said.groups.as_ref().is_some_and(Vec::is_empty) {
            said.groups.clone_from(&old.groups);
        }
        said
    }

    /// What an answer of `app` says; `expose` leaves `Cache-Groups` and `Cache-Group-Invalidation` in it.
    pub fn take(headers: &mut HeaderMap, app: &str, expose: bool) -> Said {
        let said = Said {
            directives: Directives::of(headers),
            made_from: made_from(headers),
            groups: groups(headers, app),
            drops: strings(headers, &GROUP_INVALIDATION)
                .unwrap_or_default()
                .iter()
                .filter_map(|name| tags::group(app, name))
                .collect(),
            why_unknown: why_unknown(headers),
        };
        for name in [TAGS, WHY_UNKNOWN, SURROGATE_KEY, CACHE_TAG, XKEY] {
            headers.remove(name);
        }
        if !expose {
            headers.remove(GROUPS);
            headers.remove(GROUP_INVALIDATION);
        }
        said
    }
}

fn why_unknown(headers: &HeaderMap) -> Option<String> {
    let words = headers.get(&WHY_UNKNOWN)?.to_str().ok()?;
    Some(words.chars().take(WHY_UNKNOWN_MAX).collect())
}

fn made_from(headers: &HeaderMap) -> MadeFrom {
    if !headers.contains_key(&TAGS) {
        return MadeFrom::Unsaid;
    }
    let texts = headers.get_all(&TAGS).iter();
    let texts: Option<Vec<&str>> = texts.map(|value| value.to_str().ok()).collect();
    let listed = texts.and_then(|texts| {
        let each = texts.iter();
        tags::named(each.flat_map(|text| crate::cookie::list_tokens(text)))
    });
    listed.map_or(MadeFrom::Unknown, MadeFrom::Tags)
}

/// The groups of an answer, in all four spellings. None: one of them cannot be kept, so that its invalidation would not
/// find the answer.
fn groups(headers: &HeaderMap, app: &str) -> Option<Vec<Tag>> {
    let mut names = strings(headers, &GROUPS)?;
    for (name, parted) in [(SURROGATE_KEY, ' '), (XKEY, ' '), (CACHE_TAG, ',')] {
        if headers.contains_key(&name) {
            let text = joined(headers, &name)?;
            let each = text.split([parted, ',']).map(str::trim);
            names.extend(each.filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    names.sort_unstable();
    names.dedup();
    if names.len() > TAGS_MAX {
        return None;
    }
    names.iter().map(|name| tags::group(app, name)).collect()
}

/// A list of strings (RFC 9875 section 2); empty when absent, none when it is anything else.
fn strings(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    if !headers.contains_key(name) {
        return Some(Vec::new());
    }
    let text = joined(headers, name)?;
    let list: List = Parser::new(&text).parse().ok()?;
    let each = list.iter().map(|entry| match entry {
        ListEntry::Item(item) => match &item.bare_item {
            BareItem::String(text) => Some(text.as_str().to_owned()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    });
    each.collect()
}
