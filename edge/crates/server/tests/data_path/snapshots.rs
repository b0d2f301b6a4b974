//! Snapshots: applied whole, obeyed at once, refused without a trace.

use serde_json::json;

use crate::stand::{eventually, say, Stand, Worker};

#[test]
fn a_new_address_takes_over_and_the_old_one_drains() {
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    let opened = std::sync::Mutex::new(opened);
    let old = Worker::start(move |stream, seen| {
        if seen.path() == "/slow" {
            opened
                .lock()
                .unwrap()
                .recv_timeout(crate::stand::LIMIT)
                .unwrap();
        }
        say(stream, "old")
    });
    let new = Worker::saying("new");
    let stand = Stand::start(&[&old], |_| {});
    assert_eq!(stand.get("/").text(), "old");
    let mut slow = stand.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is at work", || old.count() == 2);

    let applied = stand
        .apply(|snapshot| snapshot["apps"]["app"]["slots"][0]["address"] = new.address().into());
    assert_eq!(
        (applied["ok"].as_bool(), applied["generation"].as_u64()),
        (Some(true), Some(2))
    );
    assert_eq!(stand.get("/").text(), "new");
    let drained = |timeout_s: f64| {
        stand.control().ask(json!({"id": 2, "verb": "await_drained", "address": old.address(), "timeout_s": timeout_s}))
    };
    assert_eq!(drained(0.05)["in_flight"], 1);
    gate.send(()).unwrap();
    assert_eq!(drained(5.0)["in_flight"], 0);
    assert_eq!(slow.answer().text(), "old", "what was begun is finished");
    eventually("no link is kept", || {
        old.connections.load(std::sync::atomic::Ordering::SeqCst) == 0
    });
}

#[test]
fn a_snapshot_that_is_wrong_or_old_changes_nothing() {
    let worker = Worker::saying("hello");
    let stand = Stand::start(&[&worker], |_| {});
    let before = stand.snapshot.lock().unwrap().clone();

    let refused = stand.apply(|snapshot| snapshot["apps"]["app"]["concurrency"] = json!("many"));
    assert_eq!(refused["error"]["code"], "edge.snapshot_invalid");
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("apps.app.concurrency"),
        "{refused}"
    );
    let old = stand
        .control()
        .ask(json!({"id": 1, "verb": "apply", "snapshot": before}));
    assert_eq!(old["error"]["code"], "edge.snapshot_old");
    assert_eq!(stand.get("/").text(), "hello");
    assert_eq!(
        stand.control().ask(json!({"id": 1, "verb": "ping"}))["generation"],
        1
    );
}

#[test]
fn the_mount_is_removed_and_put_back() {
    let worker = Worker::start(|stream, seen| {
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: /next\r\nSet-Cookie: a=b; Path=/\r\nX-Path: {}\r\nContent-Length: 0\r\n\r\n",
            seen.path()
        );
        std::io::Write::write_all(stream, answer.as_bytes()).is_ok()
    });
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["hosts"][0]["routes"][0]["prefix"] = json!("/shop");
        snapshot["apps"]["app"]["prefix"] = json!("strip");
    });
    let answer = stand.get("/shop/a?b=c");
    assert_eq!(answer.field("x-path"), Some("/a?b=c"));
    assert_eq!(answer.field("location"), Some("/shop/next"));
    assert_eq!(answer.field("set-cookie"), Some("a=b; Path=/shop"));
    assert_eq!(worker.last().field("x-forwarded-prefix"), Some("/shop"));
    let slashless = stand.get("/shop?b");
    assert_eq!(
        (slashless.status, slashless.field("location")),
        (308, Some("/shop/?b"))
    );
    assert_eq!(stand.get("/shopping").status, 404);
}

#[test]
fn a_visitor_stays_on_a_slot() {
    let (one, two) = (Worker::saying("one"), Worker::saying("two"));
    let stand = Stand::start(&[&one, &two], |snapshot| {
        snapshot["apps"]["app"]["balance"]["by"] = json!("sticky")
    });
    let first = stand.get("/");
    let cookie = first
        .field("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    for _ in 0..10 {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: x=y; {cookie}\r\n\r\n");
        let again = stand.client().send(head).answer();
        assert_eq!(
            (again.text(), again.field("set-cookie")),
            (first.text(), None)
        );
    }
    let seen = if first.text() == "one" {
        one.last()
    } else {
        two.last()
    };
    assert_eq!(
        seen.field("cookie"),
        Some("x=y"),
        "the worker does not see it"
    );
}

#[test]
fn an_app_without_workers_says_why() {
    let stand = Stand::start(&[], |snapshot| {
        snapshot["apps"]["app"]["failure"] = json!({"reason": "ModuleNotFoundError: flask", "where": "shop/app.py:3", "next": "mergepoint logs app"});
    });
    let answer = stand.get("/");
    assert_eq!(answer.status, 503);
    for part in [
        "app",
        "ModuleNotFoundError: flask",
        "shop/app.py:3",
        "mergepoint logs app",
    ] {
        assert!(answer.text().contains(part), "{part} in {}", answer.text());
    }
}
