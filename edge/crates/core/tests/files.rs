//! Static files: paths, conditions, ranges.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, Method};
use mergepoint_edge_core::files::{answer, asks_for_directory, relative_path, Answer, Version};
use mergepoint_edge_core::range::{parse_text, Ranges, Span, RANGES_MAX};
use mergepoint_edge_core::target::NormalPath;
use proptest::prelude::*;

#[test]
fn a_path_stays_below_its_root() {
    for (rest, path) in [
        ("", Some("")),
        ("/", Some("")),
        ("/a/b.css", Some("a/b.css")),
        ("//a///b/", Some("a/b")),
        ("/caf%C3%A9%20x", Some("caf\u{e9} x")),
        ("/.well-known/acme", Some(".well-known/acme")),
        ("/a/.well-known", Some("a/.well-known")),
        ("/.git/config", None),
        ("/a/.env", None),
        ("/%2Egit", None),
        ("/..", None),
        ("/a/../b", None),
        ("/a%2Fb", None),
        ("/a%5Cb", None),
        ("/a%00b", None),
        ("/a%0Ab", None),
        ("/%FF", None),
        ("/%C0%AE%C0%AE/x", None),
    ] {
        assert_eq!(
            relative_path(rest).as_deref(),
            path.map(Path::new),
            "{rest}"
        );
    }
    assert!(
        asks_for_directory("")
            && asks_for_directory("/")
            && asks_for_directory("/a/")
            && !asks_for_directory("/a")
    );
}

const MODIFIED_S: u64 = 1_700_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn date(seconds: u64) -> String {
    httpdate::fmt_http_date(at(seconds))
}

fn version() -> Version {
    Version::new(
        1_000,
        at(MODIFIED_S) + Duration::from_millis(250),
        at(MODIFIED_S + 60),
        "",
    )
}

fn answered(method: &Method, fields: &[(&str, &str)]) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    answer(method, &headers, &version(), 1_000)
}

fn get(fields: &[(&str, &str)]) -> Answer {
    answered(&Method::GET, fields)
}

#[test]
fn versions_differ_by_size_time_and_encoding() {
    let base = version();
    assert!(base.etag.starts_with('"') && base.etag.ends_with('"'));
    assert_eq!(base.last_modified(), date(MODIFIED_S));
    let now = at(MODIFIED_S + 60);
    let others = [
        Version::new(1_001, at(MODIFIED_S) + Duration::from_millis(250), now, ""),
        Version::new(1_000, at(MODIFIED_S) + Duration::from_millis(251), now, ""),
        Version::new(
            1_000,
            at(MODIFIED_S) + Duration::from_millis(250),
            now,
            "br",
        ),
    ];
    assert!(others.iter().all(|other| other.etag != base.etag));
    assert!(
        Version::new(1, UNIX_EPOCH - Duration::from_secs(1), now, "")
            .etag
            .len()
            > 2
    );
}

#[test]
fn conditions_are_judged_in_their_order() {
    let etag = version().etag;
    let weak = format!("W/{etag}");
    let list = format!("\"x\", {etag}");
    let (past, same, later) = (date(MODIFIED_S - 1), date(MODIFIED_S), date(MODIFIED_S + 1));
    let etag = etag.as_str();
    for (fields, expected) in [
        (vec![], Answer::Whole),
        (vec![("if-match", etag)], Answer::Whole),
        (vec![("if-match", "*")], Answer::Whole),
        (vec![("if-match", &list)], Answer::Whole),
        (vec![("if-match", &weak)], Answer::PreconditionFailed),
        (vec![("if-match", "\"x\"")], Answer::PreconditionFailed),
        (
            vec![("if-unmodified-since", &past)],
            Answer::PreconditionFailed,
        ),
        (vec![("if-unmodified-since", &same)], Answer::Whole),
        (
            vec![("if-match", etag), ("if-unmodified-since", &past)],
            Answer::Whole,
        ),
        (vec![("if-none-match", etag)], Answer::NotModified),
        (vec![("if-none-match", &weak)], Answer::NotModified),
        (vec![("if-none-match", &list)], Answer::NotModified),
        (vec![("if-none-match", "*")], Answer::NotModified),
        (vec![("if-none-match", "\"x\"")], Answer::Whole),
        (
            vec![("if-none-match", "\"x\""), ("if-modified-since", &later)],
            Answer::Whole,
        ),
        (vec![("if-modified-since", &same)], Answer::NotModified),
        (vec![("if-modified-since", &past)], Answer::Whole),
        (vec![("if-modified-since", "yesterday")], Answer::Whole),
        (
            vec![("if-modified-since", &same), ("if-modified-since", &same)],
            Answer::Whole,
        ),
        (
            vec![("if-match", "\"x\""), ("if-none-match", etag)],
            Answer::PreconditionFailed,
        ),
        (
            vec![("if-none-match", etag), ("range", "bytes=0-1")],
            Answer::NotModified,
        ),
    ] {
        assert_eq!(get(&fields), expected, "{fields:?}");
    }
}

