//! What an app may leave in a browser.

use mergepoint_edge_core::identity::set_cookie::{confine, Removed};
use mergepoint_edge_core::snapshot::CookiePolicy;
use proptest::prelude::*;

use super::{head, values};

fn answered(cookie: &str, mount: &str, policy: CookiePolicy) -> (Vec<String>, Removed) {
    let mut headers = head(&[("set-cookie", cookie)]);
    let removed = confine(&mut headers, mount, policy);
    (values(&headers, "set-cookie"), removed)
}

fn confined(cookie: &str, mount: &str) -> String {
    let (cookies, removed) = answered(cookie, mount, CookiePolicy::Confine);
    assert_eq!(removed, Removed::default(), "{cookie}");
    cookies.concat()
}

#[test]
fn a_cookie_gets_the_path_of_its_mount_and_never_a_wider_one() {
    for (given, expected) in [
        ("a=1", "a=1; Path=/tickets"),
        ("a=1; Path=/", "a=1; Path=/tickets"),
        (
            "a=1; HttpOnly; path=/; Secure",
            "a=1; HttpOnly; Secure; Path=/tickets",
        ),
        ("a=1; Path=/ticketsx", "a=1; Path=/tickets"),
        ("a=1; Path=tickets", "a=1; Path=/tickets"),
        ("a=1; Path=", "a=1; Path=/tickets"),
        ("a=1; Path", "a=1; Path=/tickets"),
        ("a=1; Path=\"/tickets\"", "a=1; Path=/tickets"),
        ("a=1; Path=/Tickets", "a=1; Path=/tickets"),
        ("a=1; PATH = /tickets/x ", "a=1; PATH = /tickets/x "),
        (
            "a=1; Path=/tickets; Max-Age=5",
            "a=1; Path=/tickets; Max-Age=5",
        ),
        ("a=1; Path=/tickets/", "a=1; Path=/tickets/"),
        (
            "a=\"x\"; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
            "a=\"x\"; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/tickets",
        ),
    ] {
        assert_eq!(confined(given, "/tickets"), expected, "{given}");
    }
}

#[test]
fn of_several_paths_the_last_counts_and_is_the_only_one_left() {
    for (given, expected) in [
        ("a=1; Path=/tickets; Path=/", "a=1; Path=/tickets"),
        ("a=1; Path=/; Path=/tickets/x", "a=1; Path=/tickets/x"),
    ] {
        assert_eq!(confined(given, "/tickets"), expected, "{given}");
    }
    // Browsers pass over a value this long, and the path before it would count.
    let long = format!("a=1; Path=/; Path=/tickets/{}", "x".repeat(1024));
    assert_eq!(confined(&long, "/tickets"), "a=1; Path=/tickets");
    let alone = format!("a=1; Path=/tickets/{}", "x".repeat(1024));
    assert_eq!(confined(&alone, "/tickets"), "a=1; Path=/tickets");
}

#[test]
fn a_cookie_is_for_this_host_alone() {
    assert_eq!(
        confined(
            "a=1; Domain=example.org; Path=/tickets/x; DOMAIN=.org; Secure",
            "/tickets"
        ),
        "a=1; Secure; Path=/tickets/x"
    );
    assert_eq!(confined("a=1; domain=example.org", "/"), "a=1");
    assert_eq!(
        confined("a=1; domain=example.org; path=/x", "/"),
        "a=1; Path=/x"
    );
}

#[test]
fn an_app_at_the_root_may_use_the_whole_host() {
    for cookie in [
        "a=1",
        "a=1; Path=/",
        "a=1; Path=/x",
        "__Host-a=1; Secure; Path=/",
    ] {
        assert_eq!(confined(cookie, "/"), cookie);
        assert_eq!(confined(cookie, ""), cookie);
    }
}

#[test]
fn a_cookie_for_the_whole_host_only_is_dropped_below_the_root() {
    for cookie in ["__Host-a=1; Secure; Path=/", "__HOST-a=1; Path=/tickets"] {
        let (left, removed) = answered(cookie, "/tickets", CookiePolicy::Confine);
        assert!(left.is_empty(), "{cookie}");
        assert_eq!(removed.whole_host, 1);
        let (left, _) = answered(cookie, "/tickets", CookiePolicy::Share);
        assert_eq!(left, [cookie]);
    }
}

#[test]
fn no_app_sets_our_cookies_in_any_disguise() {
    for cookie in [
        "mergepoint-session=x",
        " MergePoint-Session =x; Path=/tickets",
        "__Host-mergepoint-session=x; Secure; Path=/",
        "__Host-mergepoint-refresh=; Max-Age=0",
        "=mergepoint-session=x",
        " = = __Host-mergepoint-session=x",
        "mergepoint-session",
        "=mergepoint-refresh",
        "\tmergepoint-refresh\t=x",
    ] {
        for policy in [CookiePolicy::Confine, CookiePolicy::Share] {
            let (left, removed) = answered(cookie, "/", policy);
            assert!(left.is_empty(), "{cookie}");
            assert_eq!(removed.ours, 1, "{cookie}");
        }
    }
}

#[test]
fn an_app_that_shares_is_left_alone_otherwise() {
    let cookie = "a=1; Domain=example.org; Path=/";
    let (left, removed) = answered(cookie, "/tickets", CookiePolicy::Share);
    assert_eq!(
        (left, removed),
        (vec![cookie.to_owned()], Removed::default())
    );
}

#[test]
fn nobody_is_logged_out_by_an_app() {
    for policy in [CookiePolicy::Confine, CookiePolicy::Share] {
        let mut headers = head(&[("clear-site-data", "\"cookies\""), ("x-a", "1")]);
        assert!(confine(&mut headers, "/tickets", policy).clear_site_data);
        assert!(!headers.contains_key("clear-site-data") && headers.contains_key("x-a"));
    }
}

#[test]
fn several_cookies_keep_their_order() {
    let mut headers = head(&[
        ("set-cookie", "a=1"),
        ("set-cookie", "mergepoint-session=x"),
        ("set-cookie", "b=1; Path=/tickets/b"),
        ("set-cookie", "a=2; Path=/"),
    ]);
    let removed = confine(&mut headers, "/tickets", CookiePolicy::Confine);
    assert_eq!(removed.ours, 1);
    assert_eq!(
        values(&headers, "set-cookie"),
        [
            "a=1; Path=/tickets",
            "b=1; Path=/tickets/b",
            "a=2; Path=/tickets"
        ]
    );
}

proptest! {
    #[test]
    fn whatever_an_app_sets_stays_below_its_mount(
        cookie in "[a-z_=; ]{0,8}(;[ ]?(Path|path|Domain|Secure|x)(=[/a-z.]{0,10})?){0,4}"
    ) {
        let (left, _) = answered(&cookie, "/m", CookiePolicy::Confine);
        for cookie in left {
            let paths: Vec<&str> = cookie
                .split(';')
                .skip(1)
                .filter_map(|part| part.split_once('='))
                .filter(|(name, _)| name.trim().eq_ignore_ascii_case("path"))
                .map(|(_, value)| value.trim())
                .collect();
            prop_assert_eq!(paths.len(), 1, "{}", cookie);
            prop_assert!(paths[0] == "/m" || paths[0].starts_with("/m/"), "{}", cookie);
            prop_assert!(!cookie.to_ascii_lowercase().contains("domain") || !cookie.contains("Domain"));
            let (again, _) = answered(&cookie, "/m", CookiePolicy::Confine);
            prop_assert_eq!(again, vec![cookie]);
        }
    }
}
