//! Tags: what an answer was made from, and what a change touches.
//!
//! Place: section 7 of docs/reference/contracts.md; answers come with tags, the feed with changes.
//! Rule: I12: more tags than true are safe, fewer are not; what cannot be read makes an answer unfit to keep.

use std::sync::Arc;

/// Longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 256;

/// Most tags of one answer; with more, rows are told apart no longer.
pub const TAGS_MAX: usize = 128;

/// One tag, shared by whoever holds it.
pub type Tag = Arc<str>;

/// Whether a text is a tag of a source: `SOURCE/TABLE` or `SOURCE/TABLE:COLUMN=VALUE`.
pub fn is_tag(text: &str) -> bool {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    let Some((source, rest)) = text.split_once('/') else {
        return false;
    };
    text.len() <= TAG_BYTES_MAX && is_source(source) && !table(rest).is_empty() && plain(rest)
}

/// Whether a text may name a source: `[a-z][a-z0-9_-]{0,31}`.
pub fn is_source(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 32
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// The source of a tag; none for a group of an app and for an address.
pub fn source(tag: &str) -> Option<&str> {
    let (source, _) = tag.split_once('/')?;
    is_source(source).then_some(source)
}

/// A table without what follows its colon.
fn table(text: &str) -> &str {
    text.split(':').next().unwrap_or(text)
}

/// The tag that stands for every row of the same table; none for a whole table, which changes with each of its rows, a
/// group and an address.
pub fn star(tag: &str) -> Option<String> {
    source(tag)?;
    let (table, _) = tag.split_once(':')?;
    Some(format!("{table}:*"))
}

/// The tags of an answer; none when it cannot be told what it was made from.
///
/// Repeated ones count once. Of more than `TAGS_MAX`, each stands for its whole table.
pub fn named<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Vec<Tag>> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for text in texts {
        if !is_tag(text) {
            return None;
        }
        if seen.insert(text) {
            tags.push(text.into());
        }
    }
    if tags.len() <= TAGS_MAX {
        return Some(tags);
    }
    let mut tables: Vec<Tag> = tags.iter().map(|tag| table(tag).into()).collect();
    tables.sort_unstable();
    tables.dedup();
    (tables.len() <= TAGS_MAX).then_some(tables)
}

/// A group an app names itself (RFC 9875): `@APP/NAME`. None when it is too long to keep.
pub fn group(app: &str, name: &str) -> Option<Tag> {
    let tag = format!("@{app}/{name}");
    (tag.len() <= TAG_BYTES_MAX).then(|| tag.into())
}

/// The tag of an address, by which an unsafe request drops what lies there.
pub fn address(scheme: &str, host: &str, target: &str) -> Tag {
    format!("={scheme}://{host}{target}").into()
}
