//! What accounts answers, read from bytes.

use mergepoint_edge_core::identity::feed::{Checked, Feed, Refreshed, RevocationKind};
use mergepoint_edge_core::identity::TokenError;
use proptest::prelude::*;
use serde_json::json;

use super::{claims, payload};

const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

#[test]
fn a_feed_brings_keys_and_revocations() {
    let body = json!({
        "epoch": "e", "position": 7, "reset": false, "later": 1,
        "keys": [{"kid": "k1", "x": X, "not_after": null}, {"kid": "k0", "x": X, "not_after": 2000.5}],
        "revocations": [
            {"position": 6, "kind": "session", "id": "s1", "before": 10.5, "at": 10},
            {"position": 7, "kind": "site", "id": "", "before": 11, "at": 11}
        ]
    });
    let feed = Feed::parse(body.to_string().as_bytes()).unwrap();
    assert_eq!(
        (feed.epoch.as_str(), feed.position, feed.reset),
        ("e", 7, false)
    );
    assert_eq!(feed.key_ring().len(), 2);
    assert_eq!(feed.revocations[0].kind, RevocationKind::Session);
    assert_eq!(feed.revocations[0].before, 10.5);
}

#[test]
fn an_epoch_may_be_a_number() {
    let body = br#"{"epoch": 3, "position": 0, "reset": true, "keys": [], "revocations": []}"#;
    assert_eq!(Feed::parse(body).unwrap().epoch, "3");
}

#[test]
fn a_feed_that_does_not_fit_is_refused_with_a_reason() {
    let good = json!({"epoch": "e", "position": 7, "reset": false, "keys": [], "revocations": []});
    for (name, value) in [
        ("position", json!(-1)),
        ("reset", json!(null)),
        ("epoch", json!(null)),
        ("keys", json!([{"kid": "k", "x": "AAAA", "not_after": 1}])),
        (
            "keys",
            json!([{"kid": "k", "x": format!("{X}="), "not_after": 1}]),
        ),
        (
            "revocations",
            json!([{"position": 1, "kind": "user", "id": "x", "before": 1, "at": 1}]),
        ),
        (
            "revocations",
            json!([{"position": 1, "kind": "site", "before": "now", "at": 1}]),
        ),
    ] {
        let mut body = good.clone();
        body[name] = value;
        let error = Feed::parse(body.to_string().as_bytes()).unwrap_err();
        assert!(error.starts_with("edge/feed: "), "{error}");
    }
    assert!(Feed::parse(good.to_string().as_bytes()).is_ok());
}

#[test]
fn a_revocation_ends_what_it_names_and_what_is_older() {
    let ends = |kind: &str, id: &str, before: f64| {
        let body = json!({"epoch": "e", "position": 1, "reset": false, "keys": [], "revocations": [
            {"position": 1, "kind": kind, "id": id, "before": before, "at": before}]});
        let feed = Feed::parse(body.to_string().as_bytes()).unwrap();
        feed.revocations[0].ends(&claims(json!({"token": "t1"})))
    };
    for (kind, id) in [
        ("session", "s1"),
        ("subject", "u1"),
        ("token", "t1"),
        ("site", ""),
    ] {
        assert!(ends(kind, id, 1000.5), "{kind}");
        assert!(!ends(kind, id, 1000.0), "{kind}");
    }
    for (kind, id) in [
        ("session", "u1"),
        ("subject", "s1"),
        ("token", "s1"),
        ("subject", ""),
    ] {
        assert!(!ends(kind, id, 2000.0), "{kind}");
    }
}

#[test]
fn an_answer_to_refresh_is_a_token_or_an_end() {
    let renewed = Refreshed::parse(br#"{"token": "t", "set_cookie": ["a=1", "b=2"]}"#).unwrap();
    assert_eq!(
        (renewed.token.as_deref(), renewed.set_cookie.len()),
        (Some("t"), 2)
    );
    let ended = Refreshed::parse(br#"{"set_cookie": ["a=; Max-Age=0"]}"#).unwrap();
    assert_eq!(ended.token, None);
    let error = Refreshed::parse(br#"{"token": ["top-secret"]}"#)
        .err()
        .unwrap();
    assert!(!error.contains("top-secret"));
}

#[test]
fn an_answer_to_check_is_who_and_until_when() {
    let body = |expires: serde_json::Value| {
        json!({"claims": payload(json!({"sid": "", "token": "t1"})), "expires": expires})
            .to_string()
    };
    let checked = Checked::parse(body(json!(1200.5)).as_bytes()).unwrap();
    assert_eq!(
        (checked.claims.token.as_deref(), checked.expires_s),
        (Some("t1"), 1200.5)
    );
    // Never beyond what the claims say themselves.
    assert_eq!(
        Checked::parse(body(json!(9e9)).as_bytes())
            .unwrap()
            .expires_s,
        1600.0
    );
    assert_eq!(
        Checked::parse(body(json!(null)).as_bytes())
            .unwrap()
            .expires_s,
        1600.0
    );
    let wrong = json!({"claims": payload(json!({"user": "Root"})), "expires": 1}).to_string();
    assert_eq!(Checked::parse(wrong.as_bytes()), Err(TokenError::Claims));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Feed::parse(&bytes);
        let _ = Refreshed::parse(&bytes);
        prop_assert!(Checked::parse(&bytes).is_err());
    }
}
