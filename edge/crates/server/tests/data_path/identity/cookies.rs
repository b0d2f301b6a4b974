//! Cookies: the session stays with accounts, and apps stay below their mounts.

use std::io::Write;

use serde_json::json;

use super::{access, claims, Site};
use crate::stand::Worker;

/// An app that tries to set whatever it wants.
fn setting(fields: &'static str) -> Worker {
    Worker::start(move |stream, _| {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\nok");
        stream.write_all(answer.as_bytes()).is_ok()
    })
}

#[test]
fn no_app_but_accounts_ever_sees_the_session() {
    let site = Site::start();
    let ours = site.accounts.cookie(&claims("ada", &[]));
    let all = format!("a=1; {ours}; __Host-mergepoint-session=x; __Host-mergepoint-refresh=y; b=2");
    site.get_as("/", &all);
    assert_eq!(site.worker.last().field("cookie"), Some("a=1; b=2"));

    let accounts = site.get_as("/-/accounts/me", &all);
    assert!(
        accounts.text().contains("mergepoint-session"),
        "{}",
        accounts.text()
    );
}

#[test]
fn no_app_but_accounts_sets_the_session_or_clears_the_site() {
    let worker = setting(
        "Set-Cookie: mergepoint-session=stolen; Path=/\r\nSet-Cookie: __Host-mergepoint-refresh=x; Secure; Path=/\r\n\
         Clear-Site-Data: \"cookies\"\r\nSet-Cookie: own=1\r\n",
    );
    let site = Site::with(worker, |_| {});
    let answer = site.get_as("/open", "");
    let head = answer.head.to_lowercase();
    assert!(
        !head.contains("mergepoint-") && !head.contains("clear-site-data"),
        "{head}"
    );
    assert!(head.contains("set-cookie: own=1"), "{head}");

    let bye = site.ask(
        "POST",
        "/-/accounts/logout",
        &["Sec-Fetch-Site: same-origin"],
    );
    let head = bye.head.to_lowercase();
    assert!(
        head.contains("set-cookie: mergepoint-session=;") && head.contains("clear-site-data"),
        "{head}"
    );
    assert!(!head.contains("mergepoint-feed"), "{head}");
}

#[test]
fn cookies_of_an_app_stay_below_its_mount_unless_shared() {
    let mounted = |policy: &'static str| {
        let worker = setting(
            "Set-Cookie: a=1; Path=/; Domain=example.org\r\nSet-Cookie: b=2; Path=/tickets/x\r\nSet-Cookie: c=3\r\n",
        );
        Site::with(worker, move |snapshot| {
            let mut access = access();
            access["cookies"] = json!(policy);
            access["require"] = json!(["public"]);
            snapshot["apps"]["app"]["access"] = access;
            snapshot["hosts"][0]["routes"][0]["prefix"] = json!("/tickets");
        })
    };
    let head = mounted("confine")
        .stand
        .get("/tickets/y")
        .head
        .to_lowercase();
    let set: Vec<&str> = head
        .lines()
        .filter(|line| line.starts_with("set-cookie"))
        .collect();
    assert_eq!(set.len(), 3);
    assert!(
        set[0].contains("path=/tickets") && !set[0].contains("domain"),
        "{set:?}"
    );
    assert!(set[1].contains("path=/tickets/x"), "{set:?}");
    assert!(set[2].contains("path=/tickets"), "{set:?}");

    let head = mounted("share").stand.get("/tickets/y").head;
    assert!(head.contains("a=1; Path=/; Domain=example.org"), "{head}");
}

#[test]
fn a_site_without_identity_leaves_cookies_alone() {
    let worker = setting("Set-Cookie: a=1; Path=/; Domain=example.org\r\n");
    let stand = crate::stand::Stand::start(&[&worker], |_| {});
    let head = stand.get("/x").head;
    assert!(head.contains("a=1; Path=/; Domain=example.org"), "{head}");
    assert_eq!(stand.get("/.well-known/mergepoint/jwks.json").text(), "ok");
}
