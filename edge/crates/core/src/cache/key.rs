//! Under which name an answer is kept.
//!
//! Place: made once per request to an app with a cache.
//! Rule: the whole name is compared, never a hash of it alone: whoever finds two that collide would poison the other.

use std::fmt::Write as _;
use std::sync::Arc;

use super::control::Scope;
use super::cookies::Cookies;
use super::tags::{self, Tag};
use crate::identity::Claims;

/// The name of a kept resource; its variants lie below it.
pub type Key = Arc<str>;

/// What a key is made of but for who asks.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The app.
    pub app: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host as the visitor named it, in normal form, with its port.
    pub host: &'a str,
    /// The path in normal form.
    pub path: &'a str,
    /// The query as it came.
    pub query: Option<&'a str>,
}

impl Place<'_> {
    /// Path and query.
    pub fn target(&self) -> String {
        match self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_owned(),
        }
    }

    /// The tag of this address.
    pub fn address(&self) -> Tag {
        tags::address(self.scheme, self.host, &self.target())
    }

    /// The key of an answer for whoever has this scope.
    pub fn key(&self, cookies: &Cookies, who: &Who) -> Key {
        let mut key = String::with_capacity(64 + self.path.len());
        // No part but the last may hold a line end, so no two places share a key.
        let query = self
            .query
            .map_or(String::new(), |query| format!("?{query}"));
        let (scheme, host, path) = (self.scheme, self.host, self.path);
        // Writing to memory cannot fail.
        let _ = write!(key, "{}\n{scheme}://{host}{path}{query}\n", self.app);
        for (name, value) in &cookies.known {
            let _ = writeln!(key, "{name}={value}");
        }
        match who {
            Who::Anybody => {}
            Who::Roles(roles) => key.extend(["\nroles ", roles.as_str()]),
            Who::Subject(subject) => key.extend(["\nsubject ", subject.as_str()]),
        }
        key.into()
    }
}

/// For whom an answer is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Nobody in particular.
    Anybody,
    /// All with these roles, groups and permissions.
    Roles(String),
    /// This one.
    Subject(String),
}

impl Who {
    /// For whom an answer to this visitor is kept under a scope; none when it is not.
    pub fn under(scope: Scope, visitor: Option<&Claims>) -> Option<Who> {
        let Some(claims) = visitor else {
            return Some(Who::Anybody);
        };
        match scope {
            Scope::Anonymous => None,
            Scope::Roles => Some(Who::Roles(roles(claims))),
            Scope::Subject => Some(Who::Subject(claims.sub.clone())),
        }
    }
}

/// What an app is told of a visitor beside their name. Groups are told, so they count.
fn roles(claims: &Claims) -> String {
    let sorted = |names: &[String]| {
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        // Lengths keep two lists apart whatever their names hold.
        let each = names.iter().map(|name| format!("{}:{name}", name.len()));
        each.collect::<Vec<_>>().join(",")
    };
    format!(
        "{}\n{}\n{}\n{}",
        claims.kind.as_str(),
        sorted(&claims.roles),
        sorted(&claims.groups),
        sorted(&claims.permissions)
    )
}
