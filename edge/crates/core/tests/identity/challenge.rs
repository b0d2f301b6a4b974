//! What is answered when identity stands in the way: the table of the contract.

use http::{Method, StatusCode};
use mergepoint_edge_core::identity::challenge::{
    answer, is_navigation, login, Answer, Asked, Reason, NEXT_BYTES_MAX,
};
use proptest::prelude::*;

use super::head;

const BROWSER: &[(&str, &str)] = &[("sec-fetch-mode", "navigate"), ("sec-fetch-site", "none")];
const SCRIPT: &[(&str, &str)] = &[("sec-fetch-mode", "cors"), ("accept", "text/html")];
const PROGRAM: &[(&str, &str)] = &[("accept", "*/*")];

fn answered(reason: Reason, fields: &[(&str, &str)]) -> Answer {
    let asked = Asked {
        method: &Method::GET,
        headers: &head(fields),
        target: "/tickets/7?a=1&b=%20",
    };
    answer(reason, &asked, "acme", "/-/accounts")
}

fn challenges(answer: &Answer) -> Vec<&str> {
    answer
        .challenges
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

#[test]
fn every_reason_has_its_status_and_code() {
    let wait = Reason::TooMany { retry_after_s: 3.2 };
    for (reason, page, program, code) in [
        (Reason::Required, 303, 401, "identity.required"),
        (Reason::Forbidden, 403, 403, "identity.forbidden"),
        (Reason::Credential, 401, 401, "identity.credential"),
        (wait, 429, 429, "identity.too_many"),
        (Reason::Origin, 403, 403, "csrf.origin"),
        (Reason::Unavailable, 503, 503, "identity.unavailable"),
    ] {
        for (fields, status, is_page) in [
            (BROWSER, page, true),
            (PROGRAM, program, false),
            (SCRIPT, program, false),
        ] {
            let told = answered(reason, fields);
            assert_eq!(
                (told.status.as_u16(), told.code, told.page),
                (status, code, is_page)
            );
            assert_eq!(told.location.is_some(), status == 303);
            assert_eq!(told.challenges.is_empty(), status != 401);
        }
    }
}

#[test]
fn a_visitor_is_led_to_the_login_and_back() {
    let told = answered(Reason::Required, BROWSER);
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    assert_eq!(
        told.location.unwrap(),
        "/-/accounts/login?next=/tickets/7%3Fa%3D1%26b%3D%2520"
    );
}

#[test]
fn a_program_is_asked_for_either_credential_and_a_script_for_a_bearer_only() {
    let basic = "Basic realm=\"acme\", charset=\"UTF-8\"";
    assert_eq!(
        challenges(&answered(Reason::Required, PROGRAM)),
        [basic, "Bearer realm=\"acme\""]
    );
    assert_eq!(
        challenges(&answered(Reason::Required, SCRIPT)),
        ["Bearer realm=\"acme\""]
    );
    let wrong = "Bearer realm=\"acme\", error=\"invalid_token\"";
    assert_eq!(
        challenges(&answered(Reason::Credential, PROGRAM)),
        [basic, wrong]
    );
    assert_eq!(challenges(&answered(Reason::Credential, BROWSER)), [wrong]);
}

#[test]
fn whoever_must_wait_is_told_for_how_long() {
    for (given, told) in [(3.2, 4), (0.0, 1), (-5.0, 1), (1e12, 86_400)] {
        let wait = Reason::TooMany {
            retry_after_s: given,
        };
        let answer = answered(wait, PROGRAM);
        assert_eq!(answer.retry_after_s, Some(told), "{given}");
    }
    assert_eq!(
        answered(Reason::Unavailable, PROGRAM).retry_after_s,
        Some(5)
    );
    assert_eq!(answered(Reason::Forbidden, PROGRAM).retry_after_s, None);
}

#[test]
fn a_navigation_is_what_the_browser_calls_one_or_an_old_browser_looks_like() {
    for (method, fields, expected) in [
        (Method::GET, BROWSER, true),
        (Method::POST, BROWSER, true),
        (Method::GET, SCRIPT, false),
        (Method::GET, PROGRAM, false),
        (
            Method::GET,
            &[("accept", "text/html,application/xml;q=0.9")][..],
            true,
        ),
        (
            Method::GET,
            &[("accept", "application/xhtml+xml, TEXT/HTML;q=0.8")][..],
            true,
        ),
        (Method::GET, &[("accept", "application/json")][..], false),
        (Method::GET, &[("accept", "text/htmlx")][..], false),
        (Method::GET, &[][..], false),
        (Method::POST, &[("accept", "text/html")][..], false),
        (Method::HEAD, &[("accept", "text/html")][..], false),
        (
            Method::GET,
            &[("accept", "text/html"), ("sec-fetch-site", "none")][..],
            false,
        ),
        (
            Method::GET,
            &[("accept", "text/html"), ("sec-fetch-mode", "websocket")][..],
            false,
        ),
    ] {
        assert_eq!(
            is_navigation(&method, &head(fields)),
            expected,
            "{method} {fields:?}"
        );
    }
}

#[test]
fn the_way_back_never_leads_to_another_host() {
    for (target, expected) in [
        ("/", "/-/accounts/login?next=/"),
        ("//evil.example/x", "/-/accounts/login?next=/evil.example/x"),
        ("/\\evil.example", "/-/accounts/login?next=/evil.example"),
        (
            "/a?next=//evil.example",
            "/-/accounts/login?next=/a%3Fnext%3D//evil.example",
        ),
        (
            "/a#b\r\nSet-Cookie: x",
            "/-/accounts/login?next=/a%23b%0D%0ASet-Cookie%3A%20x",
        ),
        ("/ä", "/-/accounts/login?next=/%C3%A4"),
    ] {
        assert_eq!(login("/-/accounts", target), expected);
    }
    assert_eq!(login("/", "/a"), "/login?next=/a");
}

#[test]
fn a_way_back_that_is_too_long_is_left_out() {
    let just = format!("/{}", "x".repeat(NEXT_BYTES_MAX - 1));
    assert!(login("/accounts", &just).ends_with("xxx"));
    assert_eq!(login("/accounts", &format!("{just}x")), "/accounts/login");
    assert_eq!(
        login("/accounts", &format!("/{}", "%".repeat(NEXT_BYTES_MAX / 2))),
        "/accounts/login"
    );
}

proptest! {
    #[test]
    fn any_target_makes_a_location_on_this_host(target in ".{0,200}") {
        let location = login("/-/accounts", &target);
        prop_assert!(http::HeaderValue::from_str(&location).is_ok());
        if let Some(next) = location.strip_prefix("/-/accounts/login?next=") {
            prop_assert!(next.starts_with('/') && !next.starts_with("//"));
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b);
            prop_assert!(next.bytes().all(plain));
        } else {
            prop_assert_eq!(location, "/-/accounts/login");
        }
    }
}
