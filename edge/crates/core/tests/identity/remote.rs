//! The plain fields that tell an app who asks.

use mergepoint_edge_core::headers::{may_carry_identity, strip_request};
use mergepoint_edge_core::identity::remote::{strip, tell, LIST_BYTES_MAX};
use mergepoint_edge_core::snapshot::Access;
use proptest::prelude::*;
use serde_json::{json, Value};

use super::{claims, head, values};

fn access(headers: Value) -> Access {
    serde_json::from_value(json!({
        "require": ["user"], "guards": [], "csrf_exempt": [], "cookies": "confine",
        "headers": headers, "authorization": "consume"
    }))
    .unwrap()
}

fn told(other: Value, name: &str) -> Vec<String> {
    let mut headers = head(&[]);
    tell(&mut headers, &access(json!({})), &claims(other));
    values(&headers, name)
}

#[test]
fn an_app_is_told_who_asks_under_the_standard_names_and_its_own() {
    let access = access(json!({
        "x-webauth-user": "user", "x-mail": "email", "x-shown": "name", "x-teams": "groups", "x-roles": "roles"
    }));
    let mut headers = head(&[]);
    tell(&mut headers, &access, &claims(json!({})));
    for (name, expected) in [
        ("remote-user", "ann"),
        ("remote-name", "Ann Ä. Other"),
        ("remote-email", "ann@example.org"),
        ("remote-groups", "developer,staff"),
        ("x-webauth-user", "ann"),
        ("x-mail", "ann@example.org"),
        ("x-shown", "Ann Ä. Other"),
        ("x-teams", "staff"),
        ("x-roles", "developer"),
    ] {
        assert_eq!(values(&headers, name), [expected], "{name}");
    }
    assert_eq!(headers.len(), 9);
}

#[test]
fn what_a_client_says_in_their_place_is_removed() {
    let access = access(json!({"x-team-member": "user"}));
    let mut headers = head(&[
        ("X-Team-Member", "root"),
        ("x-team-member", "root"),
        ("X_Team_Member", "root"),
        ("Remote-User", "root"),
        ("Mergepoint-Identity", "x"),
        ("x-other", "1"),
    ]);
    strip(&mut headers, &access);
    strip_request(&mut headers);
    assert_eq!(headers.len(), 1);
    tell(&mut headers, &access, &claims(json!({})));
    assert_eq!(values(&headers, "x-team-member"), ["ann"]);
}

#[test]
fn a_field_is_told_once_even_where_something_was_left() {
    let mut headers = head(&[
        ("remote-user", "root"),
        ("remote-user", "root"),
        ("remote-email", "x"),
    ]);
    tell(
        &mut headers,
        &access(json!({})),
        &claims(json!({"email": ""})),
    );
    assert_eq!(values(&headers, "remote-user"), ["ann"]);
    assert!(values(&headers, "remote-email").is_empty());
}

#[test]
fn control_characters_never_reach_an_app() {
    let name = told(
        json!({"name": " A\r\nRemote-User: root\u{0}\t\u{7f}\u{85} "}),
        "remote-name",
    );
    assert_eq!(name, ["ARemote-User: root"]);
}

#[test]
fn a_group_that_could_be_read_as_another_is_not_told() {
    let groups = json!(["staff", "a,admin", "x\ny", " lead", "staff", "", "größe", "a b"]);
    let told = told(
        json!({"roles": ["staff", "qa"], "groups": groups}),
        "remote-groups",
    );
    assert_eq!(told, ["staff,qa,größe,a b"]);
}

#[test]
fn a_list_stays_short_enough_for_every_worker() {
    let groups: Vec<String> = (0..2000).map(|n| format!("group-{n}")).collect();
    let told = told(json!({"groups": groups}), "remote-groups");
    assert!(told[0].len() <= LIST_BYTES_MAX && told[0].starts_with("developer,group-0,group-1,"));
    assert!(told[0]
        .split(',')
        .skip(1)
        .all(|name| groups.iter().any(|group| group == name)));
}

#[test]
fn a_site_cannot_name_a_field_that_means_something_else() {
    for good in [
        "x-webauth-user",
        "x-team",
        "auth-user",
        "remote-user",
        "x-forward-user",
    ] {
        assert!(may_carry_identity(good), "{good}");
    }
    for bad in [
        "cookie",
        "authorization",
        "host",
        "content-length",
        "content-type",
        "connection",
        "te",
        "transfer-encoding",
        "x-forwarded-for",
        "forwarded",
        "x-request-id",
        "traceparent",
        "mergepoint-identity",
        "x_user",
        "sec-fetch-site",
        "if-match",
        "accept-encoding",
        "origin",
    ] {
        assert!(!may_carry_identity(bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn whatever_a_provider_calls_people_and_groups_every_group_told_is_one_of_theirs(
        name in ".{0,40}", groups in prop::collection::vec(".{0,12}", 0..8)
    ) {
        let claims = claims(json!({"name": name, "roles": [], "groups": groups}));
        let mut headers = head(&[]);
        tell(&mut headers, &access(json!({})), &claims);
        for value in headers.values() {
            let text = std::str::from_utf8(value.as_bytes()).unwrap();
            prop_assert!(!text.is_empty() && !text.chars().any(char::is_control));
        }
        if let Some(told) = headers.get("remote-groups") {
            let told = std::str::from_utf8(told.as_bytes()).unwrap();
            prop_assert!(told.split(',').all(|one| groups.iter().any(|group| group == one)));
        }
    }
}
