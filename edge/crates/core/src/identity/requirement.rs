//! What a path may ask of a visitor.
//!
//! Place: read from the snapshot, judged by `guard`, named by the answer that refuses.
//! Rule: a term that is not understood is an error, never a term that is met.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// Longest name in a term: 128 characters of any language.
pub const NAME_BYTES_MAX: usize = 512;

/// One term; a list of terms is met by any one of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// Anybody, proven or not.
    Public,
    /// Anybody proven.
    User,
    /// A proven human being.
    Person,
    /// A proven program.
    Service,
    /// Whoever has this role.
    Role(String),
    /// Whoever is in this group.
    Group(String),
    /// Whoever has a role that grants this.
    Permission(String),
    /// The one with this user name.
    Subject(String),
    /// No one at all.
    Nobody,
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is none of public, user, person, service, role:NAME, group:NAME, \
                 permission:NAME, subject:NAME and nobody"
            )
        };
        let Some((kind, name)) = text.split_once(':') else {
            return match text {
                "public" => Ok(Requirement::Public),
                "user" => Ok(Requirement::User),
                "person" => Ok(Requirement::Person),
                "service" => Ok(Requirement::Service),
                "nobody" => Ok(Requirement::Nobody),
                _ => Err(wrong()),
            };
        };
        let with_name = match kind {
            "role" => Requirement::Role,
            "group" => Requirement::Group,
            "permission" => Requirement::Permission,
            "subject" => Requirement::Subject,
            _ => return Err(wrong()),
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(format!(
                "{text:?} needs a name of 1 to {NAME_BYTES_MAX} bytes without control characters"
            ));
        }
        Ok(with_name(name.to_owned()))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Requirement::Public => f.write_str("public"),
            Requirement::User => f.write_str("user"),
            Requirement::Person => f.write_str("person"),
            Requirement::Service => f.write_str("service"),
            Requirement::Role(name) => write!(f, "role:{name}"),
            Requirement::Group(name) => write!(f, "group:{name}"),
            Requirement::Permission(name) => write!(f, "permission:{name}"),
            Requirement::Subject(name) => write!(f, "subject:{name}"),
            Requirement::Nobody => f.write_str("nobody"),
        }
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
