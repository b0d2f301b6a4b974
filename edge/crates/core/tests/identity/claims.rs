//! What claims are worth, and what they allow.

use mergepoint_edge_core::identity::claims::CLAIMS_BYTES_MAX;
use mergepoint_edge_core::identity::permissions::{covers, flatten};
use mergepoint_edge_core::identity::{Claims, Freshness, Roles, TokenError};
use proptest::prelude::*;
use serde_json::json;

use super::{claims, payload};

#[test]
fn a_token_ages_from_fresh_to_ended() {
    let claims = claims(json!({}));
    for (now_s, expected) in [
        (1000.0, Freshness::Fresh),
        (1299.9, Freshness::Fresh),
        (1300.0, Freshness::Renew),
        (1599.9, Freshness::Renew),
        (1600.0, Freshness::Stale),
        (2499.9, Freshness::Stale),
        (2500.0, Freshness::Ended),
    ] {
        assert_eq!(claims.freshness(now_s, 300.0, 900.0), expected, "{now_s}");
    }
}

#[test]
fn a_checked_credential_needs_no_session() {
    let mut answer = payload(json!({"token": "abcdefghijkl", "permissions": ["a.b"]}));
    answer.as_object_mut().unwrap().remove("sid");
    let claims = Claims::from_check(answer.to_string().as_bytes()).unwrap();
    assert_eq!(
        (claims.sid.as_str(), claims.token.as_deref()),
        ("", Some("abcdefghijkl"))
    );
    assert_eq!(claims.permissions, ["a.b"]);
}

#[test]
fn claims_of_a_check_are_checked_like_those_of_a_token() {
    for other in [
        json!({"user": "Ann"}),
        json!({"exp": 1e300}),
        json!({"roles": null}),
    ] {
        let text = payload(other).to_string();
        assert_eq!(
            Claims::from_check(text.as_bytes()),
            Err(TokenError::Claims),
            "{text}"
        );
    }
    let long = payload(json!({"name": "x".repeat(CLAIMS_BYTES_MAX)})).to_string();
    assert_eq!(
        Claims::from_check(long.as_bytes()),
        Err(TokenError::TooLong)
    );
}

#[test]
fn a_wildcard_covers_its_family_and_nothing_beside_it() {
    for (granted, wanted, expected) in [
        ("*", "anything", true),
        ("*", "", true),
        ("tickets.*", "tickets.read", true),
        ("tickets.*", "tickets.read.all", true),
        ("tickets.*", "tickets", false),
        ("tickets.*", "ticketshop.buy", false),
        ("tickets*", "tickets.read", false),
        ("tickets*", "tickets*", true),
        ("tickets.read", "tickets.read", true),
        ("tickets.read", "tickets.read.all", false),
        ("tickets.read", "tickets.*", false),
        ("", "a", false),
    ] {
        assert_eq!(covers(granted, wanted), expected, "{granted:?} {wanted:?}");
    }
}

#[test]
fn what_an_app_is_told_is_sorted_and_leaves_out_what_is_covered() {
    let roles: Roles = serde_json::from_value(json!({
        "developer": ["tickets.read", "tickets.*", "wiki.edit", "a.b.*", "a.*"], "admin": ["*"]
    }))
    .unwrap();
    let developer = claims(json!({"permissions": ["code.push", "wiki.edit"]}));
    assert_eq!(
        developer.flattened(&roles),
        ["a.*", "code.push", "tickets.*", "wiki.edit"]
    );
    let admin = claims(json!({"roles": ["developer", "admin", "ghost"]}));
    assert_eq!(admin.flattened(&roles), ["*"]);
    assert!(claims(json!({"roles": ["ghost"]}))
        .flattened(&roles)
        .is_empty());
}

proptest! {
    #[test]
    fn leaving_out_what_is_covered_changes_nobodys_rights(
        all in prop::collection::vec("[ab](\\.[ab]){0,2}(\\.\\*)?|\\*", 0..8), wanted in "[ab](\\.[ab]){0,3}"
    ) {
        let kept = flatten(all.iter());
        let before = all.iter().any(|granted| covers(granted, &wanted));
        prop_assert_eq!(kept.iter().any(|granted| covers(granted, &wanted)), before);
    }
}
