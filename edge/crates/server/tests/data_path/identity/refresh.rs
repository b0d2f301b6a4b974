//! Renewal of sessions: once for all who wait, carried by every kind of answer.

use std::io::Write;

use serde_json::{json, Value};

use super::{ask, claims, now_s, Site};
use crate::stand::{eventually, say, Worker};

/// Claims of a session whose token ended `ago_s` ago; negative: which still has that long.
fn ended(user: &str, ago_s: f64) -> Value {
    let mut old = claims(user, &["reader"]);
    old["iat"] = json!(now_s() - ago_s - 600.0);
    old["exp"] = json!(now_s() - ago_s);
    old
}

#[test]
fn fifty_requests_that_wait_for_one_session_cause_one_refresh() {
    let site = Site::start();
    site.accounts.with(|known| {
        known.refreshed = Some(claims("ada", &["reader"]));
        known.hold_refresh = true;
    });
    let cookie = format!("Cookie: {}", site.accounts.cookie(&ended("ada", 5.0)));
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| site.ask("GET", "/", &[&cookie])))
            .collect();
        let all_wait = || {
            site.stand
                .control()
                .ask(json!({"id": 1, "verb": "inflight"}))["requests"]
                .as_array()
                .is_some_and(|all| all.len() == 50)
        };
        eventually("all fifty are under way", all_wait);
        site.accounts.with(|known| known.hold_refresh = false);
        for asked in asking {
            let answer = asked.join().unwrap();
            assert_eq!(answer.status, 200);
            let set = answer.field("set-cookie").unwrap();
            assert!(set.starts_with("mergepoint-session="), "{set}");
        }
    });
    assert_eq!(site.accounts.with(|known| known.refreshes.len()), 1);
    assert_eq!(site.worker.last().field("remote-user"), Some("ada"));
    let asked = site.accounts.with(|known| known.refreshes[0].clone());
    assert_eq!(
        (&asked["secure"], &asked["address"]),
        (&json!(false), &json!("127.0.0.1"))
    );
    assert_eq!(site.stats()["refreshes"], 1);
}

#[test]
fn whatever_the_answer_is_it_carries_the_renewed_session() {
    let worker = Worker::start(|stream, seen| match seen.path() {
        "/ws" => {
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(head.as_bytes()).is_ok()
        }
        "/broken" => false,
        _ => say(stream, "hello"),
    });
    let site = Site::with(worker, |_| {});
    site.accounts
        .with(|known| known.refreshed = Some(claims("ada", &["reader"])));
    for (path, status) in [
        ("/", 200),
        ("/files/a.txt", 200),
        ("/files/missing.txt", 404),
        ("/old", 308),
        ("/broken", 502),
        ("/ws", 101),
    ] {
        // Each path with a session of its own, so that nothing is remembered from the last one.
        let user = format!("ada{}", path.len());
        let cookie = site.accounts.cookie(&ended(&user, -100.0));
        let cookie = format!("Cookie: {cookie}");
        let mut fields = vec![cookie.as_str()];
        if status == 101 {
            fields.extend([
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
            ]);
            fields.push("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
        }
        let answer = ask(&mut site.stand.client(), "GET", path, &fields);
        assert_eq!(answer.status, status, "{path}");
        let set = answer
            .field("set-cookie")
            .unwrap_or_else(|| panic!("{path}: {}", answer.head));
        assert!(set.starts_with("mergepoint-session="), "{path}");
        if status != 101 {
            assert!(
                answer.field("cache-control").unwrap().contains("no-store"),
                "{path}"
            );
        }
    }
}

#[test]
fn a_browser_that_only_kept_its_refresh_cookie_is_known_again() {
    let site = Site::start();
    site.accounts
        .with(|known| known.refreshed = Some(claims("ada", &[])));
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    let (_, refresh) = cookie.split_once("; ").unwrap();
    assert_eq!(site.get_as("/", refresh).status, 200);
    assert_eq!(site.worker.last().field("remote-user"), Some("ada"));
}

#[test]
fn a_session_that_has_ended_is_nobody_and_its_cookies_are_taken_away() {
    let site = Site::start();
    let cookie = site.accounts.cookie(&ended("ada", 5.0));
    let answer = site.get_as("/", &cookie);
    assert_eq!(answer.status, 401);
    assert!(answer.field("set-cookie").unwrap().contains("Max-Age=0"));
    let open = site.get_as("/open", &cookie);
    assert_eq!(open.status, 200);
    assert_eq!(site.worker.last().field("remote-user"), None);
    assert_eq!(
        site.accounts.with(|known| known.refreshes.len()),
        1,
        "the refusal is remembered"
    );
}

#[test]
fn a_refresh_under_another_secret_gains_nothing_from_the_right_one() {
    let site = Site::start();
    site.accounts
        .with(|known| known.refreshed = Some(claims("ada", &[])));
    let right = site.accounts.cookie(&ended("ada", 5.0));
    assert_eq!(site.get_as("/", &right).status, 200);
    let wrong = "mergepoint-refresh=sid-ada.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(site.get_as("/", wrong).status, 401);
}

#[test]
fn a_token_good_for_long_is_not_renewed() {
    let site = Site::start();
    let answer = site.get_as("/", &site.accounts.cookie(&claims("ada", &[])));
    assert_eq!((answer.status, answer.field("set-cookie")), (200, None));
    assert_eq!(site.accounts.with(|known| known.refreshes.len()), 0);
}
