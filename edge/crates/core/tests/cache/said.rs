//! What answers say to the cache: tags, groups (RFC 9875), and what of it reaches the client.

use mergepoint_edge_core::cache::said::{MadeFrom, Said};
use mergepoint_edge_core::cache::tags::{self, is_tag, TAGS_MAX, TAG_BYTES_MAX};
use proptest::prelude::*;

use super::fields;

fn said(pairs: &[(&str, &str)]) -> (Said, Vec<String>) {
    let mut headers = fields(pairs);
    let said = Said::take(&mut headers, "shop", false);
    let left = headers.keys().map(|name| name.as_str().to_owned());
    (said, left.collect())
}

fn texts(tags: &[tags::Tag]) -> Vec<&str> {
    tags.iter().map(|tag| &**tag).collect()
}

fn made(pairs: &[(&str, &str)]) -> Option<Vec<String>> {
    match said(pairs).0.made_from {
        MadeFrom::Tags(tags) => Some(tags.iter().map(|tag| tag.to_string()).collect()),
        _ => None,
    }
}

#[test]
fn several_lines_of_tags_are_one_list_and_none_reaches_the_client() {
    let pairs = [
        ("x-mergepoint-tags", "main/a, main/b:id=4"),
        ("x-mergepoint-tags", "main/a"),
        ("content-type", "text/plain"),
    ];
    assert_eq!(made(&pairs).unwrap(), ["main/a", "main/b:id=4"]);
    assert_eq!(said(&pairs).1, ["content-type"]);
}

#[test]
fn no_tags_no_word_and_unknown_are_three_things() {
    assert_eq!(said(&[]).0.made_from, MadeFrom::Unsaid);
    assert_eq!(made(&[("x-mergepoint-tags", "")]), Some(vec![]));
    for unknown in [
        "unknown",
        "main/a, unknown",
        "main",
        "Main/a",
        "main/a b",
        "main/\u{e4}",
    ] {
        let found = said(&[("x-mergepoint-tags", unknown)]).0.made_from;
        assert_eq!(found, MadeFrom::Unknown, "{unknown}");
    }
}

#[test]
fn too_many_rows_stand_for_their_tables() {
    let many: Vec<String> = (0..=TAGS_MAX)
        .map(|n| format!("main/t{}:id={n}", n % 3))
        .collect();
    let found = made(&[("x-mergepoint-tags", &many.join(","))]).unwrap();
    assert_eq!(found, ["main/t0", "main/t1", "main/t2"]);
    let tables: Vec<String> = (0..=TAGS_MAX).map(|n| format!("main/t{n}")).collect();
    assert_eq!(made(&[("x-mergepoint-tags", &tables.join(","))]), None);
}

#[test]
fn groups_of_all_spellings_belong_to_their_app() {
    let pairs = [
        ("cache-groups", "\"posts\";x=1, \"a b\""),
        ("surrogate-key", "one two"),
        ("xkey", "two"),
        ("cache-tag", "three, four"),
        ("cache-group-invalidation", "\"old\""),
    ];
    let (said, left) = said(&pairs);
    let groups = said.groups.unwrap();
    let expected = [
        "@shop/a b",
        "@shop/four",
        "@shop/one",
        "@shop/posts",
        "@shop/three",
        "@shop/two",
    ];
    assert_eq!(texts(&groups), expected);
    assert_eq!(texts(&said.drops), ["@shop/old"]);
    assert!(left.is_empty());
}

#[test]
fn groups_that_cannot_be_kept_make_an_answer_unfit_to_keep() {
    let long = format!("\"{}\"", "g".repeat(TAG_BYTES_MAX));
    for broken in ["posts", "\"a\", 4", "(\"a\")", long.as_str()] {
        assert_eq!(said(&[("cache-groups", broken)]).0.groups, None, "{broken}");
    }
    let thirty_two: Vec<String> = (0..32).map(|n| format!("\"{n:032}\"")).collect();
    let thirty_two = thirty_two.join(",");
    assert!(said(&[("cache-groups", &thirty_two)]).0.groups.is_some());
}

#[test]
fn exposed_groups_stay_in_the_answer() {
    let mut headers = fields(&[("cache-groups", "\"a\""), ("surrogate-key", "b")]);
    Said::take(&mut headers, "shop", true);
    assert!(headers.contains_key("cache-groups") && !headers.contains_key("surrogate-key"));
}

#[test]
fn a_304_repeats_only_what_has_changed() {
    let old = said(&[
        ("x-mergepoint-tags", "main/a"),
        ("cache-control", "max-age=9"),
        ("xkey", "g"),
    ])
    .0;
    let nothing = fields(&[]);
    assert_eq!(said(&[]).0.over(&old, &nothing).made_from, old.made_from);
    assert_eq!(
        said(&[]).0.over(&old, &nothing),
        Said {
            drops: vec![],
            ..old.clone()
        }
    );
    let told = fields(&[
        ("cache-control", "no-store"),
        ("x-mergepoint-tags", "main/b"),
    ]);
    let fresh = Said::take(&mut told.clone(), "shop", false).over(&old, &told);
    assert!(fresh.directives.no_store);
    assert_ne!(fresh.made_from, old.made_from);
}

#[test]
fn a_tables_star_stands_for_its_rows_and_groups_have_none() {
    assert_eq!(tags::star("main/a:id=4").as_deref(), Some("main/a:*"));
    assert_eq!(tags::star("main/a"), None);
    assert_eq!(tags::star("@shop/posts"), None);
    assert_eq!(tags::source("=http://a/b"), None);
}

proptest! {
    #[test]
    fn whatever_comes_is_read_as_tags_or_as_unknown(text in "[ -~]{0,200}") {
        if let Some(tags) = made(&[("x-mergepoint-tags", &text)]) {
            prop_assert!(tags.len() <= TAGS_MAX);
            prop_assert!(tags.iter().all(|tag| is_tag(tag) && tags::source(tag).is_some()));
        }
        let (said, _) = said(&[("cache-groups", &text), ("cache-group-invalidation", &text)]);
        let groups = said.groups.unwrap_or_default();
        prop_assert!(groups.iter().chain(&said.drops).all(|tag| tag.starts_with("@shop/")));
    }
}
