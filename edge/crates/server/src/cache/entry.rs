//! One kept answer.
//!
//! Place: store.rs holds them -> [entry] <- answered.rs sends them
//! Rule:  never changed once kept: an update is another entry with the same body.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::StatusCode;
use mergepoint_edge_core::cache::conditional;
use mergepoint_edge_core::cache::storing::Plan;
use mergepoint_edge_core::cache::tags::{self, Tag};

/// What an entry takes beside its body and fields, about.
const ENTRY_BYTES: usize = 512;

/// What one field takes beside its text, about.
const FIELD_BYTES: usize = 64;

/// One kept answer.
#[derive(Debug)]
pub struct Entry {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, without those of framing.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// How it is kept.
    pub plan: Plan,
    /// The sources it was made from, each once.
    pub sources: Vec<String>,
    /// Everything by which it is found when something changes.
    pub handles: Vec<Tag>,
    weight: usize,
}

/// The tag that everything of an app bears.
pub fn app_tag(app: &str) -> Tag {
    format!("!{app}").into()
}

impl Entry {
    /// The entry of an answer to the address `address` of `app`.
    pub fn new(
        (status, mut headers): (StatusCode, HeaderMap),
        body: Bytes,
        plan: Plan,
        (app, address): (&str, Tag),
    ) -> Entry {
        for name in &plan_unkept(&headers, &plan) {
            headers.remove(name);
        }
        if !headers.contains_key(header::DATE) {
            let now = httpdate::fmt_http_date(std::time::SystemTime::now());
            if let Ok(now) = HeaderValue::from_str(&now) {
                headers.insert(header::DATE, now);
            }
        }
        if plan.tell_no_cache {
            make_revalidated(&mut headers, &body);
        }
        let mut sources: Vec<String> = Vec::new();
        let mut handles = vec![address, app_tag(app)];
        for tag in &plan.tags {
            handles.push(Arc::clone(tag));
            handles.extend(tags::star(tag).map(Tag::from));
            if let Some(source) = tags::source(tag) {
                if !sources.iter().any(|known| known == source) {
                    sources.push(source.to_owned());
                    handles.push(source_tag(source));
                }
            }
        }
        handles.sort_unstable();
        handles.dedup();
        let weight = weigh(&headers, &body, &plan, &handles);
        Entry {
            status,
            headers,
            body,
            plan,
            sources,
            handles,
            weight,
        }
    }

    /// Bytes it takes, about.
    pub fn weight(&self) -> usize {
        self.weight
    }
}

/// The tag that everything made from a source bears.
pub fn source_tag(source: &str) -> Tag {
    format!("~{source}").into()
}

/// The client may keep it, but must ask before each use.
pub fn make_revalidated(headers: &mut HeaderMap, body: &[u8]) {
    tell_no_cache(headers);
    if !headers.contains_key(header::ETAG) {
        conditional::tag_of(body).map(|tag| headers.insert(header::ETAG, tag));
    }
}

/// The client is told to ask before each use.
pub fn tell_no_cache(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.remove(header::EXPIRES);
    headers.remove(header::AGE);
}

/// Fields that belong to one transfer, or that the app does not want to be kept.
fn plan_unkept(headers: &HeaderMap, plan: &Plan) -> Vec<header::HeaderName> {
    let mut unkept = plan.said.directives.unkept.clone();
    unkept.push(header::CONTENT_LENGTH);
    unkept.retain(|name| headers.contains_key(name));
    unkept
}

fn weigh(headers: &HeaderMap, body: &Bytes, plan: &Plan, handles: &[Tag]) -> usize {
    let fields = headers.iter();
    let fields: usize = fields
        .map(|(name, value)| FIELD_BYTES + name.as_str().len() + value.len())
        .sum();
    let handles: usize = handles
        .iter()
        .map(|tag| 2 * (tag.len() + FIELD_BYTES))
        .sum();
    ENTRY_BYTES + fields + body.len() + handles + plan.chosen.weight()
}
