//! What roles allow.
//!
//! Place: asked by `guard` for `permission:NAME`, and by `issue` for the list an app is told.
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

/// Whether any of the held roles grants the permission; a role the site does not know grants nothing.
pub fn grants(roles: &Roles, held: &[String], wanted: &str) -> bool {
    held.iter()
        .filter_map(|role| roles.get(role))
        .flatten()
        .any(|granted| covers(granted, wanted))
}

/// What the held roles grant together, sorted, without what a wildcard among them covers.
pub fn flatten<'a>(roles: &'a Roles, held: &[String]) -> Vec<&'a str> {
    let all: BTreeSet<&str> = held
        .iter()
        .filter_map(|role| roles.get(role))
        .flatten()
        .map(String::as_str)
        .collect();
    let wide: Vec<&str> = all.iter().copied().filter(|p| p.ends_with('*')).collect();
    all.into_iter()
        .filter(|granted| !wide.iter().any(|w| w != granted && covers(w, granted)))
        .collect()
}
