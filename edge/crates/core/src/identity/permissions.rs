//! What roles allow.
//!
//! Place: asked through `Claims` for `permission:NAME` and for the list an app is told.
//! Rule: `*` grants everything, `a.*` everything that begins with `a.`, any other text only itself.

use std::collections::{BTreeMap, BTreeSet};

/// Permissions of every role, flattened: `roles` of the snapshot.
pub type Roles = BTreeMap<String, Vec<String>>;

/// Whether a granted permission covers a wanted one.
pub fn covers(granted: &str, wanted: &str) -> bool {
    match granted.strip_suffix('*') {
        Some("") => true,
        Some(start) if start.ends_with('.') => wanted.starts_with(start),
        _ => granted == wanted,
    }
}

/// These permissions, sorted, each once, without what a wildcard among them covers.
pub fn flatten<'a>(permissions: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let all: BTreeSet<&str> = permissions.map(String::as_str).collect();
    let wide: Vec<&str> = all.iter().copied().filter(|p| p.ends_with('*')).collect();
    all.into_iter()
        .filter(|granted| !wide.iter().any(|w| w != granted && covers(w, granted)))
        .collect()
}