#[test]
fn a_range_counts_only_for_the_version_it_was_made_for() {
    let etag = version().etag;
    let weak = format!("W/{etag}");
    let (same, later) = (date(MODIFIED_S), date(MODIFIED_S + 1));
    let part = Answer::Part(vec![Span { first: 0, last: 9 }]);
    for (condition, expected) in [
        (etag.as_str(), part.clone()),
        (&same, part.clone()),
        (&weak, Answer::Whole),
        ("\"x\"", Answer::Whole),
        (&later, Answer::Whole),
        ("nonsense", Answer::Whole),
    ] {
        assert_eq!(
            get(&[("range", "bytes=0-9"), ("if-range", condition)]),
            expected,
            "{condition}"
        );
    }
    assert_eq!(
        answered(&Method::HEAD, &[("range", "bytes=0-9")]),
        Answer::Whole
    );
    assert_eq!(get(&[("range", "bytes=1000-")]), Answer::Unsatisfiable);
}

#[test]
fn a_date_proves_no_range_while_the_file_may_still_change_within_its_second() {
    let fresh = Version::new(1_000, at(MODIFIED_S), at(MODIFIED_S + 1), "");
    let mut headers = HeaderMap::new();
    headers.insert("range", "bytes=0-9".parse().unwrap());
    headers.insert("if-range", date(MODIFIED_S).parse().unwrap());
    assert_eq!(answer(&Method::GET, &headers, &fresh, 1_000), Answer::Whole);
}

fn spans(text: &str) -> Ranges {
    parse_text(text, 1_000)
}

#[test]
fn ranges_name_bytes_that_exist() {
    let one = |first, last| Ranges::Spans(vec![Span { first, last }]);
    for (text, expected) in [
        ("bytes=0-0", one(0, 0)),
        ("bytes=0-", one(0, 999)),
        ("BYTES=10-19", one(10, 19)),
        ("bytes=990-5000", one(990, 999)),
        ("bytes=-1", one(999, 999)),
        ("bytes=-5000", one(0, 999)),
        (
            "bytes= 0-1 , 5-6",
            Ranges::Spans(vec![Span { first: 0, last: 1 }, Span { first: 5, last: 6 }]),
        ),
        (
            "bytes=5-6,0-1",
            Ranges::Spans(vec![Span { first: 5, last: 6 }, Span { first: 0, last: 1 }]),
        ),
        ("bytes=0-1,2000-", one(0, 1)),
        ("bytes=0-99999999999999999999999", one(0, 999)),
        ("bytes=1000-", Ranges::Unsatisfiable),
        ("bytes=-0", Ranges::Unsatisfiable),
        ("bytes=99999999999999999999999-", Ranges::Unsatisfiable),
        ("bytes=5-4", Ranges::All),
        ("bytes=", Ranges::All),
        ("bytes=-", Ranges::All),
        ("bytes=a-b", Ranges::All),
        ("bytes=+1-2", Ranges::All),
        ("bytes=0-1-2", Ranges::All),
        ("bytes 0-1", Ranges::All),
        ("lines=0-1", Ranges::All),
        ("bytes=0-10,5-20", Ranges::All),
        ("bytes=0-,0-,0-", Ranges::All),
    ] {
        assert_eq!(spans(text), expected, "{text}");
    }
    assert_eq!(parse_text("bytes=0-", 0), Ranges::Unsatisfiable);
    assert_eq!(parse_text("bytes=-5", 0), Ranges::Unsatisfiable);
    assert_eq!(
        Span { first: 0, last: 9 }.content_range(1_000),
        "bytes 0-9/1000"
    );
    assert_eq!(Span { first: 0, last: 9 }.length(), 10);
}

#[test]
fn more_ranges_than_the_bound_get_the_whole_file() {
    let ranges = |count: usize| {
        let parts: Vec<String> = (0..count)
            .map(|n| format!("{}-{}", n * 10, n * 10))
            .collect();
        spans(&format!("bytes={}", parts.join(",")))
    };
    assert!(matches!(ranges(RANGES_MAX), Ranges::Spans(spans) if spans.len() == RANGES_MAX));
    assert_eq!(ranges(RANGES_MAX + 1), Ranges::All);
}

proptest! {
    #[test]
    fn ranges_never_ask_for_more_than_the_file(text in "(bytes)?=?[0-9, -]{0,40}", size in 0u64..2_000) {
        if let Ranges::Spans(spans) = parse_text(&text, size) {
            prop_assert!(!spans.is_empty() && spans.len() <= RANGES_MAX);
            prop_assert!(spans.iter().all(|span| span.first <= span.last && span.last < size));
            prop_assert!(spans.iter().map(Span::length).sum::<u64>() <= size);
        }
    }

    #[test]
    fn any_range_text_is_judged(text in any::<String>(), size in any::<u64>()) {
        let _ = parse_text(&text, size);
    }

    #[test]
    fn no_normal_path_leaves_the_root(raw in "/([a-c./;%\\\\]|%2[ef]|%5c|%00|%25|%c0%ae){0,24}") {
        if let Some(path) = NormalPath::parse(&raw).ok().and_then(|path| relative_path(path.as_str())) {
            let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
            prop_assert!(path.components().all(plain), "{raw} became {}", path.display());
        }
    }

    #[test]
    fn any_text_as_a_path_stays_below_the_root(rest in any::<String>()) {
        if let Some(path) = relative_path(&rest) {
            let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
            prop_assert!(path.components().all(plain));
            prop_assert!(!path.to_string_lossy().contains('\0'));
        }
    }
}
