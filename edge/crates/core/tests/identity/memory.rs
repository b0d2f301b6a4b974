//! What the edge remembers: bounded, exact, and no longer than it holds.

use std::collections::hash_map::RandomState;
use std::sync::Arc;

use mergepoint_edge_core::identity::credentials::{AuthScheme, Credential};
use mergepoint_edge_core::identity::known_credentials::{Known, REFUSED_S};
use mergepoint_edge_core::identity::recent::Recent;
use mergepoint_edge_core::identity::{Claims, KnownCredentials, Sessions};
use proptest::prelude::*;
use serde_json::json;

use super::claims;

fn ann() -> Arc<Claims> {
    Arc::new(claims(json!({})))
}

#[test]
fn a_token_is_known_as_a_whole_or_not_at_all() {
    let mut sessions = Sessions::new(4, 7);
    let token = format!("{}.signature", "x".repeat(64));
    sessions.put(&token, ann());
    assert_eq!(sessions.get(&token, 1100.0, 900.0), Some(ann()));
    // The same end, which is all that is hashed, does not make the same token.
    for other in [
        token.replace('x', "y"),
        format!("x{token}"),
        token[1..].to_owned(),
        String::new(),
    ] {
        assert_eq!(sessions.get(&other, 1100.0, 900.0), None, "{other}");
    }
}

#[test]
fn a_token_is_forgotten_when_nothing_can_hold_it_up() {
    let mut sessions = Sessions::new(4, 7);
    sessions.put("t", ann());
    assert!(sessions.get("t", 2499.9, 900.0).is_some());
    assert!(sessions.get("t", 2500.0, 900.0).is_none());
    assert!(sessions.is_empty());
    sessions.put("t", ann());
    sessions.clear();
    assert!(sessions.get("t", 1100.0, 900.0).is_none());
}

#[test]
fn what_is_asked_for_survives_what_is_not() {
    let mut recent = Recent::new(8, RandomState::new());
    for n in 0..100 {
        recent.put(n, n);
        assert_eq!(recent.get(&0), Some(&0), "after {n}");
        assert!(recent.len() <= 8);
    }
    assert_eq!(recent.get(&50), None);
    assert_eq!(recent.get(&99), Some(&99));
}

#[test]
fn a_memory_of_one_holds_one() {
    let mut recent = Recent::new(1, RandomState::new());
    recent.put("a", 1);
    recent.put("b", 2);
    assert_eq!(recent.get("a"), None);
    assert_eq!(recent.get("b"), Some(&2));
    assert_eq!(recent.len(), 1);
}

fn memory() -> KnownCredentials {
    KnownCredentials::new(4, 60.0, &[9; 32])
}

fn credential(scheme: AuthScheme, user: &str, secret: &str) -> Credential {
    Credential {
        scheme,
        user: user.to_owned(),
        secret: secret.to_owned(),
    }
}

#[test]
fn a_checked_credential_is_known_for_its_time_and_never_beyond_its_end() {
    let mut memory = memory();
    let hash = memory.hash(&credential(AuthScheme::Bearer, "", "t"));
    assert_eq!(memory.get(&hash, 100.0), Known::Unknown);
    memory.prove(hash, ann(), 1000.0, 100.0);
    assert_eq!(memory.get(&hash, 159.9), Known::Proven(ann()));
    assert_eq!(memory.get(&hash, 160.0), Known::Unknown);
    memory.prove(hash, ann(), 120.0, 100.0);
    assert_eq!(memory.get(&hash, 120.0), Known::Unknown);
    memory.prove(hash, ann(), 100.0, 100.0);
    assert!(memory.is_empty());
    memory.prove(hash, ann(), 1000.0, 100.0);
    memory.forget(&hash);
    assert_eq!(memory.get(&hash, 101.0), Known::Unknown);
}

#[test]
fn a_refusal_is_short_and_the_last_word_counts() {
    let mut memory = memory();
    let hash = memory.hash(&credential(AuthScheme::Bearer, "", "t"));
    memory.refuse(hash, 100.0);
    assert_eq!(memory.get(&hash, 100.0 + REFUSED_S - 0.1), Known::Refused);
    assert_eq!(memory.get(&hash, 100.0 + REFUSED_S), Known::Unknown);
    memory.refuse(hash, 100.0);
    memory.prove(hash, ann(), 1000.0, 101.0);
    assert_eq!(memory.get(&hash, 102.0), Known::Proven(ann()));
    memory.refuse(hash, 102.0);
    assert_eq!(memory.get(&hash, 103.0), Known::Refused);
}

#[test]
fn wrong_credentials_cannot_push_out_right_ones() {
    let mut memory = memory();
    let right = memory.hash(&credential(AuthScheme::Bearer, "", "right"));
    memory.prove(right, ann(), 1000.0, 100.0);
    for n in 0..1000 {
        let wrong = memory.hash(&credential(AuthScheme::Bearer, "", &format!("wrong{n}")));
        memory.refuse(wrong, 100.0);
    }
    assert_eq!(memory.get(&right, 101.0), Known::Proven(ann()));
    assert_eq!(memory.len(), 1);
}

#[test]
fn the_same_secret_with_another_name_or_scheme_is_another_credential() {
    let memory = memory();
    let all = [
        credential(AuthScheme::Bearer, "", "t"),
        credential(AuthScheme::Basic, "", "t"),
        credential(AuthScheme::Basic, "ann", "t"),
        credential(AuthScheme::Basic, "ben", "t"),
        credential(AuthScheme::Basic, "an", "nt"),
    ];
    for (at, one) in all.iter().enumerate() {
        for other in &all[..at] {
            assert_ne!(memory.hash(one), memory.hash(other), "{one:?} {other:?}");
        }
        let elsewhere = KnownCredentials::new(4, 60.0, &[8; 32]);
        assert_ne!(memory.hash(one), elsewhere.hash(one));
        assert_eq!(memory.hash(one), memory.hash(&one.clone()));
    }
}

proptest! {
    #[test]
    fn a_memory_never_holds_more_than_it_may_nor_what_was_not_put(
        steps in prop::collection::vec((0..3_u8, 0..12_u8, any::<u8>()), 0..200), max in 1..6_usize
    ) {
        let mut recent = Recent::new(max, RandomState::new());
        let mut put = std::collections::HashMap::new();
        for (step, key, value) in steps {
            match step {
                0 => {
                    recent.put(key, value);
                    put.insert(key, value);
                    prop_assert_eq!(recent.get(&key), Some(&value));
                }
                1 => {
                    if let Some(found) = recent.get(&key) {
                        prop_assert_eq!(Some(found), put.get(&key));
                    }
                }
                _ => {
                    recent.remove(&key);
                    put.remove(&key);
                    prop_assert_eq!(recent.get(&key), None);
                }
            }
            prop_assert!(recent.len() <= max);
        }
    }
}
