//! Using what is kept: variants, validators, addresses, keys.

use mergepoint_edge_core::cache::conditional::{ask_again, is_not_modified, range_counts, update};
use mergepoint_edge_core::cache::cookies::Cookies;
use mergepoint_edge_core::cache::invalidation::dropped;
use mergepoint_edge_core::cache::key::{Place, Who};
use mergepoint_edge_core::cache::status::{Forward, Status};
use mergepoint_edge_core::cache::vary::Chosen;
use proptest::prelude::*;

use super::fields;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn place(path: &str) -> Place<'_> {
    Place {
        app: "shop",
        scheme: "http",
        host: "example.org",
        path,
        query: None,
    }
}

fn same(vary: &str, a: &[(&str, &str)], b: &[(&str, &str)]) -> bool {
    let chosen = Chosen::new(&fields(&[("vary", vary)]), &fields(a)).unwrap();
    chosen.matches(&fields(b))
}

#[test]
fn requests_that_differ_in_a_named_field_are_not_given_the_same_answer() {
    assert!(same(
        "foo",
        &[("foo", "1"), ("bar", "1")],
        &[("foo", "1"), ("bar", "2")]
    ));
    assert!(!same("foo", &[("foo", "1")], &[("foo", "2")]));
    assert!(!same("foo", &[("foo", "1")], &[]));
    assert!(!same("foo", &[], &[("foo", "")]));
    assert!(!same(
        "a, b",
        &[("a", "1"), ("b", "2")],
        &[("a", "1"), ("b", "3")]
    ));
}

#[test]
fn space_and_lines_make_no_difference_and_order_only_where_it_means_something() {
    assert!(same("foo", &[("foo", "1,2")], &[("foo", " 1, 2 ")]));
    assert!(same(
        "foo",
        &[("foo", "1, 2")],
        &[("foo", "1"), ("foo", "2")]
    ));
    assert!(!same("foo", &[("foo", "1, 2")], &[("foo", "2, 1")]));
    assert!(same(
        "accept-language",
        &[("accept-language", "en, de")],
        &[("accept-language", "DE,en")]
    ));
    assert!(!same(
        "accept-encoding",
        &[("accept-encoding", "gzip;q=0")],
        &[("accept-encoding", "gzip")]
    ));
}

#[test]
fn what_cannot_be_compared_chooses_nothing() {
    for vary in [
        "*",
        "a, *",
        "a b",
        "forwarded",
        "remote-user",
        "traceparent",
    ] {
        assert!(
            Chosen::new(&fields(&[("vary", vary)]), &fields(&[])).is_none(),
            "{vary}"
        );
    }
    let many: Vec<String> = (0..40).map(|n| format!("f{n}")).collect();
    assert!(Chosen::new(&fields(&[("vary", &many.join(","))]), &fields(&[])).is_none());
}

#[test]
fn the_app_is_asked_for_what_is_kept_and_not_for_what_one_client_has() {
    let mut request = fields(&[
        ("if-none-match", "\"theirs\""),
        ("range", "bytes=0-1"),
        ("a", "1"),
    ]);
    let stored = fields(&[("etag", "\"ours\""), ("last-modified", DATE)]);
    assert!(ask_again(&mut request, &stored));
    assert_eq!(request["if-none-match"], "\"ours\"");
    assert_eq!(request["if-modified-since"], DATE);
    assert!(!request.contains_key("range") && request.contains_key("a"));
    assert!(!ask_again(&mut request, &fields(&[])));
    assert!(!request.contains_key("if-none-match"));
}

#[test]
fn a_client_that_has_it_already_is_told_so() {
    let stored = fields(&[("etag", "W/\"a,b\""), ("last-modified", DATE)]);
    let asks = |pairs: &[(&str, &str)]| is_not_modified(&fields(pairs), &stored);
    assert!(asks(&[("if-none-match", "\"x\", \"a,b\"")]));
    assert!(asks(&[("if-none-match", "*")]));
    assert!(!asks(&[
        ("if-none-match", "\"b\""),
        ("if-modified-since", DATE)
    ]));
    assert!(asks(&[("if-modified-since", DATE)]));
    assert!(!asks(&[(
        "if-modified-since",
        "Sun, 06 Nov 1994 08:49:36 GMT"
    )]));
    assert!(!asks(&[]));
}

