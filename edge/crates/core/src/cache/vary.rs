//! Which requests an answer was chosen by (`Vary`, RFC 9111 section 4.1).
//!
//! Place: computed when an answer is kept, compared at every look-up.
//! Rule: two requests that could get different answers never look alike; alike ones may look different.

use http::header::{self, HeaderMap, HeaderName};

/// Most fields an answer may vary by; with more it is not kept.
pub const FIELDS_MAX: usize = 16;

/// The fields that chose an answer, with the values of the request it was made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen(Vec<(HeaderName, Option<String>)>);

impl Chosen {
    /// What chose this answer; none when nobody can tell (`*`, too many fields, a field
    /// that is no name, one that the edge sets for each request).
    pub fn new(answer: &HeaderMap, request: &HeaderMap) -> Option<Chosen> {
        let mut chosen: Vec<(HeaderName, Option<String>)> = Vec::new();
        for value in answer.get_all(header::VARY) {
            for name in crate::cookie::list_tokens(value.to_str().ok()?) {
                if name == "*" {
                    return None;
                }
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                if chosen.iter().any(|(known, _)| *known == name) {
                    continue;
                }
                if chosen.len() == FIELDS_MAX || !crate::headers::is_the_clients(&name) {
                    return None;
                }
                let value = normal(request, &name);
                chosen.push((name, value));
            }
        }
        Some(Chosen(chosen))
    }

    /// A request would have been given this answer.
    pub fn matches(&self, request: &HeaderMap) -> bool {
        let mut each = self.0.iter();
        each.all(|(name, value)| normal(request, name) == *value)
    }

    /// The names, in the order of the answer.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The same fields, with other values or the same.
    pub fn same_fields(&self, other: &Chosen) -> bool {
        self.0.len() == other.0.len() && self.names().all(|name| other.names().any(|o| o == name))
    }

    /// Bytes it takes, about.
    pub fn weight(&self) -> usize {
        let each = self.0.iter();
        each.map(|(name, value)| 48 + name.as_str().len() + value.as_ref().map_or(0, String::len))
            .sum()
    }
}

/// A field of a request as one line without needless space; none when absent.
fn normal(request: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = request.get_all(name).iter().peekable();
    values.peek()?;
    let mut parts: Vec<String> = Vec::new();
    for value in values {
        // Bytes beyond ASCII stay apart from each other.
        let text: String = value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect();
        parts.extend(text.split(',').map(|part| part.trim().to_owned()));
    }
    if *name == header::ACCEPT_LANGUAGE || *name == header::ACCEPT_ENCODING {
        // Neither case nor order means anything here; preference is said by weights.
        parts
            .iter_mut()
            .for_each(|part| part.make_ascii_lowercase());
        parts
            .iter_mut()
            .for_each(|part| part.retain(|c| c != ' ' && c != '\t'));
        parts.retain(|part| !part.is_empty());
        parts.sort_unstable();
        parts.dedup();
    }
    Some(parts.join(","))
}
