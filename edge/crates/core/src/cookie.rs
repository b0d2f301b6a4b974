//! Small grammars of header fields: comma lists and cookies.
//!
//! Place: leaf, used by the modules that read fields.
//! Rule: borrows from the field, never allocates while reading, never fails: what does not fit the grammar is skipped.

use http::header::{self, HeaderMap, HeaderValue};

/// The tokens of a comma list without parameters, empty ones left out.
pub fn list_tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(|token| token.trim_matches([' ', '\t']))
        .filter(|token| !token.is_empty())
}

/// The value of the first cookie of that name.
pub fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// Removes every cookie of that name and joins the others into one field; other bytes stay as they are.
pub fn remove(headers: &mut HeaderMap, name: &str) {
    let mut left: Vec<u8> = Vec::new();
    let mut found = false;
    for value in headers.get_all(header::COOKIE) {
        for pair in value
            .as_bytes()
            .split(|b| *b == b';')
            .map(<[u8]>::trim_ascii)
        {
            let is_it = pair
                .split(|b| *b == b'=')
                .next()
                .is_some_and(|n| n.trim_ascii() == name.as_bytes());
            found |= is_it;
            if is_it || pair.is_empty() {
                continue;
            }
            if !left.is_empty() {
                left.extend_from_slice(b"; ");
            }
            left.extend_from_slice(pair);
        }
    }
    if !found {
        return;
    }
    headers.remove(header::COOKIE);
    if left.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_bytes(&left) {
        headers.insert(header::COOKIE, value);
    }
}
