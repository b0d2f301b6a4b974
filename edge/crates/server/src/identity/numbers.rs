//! What identity counts, and how it is told to operators.
//!
//! Place: gate.rs counts and reads -> [numbers] -> `stats`, the Prometheus text
//! Rule:  numbers and fixed names alone: no user, no session, no credential.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::{json, Value};

use crate::metrics::{Counter, Text};

/// What only grows.
#[derive(Debug, Default)]
pub struct Counts {
    /// Refreshes asked of accounts.
    pub refreshes: Counter,
    /// Credentials asked of accounts.
    pub checks: Counter,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counts {
    /// Something was refused, for a reason from a fixed set.
    pub fn refused(&self, reason: &'static str) {
        *self.refused.lock().entry(reason).or_default() += 1;
    }

    /// Refusals so far, by reason.
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().clone()
    }
}

/// All numbers of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// Visitors can be proven.
    pub ready: bool,
    /// Of the feed.
    pub position: u64,
    /// Since the feed was read; none before the first time.
    pub age_s: Option<f64>,
    /// Verified tokens remembered.
    pub sessions: usize,
    /// Checked credentials remembered.
    pub credentials: usize,
    /// Revocations in force.
    pub revocations: usize,
    /// Live connections of proven visitors.
    pub live: usize,
    /// Refreshes asked of accounts.
    pub refreshes: u64,
    /// Credentials asked of accounts.
    pub checks: u64,
    /// Refusals by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

impl Numbers {
    /// As `stats` tells them.
    pub fn json(&self) -> Value {
        json!({
            "ready": self.ready,
            "position": self.position,
            "age_s": self.age_s,
            "sessions": self.sessions,
            "credentials": self.credentials,
            "revocations": self.revocations,
            "live": self.live,
            "refreshes": self.refreshes,
            "checks": self.checks,
            "refused": self.refused,
        })
    }

    /// As Prometheus reads them.
    pub fn exposition(&self) -> String {
        let mut text = Text::default();
        let gauges = [
            (
                "identity_ready",
                "Whether visitors can be proven.",
                u64::from(self.ready),
            ),
            (
                "identity_position",
                "The feed's position that was applied.",
                self.position,
            ),
            (
                "identity_sessions",
                "Verified tokens remembered.",
                count(self.sessions),
            ),
            (
                "identity_credentials",
                "Checked credentials remembered.",
                count(self.credentials),
            ),
            (
                "identity_revocations",
                "Revocations in force.",
                count(self.revocations),
            ),
            (
                "identity_live",
                "Tunnels and event streams of proven visitors.",
                count(self.live),
            ),
        ];
        for (name, help, value) in gauges {
            text.single(name, "gauge", help, value);
        }
        if let Some(age_s) = self.age_s {
            text.single(
                "identity_age_seconds",
                "gauge",
                "Since the feed was read.",
                age_s,
            );
        }
        let help = "Sessions renewed or ended by accounts.";
        text.single("identity_refreshes_total", "counter", help, self.refreshes);
        let help = "Credentials checked by accounts.";
        text.single("identity_checks_total", "counter", help, self.checks);
        let help = "Proofs and requests refused, by reason.";
        text.family("identity_refused_total", "counter", help);
        for (reason, count) in &self.refused {
            text.sample("identity_refused_total", &[("reason", reason)], count);
        }
        text.finish()
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_tell_the_same() {
        let counts = Counts::default();
        counts.refused("signature");
        counts.refused("signature");
        counts.checks.inc();
        let numbers = Numbers {
            ready: true,
            position: 7,
            age_s: None,
            sessions: 1,
            credentials: 2,
            revocations: 3,
            live: 4,
            refreshes: counts.refreshes.get(),
            checks: counts.checks.get(),
            refused: counts.refusals(),
        };
        let json = numbers.json();
        assert_eq!(
            (&json["position"], &json["refused"]["signature"]),
            (&json!(7), &json!(2))
        );
        assert_eq!(json["age_s"], Value::Null);
        let text = numbers.exposition();
        assert!(text.contains("\nmergepoint_edge_identity_refused_total{reason=\"signature\"} 2\n"));
        assert!(text.contains("\nmergepoint_edge_identity_ready 1\n"));
        assert!(!text.contains("age_seconds"));
    }
}
