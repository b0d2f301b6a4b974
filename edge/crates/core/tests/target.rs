//! Request targets: one spelling, or refusal.
#![allow(clippy::unwrap_used)]

use mergepoint_edge_core::target::{NormalPath, NormalTarget, TargetError};
use proptest::prelude::*;

fn path(raw: &str) -> Result<String, TargetError> {
    NormalPath::parse(raw).map(|path| path.to_string())
}

#[test]
fn escapes_of_unreserved_characters_are_decoded_and_no_others() {
    for (raw, normal) in [
        ("/", "/"),
        ("/%7euser/%41-%2d", "/~user/A--"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%20b", "/a%20b"),
        ("//a//", "//a//"),
        ("/%252e%252e/", "/%252e%252e/"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a;v=1/b", "/a;v=1/b"),
        ("/{id}|\"<>^`", "/%7Bid%7D%7C%22%3C%3E%5E%60"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/%", "BadEscape"),
    ] {
        match path(raw) {
            Ok(found) => assert_eq!(found, normal, "{raw}"),
            Err(error) => assert_eq!(format!("{error:?}"), normal, "{raw}"),
        }
    }
}

#[test]
fn dot_segments_are_refused_in_every_spelling() {
    for raw in [
        "/..",
        "/.",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/%2e%2e/b",
        "/.%2E/",
        "/a/%2e",
        "/a/..;x=1/b",
        "/a/..%3bx/b",
        "/a/..%2fb",
        "/a%2f..%2Fb",
        "/a%2f%2e%2e",
        "/..%2f",
    ] {
        assert_eq!(path(raw), Err(TargetError::DotSegment), "{raw}");
    }
}

#[test]
fn what_programs_read_differently_is_refused() {
    for (raw, error) in [
        ("", TargetError::NotAbsolute),
        ("a/b", TargetError::NotAbsolute),
        ("/a\\b", TargetError::Backslash),
        ("/a%5cb", TargetError::Backslash),
        ("/a%00b", TargetError::ForbiddenByte),
        ("/a%0d%0ab", TargetError::ForbiddenByte),
        ("/a%7f", TargetError::ForbiddenByte),
        ("/a b", TargetError::ForbiddenByte),
        ("/a\tb", TargetError::ForbiddenByte),
        ("/caf\u{e9}", TargetError::ForbiddenByte),
        ("/a#b", TargetError::Fragment),
        ("/a%2", TargetError::BadEscape),
        ("/a%zz", TargetError::BadEscape),
        ("/a%+1", TargetError::BadEscape),
    ] {
        assert_eq!(path(raw), Err(error), "{raw}");
    }
}

#[test]
fn the_query_stays_as_it_was_sent() {
    let target = NormalTarget::parse("/a?x=%2e%2e/%zz&y=\\?{}").unwrap();
    assert_eq!(target.query.as_deref(), Some("x=%2e%2e/%zz&y=\\?{}"));
    assert_eq!(NormalTarget::parse("/a?").unwrap().to_string(), "/a?");
    assert_eq!(NormalTarget::parse("/a").unwrap().query, None);
    assert_eq!(
        NormalTarget::parse("/a?b\u{e9}"),
        Err(TargetError::ForbiddenByte)
    );
    assert_eq!(
        NormalTarget::parse("/a?b c"),
        Err(TargetError::ForbiddenByte)
    );
}

/// What a worker does that decodes once and then splits.
fn decoded_segments(path: &str) -> Vec<Vec<u8>> {
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    decoded
        .split(|b| *b == b'/' || *b == b'\\')
        .map(<[u8]>::to_vec)
        .collect()
}

proptest! {
    #[test]
    fn the_normal_form_is_stable_and_safe_to_decode(raw in "/([a-c./;%\\\\]|%2[ef]|%2[EF]|%5c|%00|%25|\u{e9}){0,24}") {
        if let Ok(path) = NormalPath::parse(&raw) {
            prop_assert_eq!(NormalPath::parse(path.as_str()), Ok(path.clone()));
            for segment in decoded_segments(path.as_str()) {
                prop_assert!(segment != b".." && segment != b".", "{} hides a dot segment", path);
                prop_assert!(!segment.iter().any(u8::is_ascii_control));
            }
            prop_assert_eq!(path.segments().collect::<Vec<_>>().join("/"), &path.as_str()[1..]);
        }
    }

    #[test]
    fn any_text_is_normalised_or_refused(raw in any::<String>()) {
        if let Ok(target) = NormalTarget::parse(&raw) {
            prop_assert!(target.to_string().is_ascii());
            prop_assert_eq!(NormalTarget::parse(&target.to_string()), Ok(target));
        }
    }

    #[test]
    fn plain_paths_pass_unchanged(raw in "(/[A-Za-z0-9_~!$&'()*+,=:@-]{1,8}){1,6}/?") {
        prop_assert_eq!(path(&raw), Ok(raw));
    }
}
