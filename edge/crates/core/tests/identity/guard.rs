//! The verdicts that Python and Rust must both give, and what holds for any path.

use mergepoint_edge_core::identity::guard::{is_csrf_exempt, is_guard_path, judge, Readings};
use mergepoint_edge_core::identity::{Claims, Requirement, Roles, Verdict};
use mergepoint_edge_core::snapshot::Access;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    access: Access,
    roles: Roles,
    claims: Option<Claims>,
    method: String,
    path: String,
    verdict: String,
    #[serde(default)]
    terms: Vec<String>,
}

fn told(verdict: Verdict<'_>) -> (&'static str, Vec<String>) {
    match verdict {
        Verdict::Allowed => ("allowed", Vec::new()),
        Verdict::NeedsProof => ("needs_proof", Vec::new()),
        Verdict::Forbidden(terms) => (
            "forbidden",
            terms.iter().map(Requirement::to_string).collect(),
        ),
    }
}

fn access(require: &[&str], guards: &[(&str, &[&str])], exempt: &[&str]) -> Access {
    let guards: Vec<_> = guards
        .iter()
        .map(|(path, require)| json!({"path": path, "methods": [], "require": require}))
        .collect();
    serde_json::from_value(json!({
        "require": require, "guards": guards, "csrf_exempt": exempt,
        "cookies": "confine", "headers": {}, "authorization": "consume"
    }))
    .unwrap()
}

#[test]
fn every_golden_request_gets_its_verdict() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/golden/guards.json"
    );
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() >= 60);
    for case in cases {
        let verdict = judge(
            &case.access,
            &case.roles,
            case.claims.as_ref(),
            &case.method,
            &case.path,
        );
        assert_eq!(
            told(verdict),
            (case.verdict.as_str(), case.terms),
            "{}",
            case.name
        );
    }
}

#[test]
fn a_path_is_exempt_from_proof_of_origin_only_in_all_its_readings() {
    let access = access(&["public"], &[], &["/hooks"]);
    for (path, exempt) in [
        ("/hooks", true),
        ("/hooks/", true),
        ("/hooks/git", true),
        ("/%68ooks/git", true),
        ("/hooksy", false),
        ("/HOOKS", false),
        ("/", false),
        ("/%2568ooks", false),
        ("/hooks/%252e%252e/admin", false),
        ("/hooks/../admin", false),
    ] {
        assert_eq!(is_csrf_exempt(&access, path), exempt, "{path}");
    }
}

#[test]
fn a_usual_path_is_read_without_a_copy() {
    for (path, read) in [("/a/b", "/a/b"), ("/a/b/", "/a/b"), ("", "/"), ("/", "/")] {
        let readings = Readings::of(path);
        let all: Vec<&[u8]> = readings.iter().collect();
        assert_eq!(all, [read.as_bytes()], "{path}");
        let inside = path.as_bytes().as_ptr_range().contains(&all[0].as_ptr());
        assert!(path.len() < 2 || inside, "{path}");
    }
}

#[test]
fn a_guard_can_stand_only_where_its_path_has_one_reading() {
    for good in ["/", "/a", "/a/b", "/100%", "/a b", "/köln", "/A"] {
        assert!(is_guard_path(good), "{good}");
    }
    for bad in [
        "", "a", "/a/", "//a", "/a//b", "/a;b", "/a\\b", "/./a", "/a/..", "/%61", "/a%2Fb",
    ] {
        assert!(!is_guard_path(bad), "{bad}");
    }
}

/// One spelling of a path in many ways that mean the same to some program.
fn spelled() -> impl Strategy<Value = (String, String)> {
    let segment = prop_oneof![Just("admin"), Just("a"), Just("b.c"), Just("x-1")];
    let letter = 0..4_u8;
    (
        prop::collection::vec(segment, 0..4),
        prop::collection::vec(letter, 64),
    )
        .prop_map(|(segments, choices)| {
            let plain: String = segments.iter().map(|name| format!("/{name}")).collect();
            let mut choices = choices.into_iter().cycle();
            let spelled = plain
                .bytes()
                .map(|byte| match choices.next() {
                    Some(0) => format!("%{byte:02x}"),
                    Some(1) if byte == b'/' => "/;v=1//".to_owned(),
                    Some(2) if byte == b'/' => "/./".to_owned(),
                    _ => char::from(byte).to_string(),
                })
                .collect();
            (plain, spelled)
        })
}

proptest! {
    #[test]
    fn every_reading_of_anything_is_normal(path in ".{0,60}") {
        for reading in Readings::of(&path).iter() {
            prop_assert_eq!(reading[0], b'/');
            prop_assert!(reading == b"/" || reading.last() != Some(&b'/'));
            for segment in reading[1..].split(|b| *b == b'/').filter(|_| reading != b"/") {
                prop_assert!(!segment.is_empty() && segment != b"." && segment != b"..");
                prop_assert!(!segment.contains(&b';') && !segment.contains(&b'\\'));
            }
        }
    }

    #[test]
    fn no_spelling_of_a_guarded_path_escapes_its_guard((plain, spelled) in spelled()) {
        let access = access(&["public"], &[("/admin", &["nobody"]), ("/a/b.c", &["nobody"])], &[]);
        let roles = Roles::new();
        let expected = told(judge(&access, &roles, None, "GET", &plain));
        prop_assert_eq!(told(judge(&access, &roles, None, "GET", &spelled)), expected, "{}", spelled);
    }

    #[test]
    fn escaping_everything_twice_never_opens_what_was_closed((plain, _) in spelled()) {
        let closed = access(&["public"], &[("/admin", &["nobody"])], &[]);
        let twice: String = plain.bytes().map(|byte| format!("%25{byte:02X}")).collect();
        let roles = Roles::new();
        if judge(&closed, &roles, None, "GET", &plain) != Verdict::Allowed {
            prop_assert_ne!(judge(&closed, &roles, None, "GET", &twice), Verdict::Allowed);
        }
    }
}
