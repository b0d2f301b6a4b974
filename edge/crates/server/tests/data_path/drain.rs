//! The way out: nothing begun is lost, nothing new is taken.

use std::net::TcpStream;

use serde_json::json;

use crate::stand::{eventually, say, Client, Stand, Worker};

#[test]
fn a_drain_finishes_what_was_begun_and_ends() {
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    let opened = std::sync::Mutex::new(opened);
    let worker = Worker::start(move |stream, seen| {
        if seen.path() == "/slow" {
            opened
                .lock()
                .unwrap()
                .recv_timeout(crate::stand::LIMIT)
                .unwrap();
        }
        say(stream, "done")
    });
    let mut stand = Stand::start(&[&worker], |_| {});
    let (mut slow, mut kept) = (stand.client(), stand.client());
    kept.get("/");
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is at work", || worker.count() == 2);

    assert_eq!(
        stand
            .control()
            .ask(json!({"id": 1, "verb": "drain", "timeout_s": 5}))["ok"],
        true
    );
    eventually("nothing new is accepted", || {
        TcpStream::connect(("127.0.0.1", stand.port)).is_err()
    });
    let last = kept.get("/");
    assert_eq!(
        (last.text().as_str(), last.field("connection")),
        ("done", Some("close"))
    );
    gate.send(()).unwrap();
    assert_eq!(slow.answer().text(), "done");
    assert_eq!(stand.ended(), Ok(()));
}

#[test]
fn a_kept_alive_client_is_served_once_more_and_a_silent_one_is_let_go() {
    let worker = Worker::saying("done");
    let mut stand = Stand::start(&[&worker], |_| {});
    let (mut kept, mut silent) = (stand.client(), stand.client());
    kept.get("/");
    silent.get("/");
    // Silent for longer than two looks of the sweeper before and during the drain.
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let began = std::time::Instant::now();
    stand
        .control()
        .ask(json!({"id": 1, "verb": "drain", "timeout_s": 5}));
    std::thread::sleep(std::time::Duration::from_millis(1_200));

    let last = kept.get("/");
    assert_eq!(
        (last.text().as_str(), last.field("connection")),
        ("done", Some("close"))
    );
    assert!(kept.is_closed());
    assert!(silent.is_closed());
    drop((kept, silent));
    assert_eq!(stand.ended(), Ok(()));
    let took = began.elapsed().as_secs_f64();
    assert!(
        (2.4..4.9).contains(&took),
        "the grace is half of 5 s: {took}"
    );
}

#[test]
fn a_drain_without_connections_ends_at_once() {
    let mut stand = Stand::start(&[&Worker::saying("done")], |_| {});
    stand.get("/");
    let began = std::time::Instant::now();
    stand
        .control()
        .ask(json!({"id": 1, "verb": "drain", "timeout_s": 30}));
    assert_eq!(stand.ended(), Ok(()));
    assert!(began.elapsed().as_secs_f64() < 2.0);
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let worker = Worker::start(|stream, _| {
        std::thread::sleep(crate::stand::LIMIT);
        say(stream, "too late")
    });
    let mut stand = Stand::start(&[&worker], |_| {});
    let mut client = stand.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is at work", || worker.count() == 1);
    let began = std::time::Instant::now();
    stand
        .control()
        .ask(json!({"id": 1, "verb": "drain", "timeout_s": 0.2}));
    assert_eq!(stand.ended(), Ok(()));
    assert!(began.elapsed().as_secs_f64() < 3.0);
    assert!(client.is_closed());
}

#[test]
fn an_operator_sees_whether_requests_would_be_served() {
    let worker = Worker::saying("hello");
    let stand = Stand::start(&[&worker], |_| {});
    let admin = |path: &str| Client::connect(stand.admin).get(path);
    assert_eq!(
        (admin("/livez").status, admin("/readyz").status),
        (200, 200)
    );
    stand.get("/");
    assert!(admin("/metrics").text().contains("app=\"app\""));
    stand.apply(|snapshot| snapshot["apps"]["app"]["slots"] = json!([]));
    assert_eq!(admin("/readyz").status, 503);
    assert_eq!(admin("/").status, 404);
}
