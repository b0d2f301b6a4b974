//! `Cache-Control` and targeted fields: RFC 9111 section 5.2, RFC 9213.

use mergepoint_edge_core::cache::control::{
    request_says, Directives, Hold, Scope, DELTA_S_MAX, FIELD_BYTES_MAX,
};
use proptest::prelude::*;

use super::fields;

fn plain(value: &str) -> Directives {
    Directives::of(&fields(&[("cache-control", value)]))
}

#[test]
fn directives_are_read_in_any_case_and_on_any_line() {
    let two = fields(&[
        ("cache-control", "Max-Age=60 , no-STORE"),
        ("cache-control", "private=\"set-cookie, x\""),
    ]);
    let found = Directives::of(&two);
    assert_eq!(found.max_age_s, Some(60));
    assert!(found.no_store && found.private && !found.public);
}

#[test]
fn of_two_times_the_first_counts_and_an_unreadable_one_is_none_at_all() {
    assert_eq!(plain("max-age=1, max-age=9").max_age_s, Some(1));
    for unreadable in [
        "max-age",
        "max-age=-1",
        "max-age='9'",
        "max-age=1.5",
        "max-age= 9",
    ] {
        assert_eq!(plain(unreadable).max_age_s, Some(0), "{unreadable}");
    }
    assert_eq!(
        plain("max-age=99999999999999999999").max_age_s,
        Some(DELTA_S_MAX)
    );
    assert_eq!(plain("max-age=\"60\"").max_age_s, Some(60));
}

#[test]
fn what_stands_in_quotes_is_no_directive() {
    let found = plain("ext=\"a, max-age=9, no-store\", max-age=3");
    assert_eq!((found.max_age_s, found.no_store), (Some(3), false));
    assert!(!plain("ext=\"\\\", no-store\", public").no_store);
}

#[test]
fn no_cache_with_fields_forbids_keeping_those_alone() {
    let found = plain("no-cache=\"X-One, x-two\", max-age=9");
    assert!(!found.no_cache);
    let names: Vec<&str> = found.unkept.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-one", "x-two"]);
}

#[test]
fn a_field_too_long_to_read_forbids_keeping() {
    assert!(plain(&"a,".repeat(FIELD_BYTES_MAX)).no_store);
}

#[test]
fn a_targeted_field_takes_the_place_of_the_plain_one() {
    let found = Directives::of(&fields(&[
        ("cache-control", "no-store"),
        ("cdn-cache-control", "max-age=9"),
    ]));
    assert_eq!(
        (found.max_age_s, found.no_store, found.targeted),
        (Some(9), false, true)
    );
    let both = Directives::of(&fields(&[
        ("mergepoint-cache-control", "max-age=5"),
        ("cdn-cache-control", "max-age=9"),
    ]));
    assert_eq!(both.max_age_s, Some(5));
}

#[test]
fn a_targeted_field_that_is_no_dictionary_is_passed_over() {
    for broken in [
        "",
        "max-age=\"9\"",
        "max-age=9, &&",
        "max-age =9",
        "Max-Age=9",
        "max-age=-1",
    ] {
        let found = Directives::of(&fields(&[
            ("cache-control", "max-age=1"),
            ("cdn-cache-control", broken),
        ]));
        assert_eq!(
            (found.max_age_s, found.targeted),
            (Some(1), false),
            "{broken:?}"
        );
    }
}

#[test]
fn what_mergepoints_own_field_says_beside_caching_leaves_caching_alone() {
    let found = Directives::of(&fields(&[
        ("cache-control", "max-age=7"),
        ("mergepoint-cache-control", "session, linear, scope=subject"),
    ]));
    assert_eq!(found.max_age_s, Some(7));
    assert_eq!(found.hold, Some(Hold::Session));
    assert_eq!((found.linear, found.scope), (true, Some(Scope::Subject)));
    let cdn = Directives::of(&fields(&[(
        "cdn-cache-control",
        "strict, linear, max-age=1",
    )]));
    assert_eq!(cdn.max_age_s, Some(1));
    assert_eq!(cdn.hold, None, "only our own field may say it");
}

#[test]
fn a_request_is_searched_for_one_directive() {
    let asked = fields(&[("cache-control", "max-age=0, Only-If-Cached")]);
    assert!(request_says(&asked, "only-if-cached") && !request_says(&asked, "no-store"));
}

proptest! {
    #[test]
    fn no_field_makes_a_time_longer_than_it_says(text in "[ -~]{0,80}") {
        for name in ["cache-control", "cdn-cache-control", "mergepoint-cache-control"] {
            let found = Directives::of(&fields(&[(name, &text)]));
            for seconds in [found.max_age_s, found.s_maxage_s].into_iter().flatten() {
                prop_assert!(seconds <= DELTA_S_MAX);
                prop_assert!(seconds == 0 || text.bytes().any(|byte| byte.is_ascii_digit()));
            }
        }
    }

    #[test]
    fn no_store_is_found_wherever_it_stands(before in "[a-z0-9=, ]{0,20}", after in "[a-z0-9=, ]{0,20}") {
        let text = format!("{before},no-store,{after}");
        prop_assert!(plain(&text).no_store);
    }
}
