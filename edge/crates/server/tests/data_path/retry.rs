//! Second attempts: where they are harmless, and only there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use crate::stand::{eventually, say, Stand, Worker};

/// Dies after reading a request, as long as `deaths` last.
fn mortal(name: &'static str, deaths: &Arc<AtomicUsize>) -> Worker {
    let deaths = Arc::clone(deaths);
    Worker::start(move |stream, _| {
        let dies = deaths
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok();
        !dies && say(stream, name)
    })
}

#[test]
fn an_idempotent_request_survives_the_death_of_its_worker() {
    let deaths = Arc::new(AtomicUsize::new(1));
    let (one, two) = (mortal("answer", &deaths), mortal("answer", &deaths));
    let stand = Stand::start(&[&one, &two], |_| {});

    assert_eq!(stand.get("/").text(), "answer");
    assert_eq!(
        (one.count(), two.count()),
        (1, 1),
        "the second attempt goes elsewhere"
    );
    assert_eq!(stand.stats()["retries"], 1);
}

#[test]
fn a_request_with_effects_is_never_sent_twice() {
    let deaths = Arc::new(AtomicUsize::new(1));
    let (one, two) = (mortal("answer", &deaths), mortal("answer", &deaths));
    let stand = Stand::start(&[&one, &two], |_| {});

    assert_eq!(stand.client().post("/", b"effect").status, 502);
    assert_eq!(one.count() + two.count(), 1);
}

#[test]
fn a_body_is_sent_whole_again() {
    let deaths = Arc::new(AtomicUsize::new(1));
    let (one, two) = (mortal("answer", &deaths), mortal("answer", &deaths));
    let stand = Stand::start(&[&one, &two], |_| {});
    let body = vec![b'x'; 60_000];
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";

    assert_eq!(stand.client().send(head).send(&body).answer().status, 200);
    assert_eq!((one.last().body, two.last().body), (body.clone(), body));
}

#[test]
fn requests_wait_for_a_worker_that_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.sock");
    let stand = Stand::start_in(
        tempfile::tempdir().unwrap(),
        &[format!("unix:{}", path.display())],
        |_| {},
    );
    let port = stand.port;
    let waiting: Vec<_> = (0..4)
        .map(|n| {
            std::thread::spawn(move || {
                let mut client = crate::stand::Client::connect(port);
                if n % 2 == 0 {
                    client.get("/")
                } else {
                    client.post("/", b"effect")
                }
            })
        })
        .collect();
    eventually("all wait", || stand.stats()["queue"] == 4);
    let _worker = Worker::start_at(&path, |stream, _| say(stream, "back"));

    for one in waiting {
        assert_eq!(one.join().unwrap().text(), "back");
    }
}

#[test]
fn a_kept_link_that_its_worker_closed_costs_nobody_an_answer() {
    // Closes after every answer without saying so.
    let worker = Worker::start(|stream, _| !say(stream, "once"));
    let stand = Stand::start(&[&worker], |_| {});
    let mut client = stand.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "once");
        assert_eq!(client.post("/", b"effect").text(), "once");
    }
    assert_eq!(worker.count(), 40);
}

#[test]
fn a_worker_that_fails_again_and_again_rests_and_returns() {
    let deaths = Arc::new(AtomicUsize::new(3));
    let (sick, well) = (mortal("recovered", &deaths), Worker::saying("well"));
    let stand = Stand::start(&[&sick, &well], |_| {});
    let mut events = stand.control();
    events.ask(serde_json::json!({"id": 1, "verb": "subscribe"}));
    while deaths.load(Ordering::SeqCst) > 0 {
        assert_eq!(stand.get("/").status, 200);
    }
    let event = events.next();
    assert_eq!(
        (event["event"].as_str(), event["slot"].as_u64()),
        (Some("slot_ejected"), Some(0))
    );
    let during = sick.count();
    for _ in 0..10 {
        assert_eq!(stand.get("/").text(), "well");
    }
    assert_eq!(sick.count(), during, "it rests");
    std::thread::sleep(Duration::from_millis(500));
    eventually("it works again", || stand.get("/").text() == "recovered");
    assert_eq!(events.next()["event"], "slot_recovered");
}

#[test]
fn an_active_probe_finds_a_worker_that_is_sick() {
    let sick = Arc::new(AtomicUsize::new(1));
    let told = Arc::clone(&sick);
    let one = Worker::start(move |stream, seen| {
        let status = if seen.path() == "/-/ready" && told.load(Ordering::SeqCst) == 1 {
            "500 No"
        } else {
            "200 OK"
        };
        std::io::Write::write_all(
            stream,
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes(),
        )
        .is_ok()
    });
    let two = Worker::saying("well");
    let stand = Stand::start(&[&one, &two], |snapshot| {
        snapshot["apps"]["app"]["health"]["path"] = "/-/ready".into();
        snapshot["apps"]["app"]["health"]["status_max"] = 299.into();
    });
    let ejected =
        |wanted: bool| move |stats: serde_json::Value| stats["slots"]["0"]["ejected"] == wanted;
    eventually("it is ejected", || ejected(true)(stand.stats()));
    sick.store(0, Ordering::SeqCst);
    eventually("it is back", || ejected(false)(stand.stats()));
}

#[test]
fn neighbours_of_a_stuck_request_go_elsewhere_as_soon_as_it_is_known() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    // Its loop is blocked: it reads everything and answers nothing until the test ends.
    let blocked = Worker::start(move |_, _| {
        let _ = gate.lock().unwrap().recv();
        false
    });
    let well = Worker::saying("well");
    let stand = Stand::start(&[&blocked], |snapshot| {
        snapshot["apps"]["app"]["timeouts"]["request_s"] = 1.0.into();
    });
    let (mut stuck, mut neighbour, mut effect) = (stand.client(), stand.client(), stand.client());
    stuck.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is stuck", || blocked.count() == 1);
    std::thread::sleep(Duration::from_millis(600));
    neighbour.send("GET /neighbour HTTP/1.1\r\nHost: a\r\n\r\n");
    effect.send("POST /effect HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    eventually("the neighbours are there", || blocked.count() == 3);
    let answer = stand.apply(|snapshot| {
        let mut second = snapshot["apps"]["app"]["slots"][0].clone();
        second["slot"] = 1.into();
        second["address"] = well.address().into();
        snapshot["apps"]["app"]["slots"]
            .as_array_mut()
            .unwrap()
            .push(second);
    });
    assert_eq!(answer["ok"], true, "{answer}");

    assert_eq!(stuck.answer().status, 504);
    assert_eq!(neighbour.answer().text(), "well");
    assert_eq!(effect.answer().status, 504, "it may have had an effect");
    assert_eq!(well.count(), 1);
    assert_eq!(stand.stats()["retries"], 1);
    drop(open);
}
