//! Slow and silent clients end in bounded time.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::stand::{eventually, Client, Stand, Worker};

#[test]
fn a_head_that_does_not_end_is_cut_off() {
    let worker = Worker::saying("hello");
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["limits"]["header_timeout_s"] = json!(0.3)
    });
    let (mut fresh, mut kept) = (stand.client(), stand.client());
    kept.get("/");
    let began = Instant::now();
    fresh.send("GET / HTT");
    kept.send("GET / HTT");
    assert!(fresh.is_closed() && kept.is_closed());
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn an_idle_connection_lives_for_its_time_and_no_longer() {
    let worker = Worker::saying("hello");
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["limits"]["header_timeout_s"] = json!(0.1);
        snapshot["limits"]["idle_timeout_s"] = json!(1.0);
    });
    let mut client = stand.client();
    client.get("/");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(
        client.get("/").text(),
        "hello",
        "the header timeout does not count silence"
    );
    let began = Instant::now();
    assert!(client.is_closed());
    assert!(
        (0.8..2.5).contains(&began.elapsed().as_secs_f64()),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_body_that_stops_coming_is_answered_and_occupies_no_worker() {
    let worker = Worker::saying("hello");
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["apps"]["app"]["concurrency"] = json!(2);
        snapshot["limits"]["body_idle_timeout_s"] = json!(1.0);
    });
    let mut slow: Vec<Client> = (0..10).map(|_| stand.client()).collect();
    for client in &mut slow {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\nabc");
    }
    assert_eq!(
        stand.get("/").text(),
        "hello",
        "others are served meanwhile"
    );
    assert!(slow.iter_mut().all(|client| client.answer().status == 408));
}

#[test]
fn at_the_bound_the_longest_idle_connection_makes_room() {
    let worker = Worker::saying("hello");
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["limits"]["connections_max"] = json!(3)
    });
    let mut clients: Vec<Client> = (0..3).map(|_| stand.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(stand.get("/").text(), "hello");
    assert!(clients[0].is_closed());
    assert_eq!(clients[2].get("/").status, 200);
}

#[test]
fn heads_beyond_the_bounds_are_refused() {
    let worker = Worker::saying("hello");
    let stand = Stand::start(&[&worker], |_| {});
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: 1\r\n".repeat(200)
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000));
    for (bad, status) in [(large, 431), (many, 431), (long, 414)] {
        assert_eq!(stand.client().send(bad).answer().status, status);
    }
    assert_eq!(worker.count(), 0);
}

#[test]
fn a_client_that_reads_nothing_is_let_go() {
    let worker = Worker::start(|stream, _| {
        use std::io::Write;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        stream.write_all(&vec![b'x'; 100_000_000]).is_ok()
    });
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["limits"]["body_idle_timeout_s"] = json!(0.5)
    });
    let mut client = stand.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is at work", || stand.stats()["in_flight"] == 1);
    eventually("it was let go", || stand.stats()["in_flight"] == 0);
    assert!(!client.answer().whole);
}
