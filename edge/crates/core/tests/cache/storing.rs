//! What is kept: RFC 9111 section 3, and the rules of section 7 of the contract.

use std::time::{Duration, UNIX_EPOCH};

use http::{Method, StatusCode};
use mergepoint_edge_core::cache::control::Scope;
use mergepoint_edge_core::cache::freshness::{Arrival, Use};
use mergepoint_edge_core::cache::said::Said;
use mergepoint_edge_core::cache::storing::{is_error, plan, Asked, Plan, Refusal, Rules};

use super::fields;

struct Case {
    auto: bool,
    scope: Scope,
    method: Method,
    status: u16,
    request: Vec<(&'static str, &'static str)>,
    proven: bool,
    unknown_cookie: bool,
}

const HTTP: fn() -> Case = || Case {
    auto: false,
    scope: Scope::Anonymous,
    method: Method::GET,
    status: 200,
    request: vec![],
    proven: false,
    unknown_cookie: false,
};

const AUTO: fn() -> Case = || Case {
    auto: true,
    ..HTTP()
};

fn planned(case: Case, answer: &[(&str, &str)]) -> Result<Plan, Refusal> {
    let rules = Rules {
        auto: case.auto,
        ttl: Duration::from_secs(3600),
        stale: Duration::ZERO,
        scope: case.scope,
    };
    let request = fields(&case.request);
    let asked = Asked {
        method: &case.method,
        headers: &request,
        proven: case.proven,
        unknown_cookie: case.unknown_cookie,
    };
    let mut headers = fields(answer);
    let said = Said::take(&mut headers, "shop", false);
    let arrival = Arrival {
        asked: Duration::ZERO,
        came: Duration::ZERO,
        wall: UNIX_EPOCH,
    };
    let status = StatusCode::from_u16(case.status).unwrap();
    plan(&rules, &asked, (status, &headers, &said), arrival)
}

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const TAGGED: (&str, &str) = ("x-mergepoint-tags", "main/a");

fn refused(case: Case, answer: &[(&str, &str)]) -> Refusal {
    planned(case, answer).unwrap_err()
}

#[test]
fn nothing_is_kept_that_did_not_say_how_long() {
    assert_eq!(refused(HTTP(), &[]), Refusal::NoLife);
    assert_eq!(refused(HTTP(), &[TAGGED]), Refusal::NoLife);
    assert_eq!(
        refused(
            HTTP(),
            &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]
        ),
        Refusal::NoLife
    );
    assert!(planned(HTTP(), &[FRESH]).is_ok());
}

#[test]
fn under_auto_an_answer_made_from_named_data_is_kept_and_its_client_told_to_ask() {
    let plan = planned(AUTO(), &[TAGGED]).unwrap();
    assert!(plan.tell_no_cache);
    assert_eq!(plan.life.fresh, Duration::from_secs(3600));
    assert_eq!(plan.tags.len(), 1);
    let explicit = planned(AUTO(), &[TAGGED, FRESH]).unwrap();
    assert!(!explicit.tell_no_cache);
    assert_eq!(explicit.life.fresh, Duration::from_secs(60));
    assert_eq!(
        refused(
            Case {
                status: 404,
                ..AUTO()
            },
            &[TAGGED]
        ),
        Refusal::NoLife
    );
}

#[test]
fn under_auto_unnamed_data_are_never_kept_and_under_http_only_if_the_app_wants_it() {
    let unknown = ("x-mergepoint-tags", "unknown");
    assert_eq!(refused(AUTO(), &[unknown]), Refusal::TagsUnknown);
    assert_eq!(refused(AUTO(), &[unknown, FRESH]), Refusal::TagsUnknown);
    assert!(planned(HTTP(), &[unknown, FRESH]).is_ok());
}

#[test]
fn every_prohibition_has_its_name() {
    let table: [(&[(&str, &str)], Refusal); 8] = [
        (
            &[("cache-control", "no-store, max-age=9")],
            Refusal::NoStore,
        ),
        (&[("cache-control", "private, max-age=9")], Refusal::Private),
        (&[FRESH, ("set-cookie", "a=b")], Refusal::SetCookie),
        (&[FRESH, ("vary", "*")], Refusal::Vary),
        (&[FRESH, ("vary", "a, *")], Refusal::Vary),
        (&[FRESH, ("vary", "x-forwarded-for")], Refusal::Vary),
        (&[FRESH, ("cache-groups", "broken")], Refusal::Groups),
        (&[("cache-control", "no-cache")], Refusal::NoLife),
    ];
    for (answer, why) in table {
        assert_eq!(refused(HTTP(), answer), why, "{answer:?}");
    }
    assert_eq!(
        refused(
            Case {
                method: Method::HEAD,
                ..HTTP()
            },
            &[FRESH]
        ),
        Refusal::Method
    );
    for status in [206, 304] {
        assert_eq!(
            refused(Case { status, ..HTTP() }, &[FRESH]),
            Refusal::Status
        );
    }
}

#[test]
fn an_answer_to_somebody_in_particular_is_kept_only_if_marked_for_all() {
    let with_credential = || Case {
        request: vec![("authorization", "x")],
        ..HTTP()
    };
    let with_cookie = || Case {
        unknown_cookie: true,
        ..HTTP()
    };
    let proven = || Case {
        proven: true,
        ..HTTP()
    };
    for case in [with_credential, with_cookie, proven] {
        assert_eq!(refused(case(), &[FRESH]), Refusal::Credential);
        let public = planned(case(), &[("cache-control", "public, max-age=9")]).unwrap();
        assert!(public.shared);
        assert!(
            planned(case(), &[("cache-control", "s-maxage=9")])
                .unwrap()
                .shared
        );
    }
    let mine = Case {
        scope: Scope::Subject,
        ..proven()
    };
    assert_eq!(planned(mine, &[FRESH]).unwrap().scope, Scope::Subject);
    let narrowed = [FRESH, ("mergepoint-cache-control", "scope=anonymous")];
    let mine = Case {
        scope: Scope::Subject,
        ..proven()
    };
    assert_eq!(refused(mine, &narrowed), Refusal::Credential);
}

#[test]
fn no_cache_is_kept_to_be_asked_for_again() {
    let plan = planned(HTTP(), &[("cache-control", "no-cache"), ("etag", "\"a\"")]).unwrap();
    assert_eq!(plan.life.at(Duration::ZERO), Use::Ask);
}

#[test]
fn must_understand_overrides_no_store_where_the_status_is_understood() {
    let answer = [("cache-control", "max-age=9, no-store, must-understand")];
    assert!(planned(HTTP(), &answer).is_ok());
    assert_eq!(
        refused(
            Case {
                status: 599,
                ..HTTP()
            },
            &answer
        ),
        Refusal::NoStore
    );
}

#[test]
fn errors_that_a_kept_answer_may_stand_in_for_are_those_of_rfc_5861() {
    let statuses =
        [500, 502, 503, 504, 501, 404, 200].map(|s| is_error(StatusCode::from_u16(s).unwrap()));
    assert_eq!(statuses, [true, true, true, true, false, false, false]);
}
