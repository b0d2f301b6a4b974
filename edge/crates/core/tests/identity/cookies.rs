//! Our cookies in requests: found for us, removed for everybody else.

use http::{HeaderMap, HeaderValue};
use mergepoint_edge_core::forwarded::Scheme;
use mergepoint_edge_core::identity::cookies::{carried, forward, is_ours, refresh_session, Found};
use mergepoint_edge_core::snapshot::CookiePolicy;
use proptest::prelude::*;

use super::{head, values};

const SESSION: &str = "__Host-mergepoint-session";
const REFRESH: &str = "__Host-mergepoint-refresh";

fn cookies(fields: &[&str]) -> HeaderMap {
    let fields: Vec<_> = fields.iter().map(|value| ("cookie", *value)).collect();
    head(&fields)
}

fn forwarded(fields: &[&str], policy: CookiePolicy) -> Vec<String> {
    let mut headers = cookies(fields);
    forward(&mut headers, policy);
    values(&headers, "cookie")
}

#[test]
fn our_cookies_are_found_by_the_scheme_of_the_connection() {
    let all = format!("a=1; {SESSION}=S; mergepoint-session=s;{REFRESH}=R; mergepoint-refresh=r");
    let headers = cookies(&[&all]);
    let secure = carried(&headers, Scheme::Https);
    assert_eq!(
        (secure.session, secure.refresh),
        (Found::One("S"), Found::One("R"))
    );
    let plain = carried(&headers, Scheme::Http);
    assert_eq!(
        (plain.session, plain.refresh),
        (Found::One("s"), Found::One("r"))
    );
}

#[test]
fn our_cookies_are_found_beside_others_of_any_bytes_and_in_any_field() {
    let mut headers = cookies(&["a=b=c", &format!("{SESSION} = S ")]);
    headers.append(
        "cookie",
        HeaderValue::from_bytes(b"umlaut=\xe4\xf6").unwrap(),
    );
    let found = carried(&headers, Scheme::Https);
    assert_eq!(
        (found.session, found.refresh),
        (Found::One("S"), Found::Nothing)
    );
    assert!(found.any());
    assert!(!carried(&headers, Scheme::Http).any());
}

#[test]
fn a_cookie_of_ours_that_comes_twice_proves_nobody_but_is_noticed() {
    for fields in [
        vec![format!("{SESSION}=a; {SESSION}=b")],
        vec![format!("{SESSION}=a"), format!("x=1; {SESSION}=a")],
        vec![format!("{SESSION}=a; {SESSION}=")],
        vec![format!("{SESSION}=\u{e4}"), format!("{SESSION}=b")],
    ] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let headers = cookies(&fields);
        let found = carried(&headers, Scheme::Https);
        assert_eq!(found.session, Found::Unusable, "{fields:?}");
        assert_eq!(found.session.value(), None);
        assert!(found.any());
    }
}

#[test]
fn names_are_taken_exactly_and_an_empty_cookie_is_none() {
    for text in [
        "__host-mergepoint-session=a",
        "__Host-mergepoint-session",
        "__Host-mergepoint-session=",
        "x__Host-mergepoint-session=a",
        "__Host-mergepoint-session-2=a",
        "=__Host-mergepoint-session",
    ] {
        assert_eq!(
            carried(&cookies(&[text]), Scheme::Https).session,
            Found::Nothing,
            "{text}"
        );
    }
}

#[test]
fn no_debug_output_shows_a_token() {
    let headers = cookies(&[&format!("{SESSION}=top-secret")]);
    assert!(!format!("{:?}", carried(&headers, Scheme::Https)).contains("top-secret"));
}

#[test]
fn a_refresh_cookie_names_its_session_only_in_its_form() {
    let secret = "a".repeat(43);
    assert_eq!(refresh_session(&format!("s_1-x.{secret}")), Some("s_1-x"));
    for bad in [
        String::new(),
        secret.clone(),
        format!(".{secret}"),
        format!("s1.{secret}x"),
        format!("s1.{}=", &secret[1..]),
        format!("s 1.{secret}"),
        format!("s.1.{secret}"),
        format!("{}.{secret}", "s".repeat(300)),
    ] {
        assert_eq!(refresh_session(&bad), None, "{bad}");
    }
}

#[test]
fn no_app_receives_any_of_our_cookies() {
    let all =
        format!("a=1; {SESSION}=S; mergepoint-session=s;{REFRESH}=R; mergepoint-refresh=r; b=2");
    for policy in [CookiePolicy::Confine, CookiePolicy::Share] {
        assert_eq!(forwarded(&[&all], policy), ["a=1; b=2"]);
        assert!(forwarded(&[&format!("{SESSION}=S")], policy).is_empty());
        assert!(forwarded(&["MergePoint-Session=x", "mergepoint-refresh"], policy).is_empty());
        // An unclosed quote in front hides nothing.
        let sandwich = format!("$Version=1; a=\"x; {SESSION}=S; b=y\"");
        assert_eq!(
            forwarded(&[&sandwich], policy),
            ["$Version=1; a=\"x; b=y\""]
        );
    }
}

#[test]
fn other_cookies_stay_as_they_are() {
    for fields in [vec!["a=1;b=2;;  c"], vec!["a=1", "b=\"x y\""], vec![]] {
        for policy in [CookiePolicy::Confine, CookiePolicy::Share] {
            assert_eq!(forwarded(&fields, policy), fields);
        }
    }
}

#[test]
fn of_two_cookies_with_one_name_the_first_is_let_through() {
    let two = ["sid=deep; a=1; sid=wide", "sid=other"];
    assert_eq!(forwarded(&two, CookiePolicy::Confine), ["sid=deep; a=1"]);
    assert_eq!(forwarded(&two, CookiePolicy::Share), two);
    assert_eq!(
        forwarded(&["Sid=1; sid=2"], CookiePolicy::Confine),
        ["Sid=1; sid=2"]
    );
}

#[test]
fn twice_is_noticed_among_very_many_cookies() {
    let many: Vec<String> = (0..500).map(|n| format!("c{n}={n}")).collect();
    let twice = format!("{}; c3=x; c400=x", many.join("; "));
    assert_eq!(
        forwarded(&[&twice], CookiePolicy::Confine),
        [many.join("; ")]
    );
}

#[test]
fn our_names_are_ours_in_any_case() {
    for name in [SESSION, REFRESH, "mergepoint-session", "MERGEPOINT-REFRESH"] {
        assert!(is_ours(name.as_bytes()), "{name}");
    }
    assert!(!is_ours(b"mergepoint") && !is_ours(b""));
}

proptest! {
    #[test]
    fn whatever_is_sent_no_app_receives_ours_and_nothing_is_made_up(
        fields in prop::collection::vec("(([ab]|__Host-mergepoint-session|mergepoint-refresh)?[= ;\"]{0,2}){0,8}", 0..4),
        confine in any::<bool>()
    ) {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let policy = if confine { CookiePolicy::Confine } else { CookiePolicy::Share };
        let before = cookies(&fields);
        let mut after = before.clone();
        forward(&mut after, policy);
        for scheme in [Scheme::Http, Scheme::Https] {
            prop_assert!(!carried(&after, scheme).any());
        }
        let sent = values(&before, "cookie").join(";");
        let sent: Vec<&str> = sent.split(';').map(str::trim).collect();
        for pair in values(&after, "cookie").join(";").split(';').map(str::trim) {
            prop_assert!(pair.is_empty() || sent.contains(&pair));
        }
        let once = after.clone();
        forward(&mut after, policy);
        prop_assert_eq!(after, once);
    }
}
