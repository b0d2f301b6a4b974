//! When accounts cannot be asked: what goes on, for how long, and what stops.

use std::io::{Read, Write};

use serde_json::json;

use super::{claims, code, now_s, Accounts, Site};
use crate::stand::{eventually, Worker};

#[test]
fn until_the_feed_was_read_nobody_is_proven() {
    let accounts = Accounts::start();
    accounts.with(|known| known.deaf = true);
    let cookie = accounts.cookie(&claims("ada", &[]));
    let site = Site::beside(Worker::saying("hello"), accounts, |_| {});
    let guarded = site.get_as("/", &cookie);
    assert_eq!(
        (guarded.status, code(&guarded).as_str()),
        (503, "identity.unavailable")
    );
    assert_eq!(guarded.field("retry-after"), Some("5"));
    assert_eq!(site.get_as("/open", &cookie).status, 200);
    assert_eq!(site.worker.last().field("remote-user"), None);
    assert_eq!(site.stats()["ready"], false);

    site.accounts.with(|known| known.deaf = false);
    eventually("the feed is read as soon as it can be", || {
        site.get_as("/", &cookie).status == 200
    });
    assert_eq!(site.stats()["ready"], true);
}

#[test]
fn a_session_outlives_an_accounts_app_that_is_down() {
    let site = Site::start();
    let mut old = claims("ada", &[]);
    old["iat"] = json!(now_s() - 700.0);
    old["exp"] = json!(now_s() - 100.0);
    let (good, old) = (
        site.accounts.cookie(&claims("bob", &[])),
        site.accounts.cookie(&old),
    );
    site.accounts.revoke("session", "sid-eve");
    let eve = site.accounts.cookie(&claims("eve", &[]));
    eventually("the edge has read of it", || site.stats()["position"] == 1);

    site.stand
        .apply(|snapshot| snapshot["apps"]["accounts"]["slots"] = json!([]));
    assert_eq!(site.get_as("/", &good).status, 200);
    assert_eq!(
        site.get_as("/", &old).status,
        200,
        "for stale_s beyond its end"
    );
    let revoked = site.get_as("/", &eve);
    assert_eq!(
        (revoked.status, code(&revoked).as_str()),
        (503, "identity.unavailable")
    );
    let nobody = site.stand.get("/");
    assert_eq!(
        (nobody.status, code(&nobody).as_str()),
        (401, "identity.required")
    );
}

#[test]
fn a_feed_that_was_not_read_for_too_long_proves_nobody() {
    let site = Site::with(Worker::saying("hello"), |snapshot| {
        snapshot["identity"]["stale_s"] = json!(0.5);
        snapshot["identity"]["call_s"] = json!(0.2);
    });
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    assert_eq!(site.get_as("/", &cookie).status, 200);
    site.accounts.with(|known| known.deaf = true);
    eventually("it is too old", || site.get_as("/", &cookie).status == 503);
    assert_eq!(site.get_as("/open", &cookie).status, 200);
    site.accounts.with(|known| known.deaf = false);
    eventually("it is read again", || {
        site.get_as("/", &cookie).status == 200
    });
}

#[test]
fn a_credential_that_cannot_be_checked_is_refused_as_unavailable() {
    let site = Site::start();
    site.stand
        .apply(|snapshot| snapshot["apps"]["accounts"]["slots"] = json!([]));
    let token = "mpt_AbCdEfGhIjKl_abcdefghijklmnopqrstuvwxyz0123456789-.-ABCD";
    let answer = site.ask("GET", "/", &[&format!("Authorization: Bearer {token}")]);
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (503, "identity.unavailable")
    );
}

#[test]
fn a_call_that_is_not_answered_ends_within_its_time() {
    let site = Site::with(Worker::saying("hello"), |snapshot| {
        snapshot["identity"]["call_s"] = json!(0.3);
    });
    let mut old = claims("ada", &[]);
    old["iat"] = json!(now_s() - 700.0);
    old["exp"] = json!(now_s() - 100.0);
    site.accounts.with(|known| known.hold_refresh = true);
    assert_eq!(site.get_as("/", &site.accounts.cookie(&old)).status, 200);
    site.accounts.with(|known| known.hold_refresh = false);
}

#[test]
fn accounts_that_lost_its_database_is_an_accounts_that_is_down() {
    let site = Site::start();
    let mut old = claims("ada", &[]);
    old["iat"] = json!(now_s() - 700.0);
    old["exp"] = json!(now_s() - 100.0);
    site.accounts.with(|known| known.lost = true);
    assert_eq!(site.get_as("/", &site.accounts.cookie(&old)).status, 200);
}

#[test]
fn live_connections_end_when_nobody_knows_any_more_whether_they_may_live() {
    let worker = Worker::start(|stream, _| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.read(&mut [0; 16]);
        false
    });
    let site = Site::with(worker, |snapshot| {
        snapshot["identity"]["stale_s"] = json!(0.5);
        snapshot["identity"]["call_s"] = json!(0.2);
    });
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    let mut client = site.stand.client();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: site.example\r\nCookie: {cookie}\r\n\r\n"
    ));
    client.head();
    assert_eq!(site.stats()["live"], 1);
    site.accounts.with(|known| known.deaf = true);
    let _ = client.0.read_to_end(&mut Vec::new());
    eventually("it has left", || site.stats()["live"] == 0);
}
