//! Guards: every kind of app, every spelling of a path, and what the refused are told.

use super::{claims, code, Site};

const NAVIGATES: &str = "Sec-Fetch-Mode: navigate";

#[test]
fn a_browser_is_sent_to_log_in_and_comes_back_to_where_it_was() {
    let site = Site::start();
    for fields in [
        [NAVIGATES, "Accept: */*"],
        ["Accept: text/html", "X-Other: 1"],
    ] {
        let answer = site.ask("GET", "/tickets/4?a=1&b=%26", &fields);
        assert_eq!(answer.status, 303);
        let to = answer.field("location").unwrap();
        let next = to
            .strip_prefix("/-/accounts/login?next=")
            .unwrap_or_else(|| panic!("{to}"));
        let next = percent_encoding::percent_decode_str(next)
            .decode_utf8()
            .unwrap();
        assert_eq!(next, "/tickets/4?a=1&b=%26");
        assert_eq!(answer.field("cache-control"), Some("no-store"));
    }
    assert_eq!(site.worker.count(), 0);
}

#[test]
fn a_program_is_told_how_to_prove_itself() {
    let site = Site::start();
    let answer = site.ask("GET", "/", &["Accept: application/json"]);
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (401, "identity.required")
    );
    let head = answer.head.to_lowercase();
    assert!(
        head.contains("www-authenticate: basic realm=\"test\", charset=\"utf-8\""),
        "{head}"
    );
    assert!(head.contains("www-authenticate: bearer"), "{head}");
    assert!(answer
        .text()
        .contains(answer.field("x-request-id").unwrap()));

    let script = site.ask(
        "GET",
        "/",
        &["Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin"],
    );
    assert_eq!(script.status, 401);
    // A browser that is asked for Basic opens a window of its own.
    assert_eq!(
        script.field("www-authenticate"),
        Some("Bearer realm=\"test\"")
    );
}

#[test]
fn guards_hold_for_every_kind_of_app() {
    let site = Site::start();
    let cookie = site.accounts.cookie(&claims("ada", &["reader"]));
    for (path, proven) in [("/", 200), ("/files/a.txt", 200), ("/old", 308)] {
        assert_eq!(site.stand.get(path).status, 401, "{path}");
        assert_eq!(site.get_as(path, &cookie).status, proven, "{path}");
    }
    for path in ["/admin", "/files/admin/x", "/old/admin"] {
        let fields = [
            &format!("Cookie: {cookie}")[..],
            "Sec-Fetch-Site: same-origin",
        ];
        let answer = site.ask("POST", path, &fields);
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (403, "identity.forbidden"),
            "{path}"
        );
        assert!(
            answer.text().contains("role:admin") && answer.text().contains("ada"),
            "{path}"
        );
    }
    for path in ["/open", "/old/open"] {
        assert!(site.stand.get(path).status < 400, "{path}");
    }
}

#[test]
fn what_needed_a_proof_is_kept_by_no_shared_cache() {
    let site = Site::start();
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    let answer = site.get_as("/files/a.txt", &cookie);
    assert_eq!(answer.field("cache-control"), Some("private, max-age=60"));
}

#[test]
fn another_spelling_of_a_path_is_no_way_around_its_guard() {
    let site = Site::start();
    let cookie = site.accounts.cookie(&claims("ada", &["reader"]));
    let admin = site.accounts.cookie(&claims("eve", &["admin"]));
    for path in [
        "/admin",
        "/%61dmin",
        "//admin",
        "/admin;x=1/y",
        "/x%2f..%2fadmin",
        "/%2561dmin",
        "/ADMIN",
    ] {
        let post = |cookie: &str| {
            let fields = [
                &format!("Cookie: {cookie}")[..],
                "Sec-Fetch-Site: same-origin",
            ];
            site.ask("POST", path, &fields).status
        };
        assert!(matches!(post(&cookie), 400 | 403), "{path}");
        assert!(matches!(post(&admin), 200 | 400), "{path}");
    }
}

#[test]
fn a_refused_person_gets_a_page_that_says_who_they_are() {
    let site = Site::start();
    let cookie = format!("Cookie: {}", site.accounts.cookie(&claims("ada", &[])));
    let fields = [
        cookie.as_str(),
        NAVIGATES,
        "Sec-Fetch-Site: same-origin",
        "Accept: text/html",
    ];
    let answer = site.ask("POST", "/admin", &fields);
    assert_eq!(answer.status, 403);
    assert!(answer
        .field("content-type")
        .unwrap()
        .starts_with("text/html"));
    assert!(answer.text().contains("role:admin") && answer.text().contains("ada"));
}
