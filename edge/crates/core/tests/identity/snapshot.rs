//! What a snapshot may say about identity, and what is refused with which reason.

use mergepoint_edge_core::identity::Requirement;
use mergepoint_edge_core::snapshot::{RemoteField, Snapshot};
use proptest::prelude::*;
use serde_json::{json, Value};

use super::issue::identity;

fn full() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/golden/snapshot/valid/full.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn access() -> Value {
    json!({
        "require": ["user", "group:ops"],
        "guards": [{"path": "/admin", "methods": ["POST"], "require": ["role:admin"]}],
        "csrf_exempt": ["/hooks"], "cookies": "confine", "headers": {"x-webauth-user": "user"},
        "authorization": "consume"
    })
}

/// The full golden snapshot, with identity in it.
fn document() -> Value {
    let mut document = full();
    document["apps"]["accounts"] = document["apps"]["tickets"].clone();
    document["apps"]["accounts"]["slots"] = json!([]);
    document["identity"] = identity();
    for (_, app) in document["apps"].as_object_mut().unwrap() {
        app["access"] = access();
    }
    document
}

fn problems(document: &Value) -> Vec<(String, String)> {
    match Snapshot::parse(document.to_string().as_bytes()) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .problems
            .into_iter()
            .map(|p| (p.path, p.message))
            .collect(),
    }
}

pub fn with(pointer: &str, value: Value) -> Vec<(String, String)> {
    let mut document = document();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer} leads into {other}"),
    }
    problems(&document)
}

#[test]
fn every_app_of_a_site_with_identity_says_what_it_asks() {
    let parsed = Snapshot::parse(document().to_string().as_bytes()).unwrap();
    assert_eq!(parsed.identity.unwrap().mount, "/-/accounts");
    for app in parsed.apps.values() {
        let access = app.access().unwrap();
        assert_eq!(
            access.require,
            [Requirement::User, Requirement::Group("ops".into())]
        );
        assert_eq!(access.headers["x-webauth-user"], RemoteField::User);
    }
}

#[test]
fn a_site_without_identity_says_nothing_or_null() {
    let mut document = full();
    assert!(problems(&document).is_empty());
    document["identity"] = Value::Null;
    document["apps"]["tickets"]["access"] = Value::Null;
    assert!(problems(&document).is_empty());
}

#[test]
fn an_app_is_never_left_without_a_guard_by_mistake() {
    let found = with("/apps/files/access", Value::Null);
    assert_eq!(found[0].0, "apps.files.access");
    assert!(found[0].1.contains("must be given"), "{found:?}");
    let found = with("/identity", Value::Null);
    assert_eq!(found.len(), 5);
    assert!(
        found
            .iter()
            .all(|(_, message)| message.contains("must be null")),
        "{found:?}"
    );
}

#[test]
fn every_fault_is_found_at_once() {
    let mut document = document();
    document["identity"]["poll_s"] = json!("fast");
    document["identity"]["published"] = json!([{"kid": 1, "x": ""}]);
    document["apps"]["old"]["access"]["cookies"] = json!("keep");
    document["apps"]["files"]["access"]["guards"] =
        json!([{"path": 1, "methods": [], "require": []}]);
    let places: Vec<String> = problems(&document)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    for place in [
        "identity.poll_s",
        "identity.published[0].kid",
        "apps.old.access.cookies",
        "apps.files.access.guards[0].path",
    ] {
        assert!(
            places.iter().any(|found| found == place),
            "{place}: {places:?}"
        );
    }
}

#[test]
fn a_key_published_twice_is_refused() {
    let key = identity()["published"][0].clone();
    let found = with("/identity/published", json!([key, key]));
    assert_eq!(
        found,
        [(
            "identity.published[1].kid".to_owned(),
            "\"e0\" appears twice".to_owned()
        )]
    );
}

#[test]
fn no_error_shows_the_seed() {
    let seed = "top/secret/seed/that/is/no/base64!";
    let found = with("/identity/signing/seed", json!(seed));
    assert!(
        !found.is_empty() && !format!("{found:?}").contains("top/secret"),
        "{found:?}"
    );
}

proptest! {
    #[test]
    fn a_requirement_prints_as_it_is_written(text in "(public|user|person|service|nobody|(role|group|permission|subject):.{1,20})") {
        if let Ok(term) = text.parse::<Requirement>() {
            prop_assert_eq!(term.to_string(), text);
        } else {
            prop_assert!(text.chars().any(char::is_control));
        }
    }
}
