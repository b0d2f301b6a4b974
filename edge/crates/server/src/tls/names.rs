//! From the name a client asks for to the certificate that proves it.
//!
//! Place:  tls -> [names]
//! Rule:   pure; an exact name beats a wildcard, a wildcard stands for exactly one label, the first
//!         certificate listed wins a tie.

use std::collections::HashMap;

/// Names of the certificates, each with the place of its certificate.
#[derive(Debug, Default)]
pub(super) struct Names {
    exact: HashMap<String, usize>,
    /// By the part after `*.`.
    wildcard: HashMap<String, usize>,
}

impl Names {
    /// The index of certificates whose names are given in order.
    pub(super) fn of<'a>(certificates: impl Iterator<Item = &'a [String]>) -> Self {
        let mut names = Self::default();
        for (place, certificate) in certificates.enumerate() {
            for name in certificate {
                let name = name.to_ascii_lowercase();
                match name.strip_prefix("*.") {
                    Some(rest) => names.wildcard.entry(rest.to_owned()).or_insert(place),
                    None => names.exact.entry(name).or_insert(place),
                };
            }
        }
        names
    }

    /// The place of the certificate for a name; none when no certificate has it.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wild = || {
            name.split_once('.')
                .and_then(|(_, rest)| self.wildcard.get(rest))
        };
        self.exact.get(&name).or_else(wild).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(certificates: &[&[&str]]) -> Names {
        let owned: Vec<Vec<String>> = certificates
            .iter()
            .map(|names| names.iter().map(|name| (*name).to_owned()).collect())
            .collect();
        Names::of(owned.iter().map(Vec::as_slice))
    }

    #[test]
    fn exact_beats_wildcard_and_a_wildcard_is_one_label() {
        let names = names(&[
            &["example.org"],
            &["*.example.org"],
            &["www.example.org", "EXAMPLE.com"],
            &["www.example.org"],
        ]);
        for (asked, wanted) in [
            ("example.org", Some(0)),
            ("Example.ORG.", Some(0)),
            ("a.example.org", Some(1)),
            ("www.example.org", Some(2)),
            ("example.com", Some(2)),
            ("a.b.example.org", None),
            ("org", None),
            ("", None),
            ("*.example.org", Some(1)),
        ] {
            assert_eq!(names.find(asked), wanted, "{asked}");
        }
    }
}
