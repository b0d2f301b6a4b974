//! The golden snapshots that Python and Rust both read, and the parser on arbitrary bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use mergepoint_edge_core::snapshot::{Address, Snapshot};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/golden/snapshot")
        .join(name)
}

fn full() -> Value {
    serde_json::from_slice(&std::fs::read(golden("valid/full.json")).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Case {
    name: String,
    set: BTreeMap<String, Value>,
    remove: Vec<String>,
    problems: BTreeMap<String, String>,
}

impl Case {
    fn document(&self) -> Value {
        let mut document = full();
        for (pointer, value) in &self.set {
            place(&mut document, pointer, Some(value.clone()));
        }
        for pointer in &self.remove {
            place(&mut document, pointer, None);
        }
        document
    }
}

fn place(document: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match (document.pointer_mut(parent).unwrap(), value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(key.to_owned(), value)),
        (Value::Object(fields), None) => drop(fields.remove(key).unwrap()),
        (Value::Array(items), Some(value)) => items[key.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{pointer} leads into {other}"),
    }
}

#[test]
fn every_valid_golden_snapshot_parses() {
    let files: Vec<_> = std::fs::read_dir(golden("valid")).unwrap().collect();
    assert!(files.len() >= 2);
    for file in files {
        let path = file.unwrap().path();
        let parsed = Snapshot::parse(&std::fs::read(&path).unwrap());
        assert!(
            parsed.is_ok(),
            "{}: {}",
            path.display(),
            parsed.unwrap_err()
        );
    }
}

#[test]
fn every_invalid_golden_snapshot_is_refused_with_exactly_the_expected_places() {
    let cases: Vec<Case> =
        serde_json::from_slice(&std::fs::read(golden("invalid.json")).unwrap()).unwrap();
    assert!(cases.len() > 40);
    for case in cases {
        let error = Snapshot::parse(case.document().to_string().as_bytes()).expect_err(&case.name);
        let places: Vec<&String> = error.problems.iter().map(|problem| &problem.path).collect();
        assert_eq!(places.len(), case.problems.len(), "{}: {error}", case.name);
        for problem in &error.problems {
            let expected = case.problems.get(&problem.path);
            let expected = expected.unwrap_or_else(|| panic!("{}: unexpected {error}", case.name));
            assert!(problem.message.contains(expected), "{}: {error}", case.name);
        }
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    let text =
        full()
            .to_string()
            .replacen("\"generation\":7", "\"generation\":7,\"generation\":8", 1);
    let error = Snapshot::parse(text.as_bytes()).unwrap_err();
    assert!(
        error.to_string().contains("duplicate field `generation`"),
        "{error}"
    );
}

#[test]
fn text_after_the_document_is_refused() {
    assert!(Snapshot::parse(format!("{} {{}}", full()).as_bytes()).is_err());
}

#[test]
fn no_error_and_no_debug_output_shows_the_secret() {
    let mut document = full();
    let shown = format!(
        "{:?}",
        Snapshot::parse(document.to_string().as_bytes()).unwrap()
    );
    assert!(shown.contains("Secret(hidden)") && !shown.contains("AAECAwQFBgc"));
    document["secret"] = "c2VjcmV0IHRoYXQgaXMgdG9vIHNob3J0!".into();
    let error = Snapshot::parse(document.to_string().as_bytes()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("c2Vjcm"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused_with_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Err(error) = Snapshot::parse(&bytes) {
            prop_assert!(!error.problems.is_empty());
        }
    }

    #[test]
    fn a_damaged_snapshot_is_parsed_or_refused_with_a_reason(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()
    ) {
        let mut bytes = full().to_string().into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Err(error) = Snapshot::parse(&bytes) {
            prop_assert!(!error.problems.is_empty());
        }
    }

    #[test]
    fn what_prints_as_an_address_parses_back(text in "(unix:/|tcp:|)[a-z0-9:.\\[\\]/]{0,30}(:[0-9]{1,6})?") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string(), text.clone());
            prop_assert_eq!(text.parse::<Address>(), Ok(address));
        }
    }
}
