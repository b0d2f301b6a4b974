//! Revocations: read from the feed, obeyed at once, on open connections too.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use super::{claims, Site};
use crate::stand::{eventually, say, Client, Seen, Worker, LIMIT};

/// A tunnel that says a whole frame, or an event stream, both open until the edge ends them.
fn lasting(stream: &mut UnixStream, seen: &Seen) -> bool {
    let head = match seen.path() {
        "/ws" => "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\u{1}\u{2}hi",
        "/cut" => "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\u{1}\u{9}hi",
        "/events" => "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
        _ => return say(stream, "hello"),
    };
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.read(&mut [0; 16]);
    false
}

fn begin(site: &Site, path: &str, cookie: &str, first: &[u8]) -> Client {
    let mut client = site.stand.client();
    let upgrade = match path {
        "/events" => "",
        _ => "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    };
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: site.example\r\nCookie: {cookie}\r\n{upgrade}\r\n"
    ));
    client.head();
    let mut got = Vec::new();
    while !got.ends_with(first) {
        let mut byte = [0];
        client.0.read_exact(&mut byte).unwrap();
        got.push(byte[0]);
    }
    client
}

fn rest(client: &mut Client) -> Vec<u8> {
    let mut rest = Vec::new();
    if let Err(error) = client.0.read_to_end(&mut rest) {
        // A cut connection may end with a reset: what came before it counts.
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it never ended");
    }
    rest
}

#[test]
fn a_revoked_session_loses_its_tunnel_and_its_event_stream_and_others_keep_theirs() {
    let site = Site::with(Worker::start(lasting), |_| {});
    let ada = site.accounts.cookie(&claims("ada", &[]));
    let bob = site.accounts.cookie(&claims("bob", &[]));
    let mut tunnel = begin(&site, "/ws", &ada, b"hi");
    let mut cut = begin(&site, "/cut", &ada, b"hi");
    let mut events = begin(&site, "/events", &ada, b"data: 1\n\n");
    let mut others = begin(&site, "/ws", &bob, b"hi");
    assert_eq!(site.stats()["live"], 4);

    site.accounts.revoke("session", "sid-ada");
    assert_eq!(rest(&mut tunnel), [0x88, 0x02, 0x03, 0xF0], "status 1008");
    assert_eq!(
        rest(&mut cut),
        b"",
        "nothing is put into the middle of a frame"
    );
    rest(&mut events);
    eventually("what ended has left", || site.stats()["live"] == 1);
    others.send("x");
    assert_eq!(site.get_as("/", &ada).status, 401);
    assert_eq!(site.get_as("/", &bob).status, 200);
    assert_eq!(site.stats()["live"], 1);
    assert_eq!(rest(&mut others), b"", "the worker ended it, not the edge");
    drop(others);
    eventually("no entry leaks", || site.stats()["live"] == 0);
}

#[test]
fn every_kind_of_revocation_ends_what_it_names() {
    for (kind, id) in [("session", "sid-ada"), ("subject", "sub-ada"), ("site", "")] {
        let site = Site::with(Worker::start(lasting), |_| {});
        let ada = site.accounts.cookie(&claims("ada", &[]));
        let mut tunnel = begin(&site, "/ws", &ada, b"hi");
        site.accounts.revoke(kind, "somebody-else-first");
        site.accounts.revoke(kind, id);
        rest(&mut tunnel);
        assert_eq!(site.get_as("/", &ada).status, 401, "{kind}");
    }
}

#[test]
fn a_stream_of_http2_is_reset_and_its_connection_goes_on() {
    let site = Site::with(Worker::start(lasting), |_| {});
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        use http_body_util::{BodyExt, Empty};
        use hyper_util::rt::{TokioExecutor, TokioIo};
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", site.stand.port))
            .await
            .unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let ask = |path: &str| {
            http::Request::get(format!("http://site.example{path}"))
                .header("cookie", &cookie)
                .body(Empty::<bytes::Bytes>::new())
                .unwrap()
        };
        let mut events = sender
            .send_request(ask("/events"))
            .await
            .unwrap()
            .into_body();
        let first = events.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "data: 1\n\n");
        site.accounts.revoke("subject", "sub-ada");
        let end = tokio::time::timeout(LIMIT, events.frame()).await.unwrap();
        assert!(matches!(end, Some(Err(_))), "a reset is no end: {end:?}");
        let open = sender.send_request(ask("/open")).await.unwrap();
        assert_eq!(open.status(), 200);
    });
}

