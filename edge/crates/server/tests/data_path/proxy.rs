//! One request, one answer, byte for byte.

use std::io::{Read, Write};

use crate::stand::{say, Client, Stand, Worker};

#[test]
fn a_worker_gets_the_edges_word_for_where_a_request_comes_from() {
    let worker = Worker::saying("hello");
    let stand = Stand::start(&[&worker], |_| {});
    let answer = stand
        .client()
        .send("GET /a?b HTTP/1.1\r\nHost: site.example\r\nX-Forwarded-For: 1.2.3.4\r\nRemote-User: root\r\nConnection: X-Own\r\nX-Own: 1\r\n\r\n")
        .answer();

    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let seen = worker.last();
    assert_eq!(seen.path(), "/a?b");
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(
        (seen.field("remote-user"), seen.field("x-own")),
        (None, None)
    );
    assert!(seen.field("x-request-id").is_some());
    assert_eq!(seen.field("x-request-id"), answer.field("x-request-id"));
}

#[test]
fn bodies_stream_both_ways_with_either_framing() {
    let worker = Worker::start(|stream, seen| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            seen.body.len()
        );
        stream.write_all(head.as_bytes()).is_ok()
            && stream.write_all(&seen.body).is_ok()
            && stream.write_all(b"\r\n0\r\nTrailer: x\r\n\r\n").is_ok()
    });
    let stand = Stand::start(&[&worker], |_| {});
    let body: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut client = stand.client();

    let answer = client.post("/", &body);
    assert!(answer.whole && answer.body == body);

    client.send("POST / HTTP/1.1\r\nHost: site.example\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in [
        &b"4\r\nWiki\r\n"[..],
        b"5\r\npedia\r\n",
        b"0\r\nX-Trailer: 1\r\n\r\n",
    ] {
        client.send(chunk);
    }
    assert_eq!(client.answer().text(), "Wikipedia");
    assert!(!worker.last().head.to_lowercase().contains("x-trailer"));
}

#[test]
fn answers_without_bodies_leave_the_connection_in_order() {
    let worker = Worker::start(|stream, seen| match seen.path() {
        "/none" => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok(),
        "/same" => stream
            .write_all(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n")
            .is_ok(),
        "/early" => {
            stream
                .write_all(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
                .is_ok()
                && say(stream, "late")
        }
        _ if seen.head.starts_with("HEAD") => stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
            .is_ok(),
        _ => say(stream, "end"),
    });
    let stand = Stand::start(&[&worker], |_| {});
    let mut client = stand.client();

    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head().to_lowercase().contains("content-length: 7"));
    assert_eq!(client.get("/none").status, 204);
    client.send("GET /same HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 304"));
    assert_eq!(client.get("/early").text(), "late");
    assert_eq!(client.get("/").text(), "end");
}

#[test]
fn an_early_answer_survives_an_unfinished_upload() {
    let worker = Worker::start(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        false
    });
    let stand = Stand::start(&[&worker], |_| {});
    let mut client = stand.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nX-Unread: 1\r\nContent-Length: 30000000\r\n\r\n");
    // Much more than all buffers on the way hold.
    let _ = std::io::Write::write_all(client.0.get_mut(), &vec![b'x'; 3_000_000]);

    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
}

#[test]
fn a_client_that_expects_continue_is_told_to_when_a_worker_may_have_its_body() {
    let worker = Worker::saying("thanks");
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["apps"]["app"]["body_bytes_max"] = 10.into()
    });
    let head = |length| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
    };

    let mut client = stand.client();
    assert_eq!(
        client.send(head(11)).answer().status,
        413,
        "no 100 for a body that is too large"
    );

    let mut client = stand.client();
    assert!(client.send(head(3)).head().starts_with("HTTP/1.1 100"));
    assert_eq!(client.send("abc").answer().text(), "thanks");
    assert_eq!(worker.last().body, b"abc");
}

#[test]
fn a_body_beyond_the_bound_is_refused_while_it_comes() {
    let worker = Worker::saying("never");
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["apps"]["app"]["body_bytes_max"] = 10.into()
    });
    let mut client = stand.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n");

    assert_eq!(client.answer().status, 413);
    assert_eq!(worker.count(), 0);
}

#[test]
fn a_broken_answer_is_not_passed_as_whole() {
    let worker = Worker::start(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this");
        false
    });
    let stand = Stand::start(&[&worker], |_| {});
    let answer = stand.get("/");
    assert_eq!((answer.text().as_str(), answer.whole), ("only this", false));
}

#[test]
fn what_two_parsers_could_read_in_two_ways_is_refused() {
    let worker = Worker::saying("never");
    let stand = Stand::start(&[&worker], |_| {});
    for bad in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    ] {
        let mut client = stand.client();
        assert_eq!(client.send(bad).answer().status, 400, "{bad:?}");
        assert!(client.is_closed(), "{bad:?}");
    }
    assert_eq!(worker.count(), 0);
}

#[test]
fn pieces_reach_the_client_as_soon_as_the_worker_sends_them() {
    let worker = Worker::start(|stream, seen| {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
        let mut ended = [0; 1];
        // Holds the stream open until the edge closes it.
        let _ = (seen, stream.read(&mut ended));
        false
    });
    let stand = Stand::start(&[&worker], |_| {});
    let mut client: Client = stand.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    let mut first = [0; 12];
    client.0.read_exact(&mut first).unwrap();
    assert!(first.ends_with(b"data: 1\n\n"), "{first:?}");
}
