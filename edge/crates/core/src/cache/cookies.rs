//! Cookies of a request, as far as a cache may know them.
//!
//! Place: part of the key.
//! Rule: a cookie that the app did not name may mean anything, so a request with one is not answered from what others
//!       were given.

use http::header::{self, HeaderMap};

/// What the cookies of a request mean to the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cookies {
    /// Named ones with their values, in the order of the setting; they are part of the key.
    pub known: Vec<(String, String)>,
    /// There are others.
    pub unknown: bool,
}

impl Cookies {
    /// The cookies of a request, of which the app named `names`; the one called `ours` never reaches it.
    pub fn of(headers: &HeaderMap, names: &[String], ours: Option<&str>) -> Cookies {
        let mut found = Cookies::default();
        if !headers.contains_key(header::COOKIE) {
            return found;
        }
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for value in headers.get_all(header::COOKIE) {
            let Ok(text) = value.to_str() else {
                found.unknown = true;
                continue;
            };
            let pairs = text
                .split(';')
                .map(str::trim)
                .filter(|pair| !pair.is_empty());
            for pair in pairs {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                match names.iter().any(|known| known == name) {
                    true => seen.push((name, value)),
                    false => found.unknown |= ours != Some(name),
                }
            }
        }
        for name in names {
            // One that comes twice is read in one way or the other by the app; both are part of the key.
            let values = seen.iter().filter(|(seen, _)| seen == name);
            let each = values.map(|(_, value)| (name.clone(), (*value).to_owned()));
            found.known.extend(each);
        }
        found
    }
}
