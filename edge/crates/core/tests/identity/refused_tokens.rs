//! Tokens refused a moment ago: remembered exactly, in bounds, and only what time cannot heal.

use mergepoint_edge_core::identity::refused_tokens::{RefusedTokens, REFUSED_MAX, REFUSED_S};
use mergepoint_edge_core::identity::token::{Expected, SESSION_TYPE, TOKEN_BYTES_MAX};
use mergepoint_edge_core::identity::TokenError;
use proptest::prelude::*;

const EXPECTED: Expected<'static> = Expected {
    typ: SESSION_TYPE,
    issuer: "mergepoint:acme",
    audience: "acme",
    now_s: 1100.0,
    skew_s: 30.0,
    stale_s: 900.0,
};

fn at(now_s: f64) -> Expected<'static> {
    Expected { now_s, ..EXPECTED }
}

fn none() -> RefusedTokens {
    RefusedTokens::new(REFUSED_MAX, &[9; 32])
}

fn with(token: &str) -> RefusedTokens {
    let mut refused = none();
    refused.put(token, &EXPECTED, TokenError::Audience);
    refused
}

#[test]
fn a_refused_token_is_refused_for_its_reason_and_no_other_token_is() {
    let token = "header.payload.signature";
    let mut refused = with(token);
    assert_eq!(refused.get(token, &EXPECTED), Some(TokenError::Audience));
    for cut in 0..token.len() {
        assert_eq!(refused.get(&token[..cut], &EXPECTED), None);
        assert_eq!(refused.get(&token[cut + 1..], &EXPECTED), None);
    }
    assert_eq!(refused.get(&token.to_uppercase(), &EXPECTED), None);
}

#[test]
fn whoever_expects_something_else_looks_for_themselves() {
    let mut refused = with("t");
    let others = [
        Expected {
            typ: "mps+jw",
            ..EXPECTED
        },
        Expected {
            issuer: "mergepoint:other",
            ..EXPECTED
        },
        Expected {
            audience: "other",
            ..EXPECTED
        },
        Expected {
            skew_s: 31.0,
            ..EXPECTED
        },
        Expected {
            stale_s: 901.0,
            ..EXPECTED
        },
        // The same letters in a row, divided elsewhere.
        Expected {
            issuer: "mergepoint:acmea",
            audience: "cme",
            ..EXPECTED
        },
    ];
    for other in others {
        assert_eq!(refused.get("t", &other), None, "{other:?}");
    }
    assert_eq!(refused.get("t", &EXPECTED), Some(TokenError::Audience));
}

#[test]
fn a_refusal_ends_with_its_time_whichever_way_the_clock_was_set() {
    let last_s = EXPECTED.now_s + REFUSED_S;
    assert!(with("t").get("t", &at(last_s - 0.1)).is_some());
    for now_s in [last_s, EXPECTED.now_s - 0.1] {
        let mut refused = with("t");
        assert_eq!(refused.get("t", &at(now_s)), None, "{now_s}");
        assert!(refused.is_empty(), "{now_s}");
    }
}

#[test]
fn what_time_or_a_key_may_heal_and_what_is_cheap_to_see_is_not_remembered() {
    let heals = [TokenError::Future, TokenError::Key];
    let cheap = [
        TokenError::TooLong,
        TokenError::Form,
        TokenError::Header,
        TokenError::Algorithm,
        TokenError::Type,
    ];
    for why in heals.into_iter().chain(cheap) {
        let mut refused = none();
        refused.put("t", &EXPECTED, why);
        assert!(refused.is_empty(), "{why}");
    }
    for why in [
        TokenError::Signature,
        TokenError::Claims,
        TokenError::Issuer,
        TokenError::Audience,
        TokenError::Ended,
    ] {
        let mut refused = none();
        refused.put("t", &EXPECTED, why);
        assert_eq!(refused.get("t", &EXPECTED), Some(why));
    }
}

#[test]
fn everything_is_looked_at_again_once_it_was_forgotten() {
    let mut refused = with("t");
    refused.clear();
    assert_eq!((refused.get("t", &EXPECTED), refused.len()), (None, 0));
}

#[test]
fn a_token_too_long_to_be_read_is_never_found() {
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(with("t").get(&long, &EXPECTED), None);
}

#[test]
fn what_is_printed_tells_no_token_and_no_key() {
    assert_eq!(format!("{:?}", with("secret")), "RefusedTokens(1)");
}

proptest! {
    #[test]
    fn however_many_are_refused_there_are_never_more_than_may_be(
        tokens in prop::collection::vec("[a-c]{1,4}", 0..60), max in 1..8_usize
    ) {
        let mut refused = RefusedTokens::new(max, &[9; 32]);
        for token in &tokens {
            refused.put(token, &EXPECTED, TokenError::Ended);
            prop_assert_eq!(refused.get(token, &EXPECTED), Some(TokenError::Ended));
            prop_assert!(refused.len() <= max);
        }
        prop_assert_eq!(refused.get("never", &EXPECTED), None);
    }
}