#[test]
fn a_range_counts_only_for_the_representation_it_was_made_for() {
    let stored = fields(&[("etag", "\"a\""), ("last-modified", DATE)]);
    let counts = |value: &str| range_counts(&fields(&[("if-range", value)]), &stored);
    assert!(counts("\"a\"") && counts(DATE));
    assert!(!counts("\"b\"") && !counts("W/\"a\"") && !counts("x"));
    assert!(range_counts(&fields(&[]), &stored));
}

#[test]
fn a_304_brings_fields_up_to_date_and_leaves_the_body_alone() {
    let mut stored = fields(&[
        ("a", "1"),
        ("b", "1"),
        ("content-length", "9"),
        ("age", "5"),
    ]);
    update(
        &mut stored,
        &fields(&[("a", "2"), ("content-length", "0"), ("set-cookie", "x=1")]),
    );
    assert_eq!(
        (&stored["a"], &stored["b"]),
        (&"2".parse().unwrap(), &"1".parse().unwrap())
    );
    assert_eq!(stored["content-length"], "9");
    assert!(!stored.contains_key("set-cookie") && !stored.contains_key("age"));
}

#[test]
fn an_unsafe_request_drops_its_own_address_and_those_it_names_of_the_same_origin() {
    let drops = |name: &str, value: &str| -> Vec<String> {
        let all = dropped(&place("/a/b"), &fields(&[(name, value)]));
        all.iter().skip(1).map(|tag| tag.to_string()).collect()
    };
    assert_eq!(
        dropped(&place("/a/b"), &fields(&[]))[0].as_ref(),
        "=http://example.org/a/b"
    );
    for (value, target) in [
        ("http://example.org/c?d#e", "/c?d"),
        ("HTTP://EXAMPLE.ORG", "/"),
        ("/c", "/c"),
        ("c/d", "/a/c/d"),
        ("?x=1", "/a/b?x=1"),
    ] {
        assert_eq!(
            drops("location", value),
            [format!("=http://example.org{target}")],
            "{value}"
        );
    }
    for elsewhere in [
        "https://example.org/c",
        "http://example.com/c",
        "//example.com/c",
        "http://example.org:81/c",
        "../c",
    ] {
        assert!(
            drops("content-location", elsewhere).is_empty(),
            "{elsewhere}"
        );
    }
}

#[test]
fn only_named_cookies_are_known_and_ours_count_for_nothing() {
    let headers = fields(&[
        ("cookie", "lang=de; mp-shop=2; lang=en"),
        ("cookie", "theme=x"),
    ]);
    let names = ["theme".to_owned(), "lang".to_owned()];
    let cookies = Cookies::of(&headers, &names, Some("mp-shop"));
    assert!(!cookies.unknown);
    let pairs: Vec<String> = cookies
        .known
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    assert_eq!(pairs, ["theme=x", "lang=de", "lang=en"]);
    assert!(Cookies::of(&headers, &names, None).unknown);
    assert!(!Cookies::of(&fields(&[]), &[], None).unknown);
}

#[test]
fn what_the_cache_did_is_said_in_the_words_of_rfc_9211() {
    assert_eq!(Status::hit(30).text(), "Mergepoint; hit; ttl=30");
    let mut status = Status::forwarded(Forward::Stale, Some("fill-raced"));
    status.forward_status = Some(304);
    status.stored = true;
    status.collapsed = Some(false);
    let text = "Mergepoint; fwd=stale; fwd-status=304; stored; collapsed=?0; detail=fill-raced";
    assert_eq!(status.text(), text);
}

proptest! {
    #[test]
    fn two_requests_share_a_key_only_if_all_of_them_is_the_same(
        a in ("[a-z]{1,4}", "/[a-z/]{0,6}", proptest::option::of("[a-z=]{0,4}"), "[ -~]{0,6}"),
        b in ("[a-z]{1,4}", "/[a-z/]{0,6}", proptest::option::of("[a-z=]{0,4}"), "[ -~]{0,6}"),
    ) {
        let key = |(app, path, query, cookie): &(String, String, Option<String>, String)| {
            let place = Place { app, path, query: query.as_deref(), ..place("/") };
            let known = vec![("c".to_owned(), cookie.clone())];
            place.key(&Cookies { known, unknown: false }, &Who::Anybody)
        };
        prop_assert_eq!(key(&a) == key(&b), a == b);
    }

    #[test]
    fn variants_are_alike_only_if_their_normal_forms_are(a in "[a-z, ]{0,8}", b in "[a-z, ]{0,8}") {
        let normal = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(same("foo", &[("foo", &a)], &[("foo", &b)]), normal(&a) == normal(&b));
    }
}
