//! WebSockets: bytes both ways, places untouched.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::stand::{eventually, say, Seen, Stand, Worker};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Greets within the same write as the 101, then says back what it hears.
fn echoing(stream: &mut UnixStream, seen: &Seen) -> bool {
    if seen.path() != "/ws" {
        return say(stream, "plain");
    }
    let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Seen: 1\r\n\r\nearly";
    stream.write_all(head).unwrap();
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        if stream.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    false
}

#[test]
fn a_tunnel_carries_bytes_both_ways_and_takes_no_place() {
    let worker = Worker::start(echoing);
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["apps"]["app"]["concurrency"] = json!(1)
    });
    let mut client = stand.client();
    // Bytes behind the request, before the 101.
    client.send([ASK.as_bytes(), b"first"].concat());
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.to_lowercase().contains("upgrade: websocket"));
    let mut got = [0; 10];
    client.0.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"earlyfirst");
    let large = vec![b'x'; 300_000];
    let mut back = vec![0; large.len()];
    std::thread::scope(|scope| {
        let mut writer = client.0.get_ref().try_clone().unwrap();
        let large = &large;
        scope.spawn(move || writer.write_all(large).unwrap());
        client.0.read_exact(&mut back).unwrap();
    });
    assert_eq!(back, large);

    assert_eq!(stand.get("/").text(), "plain", "the only place is free");
    assert_eq!(
        stand.stats()["slots"]["0"]["in_flight"],
        1,
        "a tunnel counts as held"
    );
    drop(client);
    eventually("the worker's side ends too", || {
        stand.stats()["slots"]["0"]["in_flight"] == 0
    });
}

#[test]
fn a_silent_tunnel_ends() {
    let worker = Worker::start(echoing);
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["apps"]["app"]["timeouts"]["tunnel_idle_s"] = json!(0.3)
    });
    let mut client = stand.client();
    client.send(ASK).head();
    client.0.read_exact(&mut [0; 5]).unwrap();
    assert!(client.is_closed());
}

#[test]
fn a_refused_tunnel_is_an_ordinary_answer() {
    let worker = Worker::saying("not here");
    let stand = Stand::start(&[&worker], |_| {});
    let mut client = stand.client();
    assert_eq!(client.send(ASK).answer().text(), "not here");
    assert_eq!(worker.last().field("upgrade"), Some("websocket"));
}

#[test]
fn no_other_protocol_is_switched_to() {
    let worker = Worker::start(echoing);
    let stand = Stand::start(&[&worker], |_| {});
    let mut client = stand.client();
    let answer = client
        .send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        .answer();
    assert!(
        answer.status == 400 || worker.last().field("upgrade").is_none(),
        "{answer:?}"
    );
}