#[test]
fn whoever_is_told_to_be_logged_out_is_out() {
    // The next regular reading is a minute away, so only the held answer can bring the news.
    let site = Site::with(Worker::start(lasting), |snapshot| {
        snapshot["identity"]["poll_s"] = json!(60.0);
    });
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    assert_eq!(site.get_as("/", &cookie).status, 200);
    let fields = [
        &format!("Cookie: {cookie}")[..],
        "Sec-Fetch-Site: same-origin",
    ];
    let bye = site.ask("POST", "/-/accounts/logout", &fields);
    assert_eq!((bye.status, bye.field("mergepoint-feed")), (200, None));
    assert_eq!(site.get_as("/", &cookie).status, 401);
    assert_eq!(site.stats()["position"], 1);
}

#[test]
fn an_answer_is_held_for_a_bounded_time_only() {
    let site = Site::with(Worker::start(lasting), |snapshot| {
        snapshot["identity"]["poll_s"] = json!(60.0);
    });
    site.accounts.with(|known| known.deaf = true);
    let bye = site.ask(
        "POST",
        "/-/accounts/logout",
        &["Sec-Fetch-Site: same-origin"],
    );
    assert_eq!(bye.status, 200);
}

#[test]
fn new_roles_are_carried_by_the_next_request_of_a_session_that_stands() {
    let site = Site::start();
    let cookie = site.accounts.cookie(&claims("ada", &["reader"]));
    assert_eq!(site.get_as("/", &cookie).status, 200);
    site.accounts.revoke("subject", "sub-ada");
    let mut fresh = claims("ada", &["admin"]);
    fresh["iat"] = json!(super::now_s() + 0.01);
    site.accounts.with(|known| known.refreshed = Some(fresh));
    eventually("the edge has read of it", || site.stats()["position"] == 1);

    let answer = site.get_as("/", &cookie);
    assert_eq!(answer.status, 200);
    assert!(answer.field("set-cookie").is_some());
    assert_eq!(
        site.worker.last().field("remote-groups"),
        Some("admin,staff")
    );
}

#[test]
fn a_new_epoch_is_taken_as_the_whole() {
    let site = Site::start();
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    site.accounts.revoke("session", "sid-other");
    eventually("the first is read", || site.stats()["position"] == 1);
    site.accounts.with(|known| {
        known.epoch = "second".into();
        known.position = 0;
        known.revocations.clear();
        known.revoke("session", "sid-ada");
    });
    eventually("the new whole is read", || {
        site.get_as("/", &cookie).status == 401
    });
}

#[test]
fn an_edge_reads_the_feed_before_it_takes_its_first_request() {
    let accounts = super::Accounts::start();
    let cookie = accounts.cookie(&claims("ada", &[]));
    accounts.revoke("session", "sid-ada");
    let site = Site::beside(Worker::saying("hello"), accounts, |snapshot| {
        snapshot["identity"]["poll_s"] = json!(60.0);
    });
    assert_eq!(site.get_as("/", &cookie).status, 401);
    let other = site.accounts.cookie(&claims("bob", &[]));
    assert_eq!(site.get_as("/", &other).status, 200, "it has the keys, too");
}

#[test]
fn a_revocation_between_the_request_and_its_answer_is_not_missed() {
    let (answers, go) = std::sync::mpsc::channel::<()>();
    let go = std::sync::Mutex::new(go);
    let worker = Worker::start(move |stream, _| {
        go.lock().unwrap().recv().unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.read(&mut [0; 16]);
        false
    });
    let site = Site::with(worker, |_| {});
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    let mut client = site.stand.client();
    client.send(format!(
        "GET /events HTTP/1.1\r\nHost: site.example\r\nCookie: {cookie}\r\n\r\n"
    ));
    eventually("the worker has the request", || site.worker.count() == 1);
    site.accounts.revoke("session", "sid-ada");
    eventually("the edge has read of it", || site.stats()["position"] == 1);
    answers.send(()).unwrap();
    let stream = String::from_utf8(rest(&mut client)).unwrap();
    assert!(
        !stream.ends_with("0\r\n\r\n"),
        "cut off, not ended: {stream}"
    );
    eventually("it has left", || site.stats()["live"] == 0);
}
