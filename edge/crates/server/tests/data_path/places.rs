//! Who gets a place at a worker, who waits, and who is told to come back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{json, Value};

use crate::stand::{eventually, say, Client, Stand, Worker};

/// Opens for everybody at once.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        let open = self.0.lock().unwrap();
        drop(
            self.1
                .wait_timeout_while(open, crate::stand::LIMIT, |open| !*open)
                .unwrap(),
        );
    }
}

/// A worker that answers `/slow` once the gate is open, and everything else at once.
fn gated() -> (Worker, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let inside = Arc::clone(&gate);
    let worker = Worker::start(move |stream, seen| {
        if seen.path().starts_with("/slow") {
            inside.pass();
        }
        say(stream, "done")
    });
    (worker, gate)
}

fn narrow(snapshot: &mut Value) {
    snapshot["apps"]["app"]["concurrency"] = json!(1);
}

fn ask(stand: &Stand, path: &str) -> Client {
    let mut client = stand.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let (worker, gate) = gated();
    let stand = Stand::start(&[&worker], |snapshot| {
        narrow(snapshot);
        snapshot["apps"]["app"]["queue"] = json!({"length_max": 1, "wait_s": 20.0});
    });
    let mut first = ask(&stand, "/slow");
    eventually("it is at work", || worker.count() == 1);
    let mut second = ask(&stand, "/quick");
    eventually("it waits", || stand.stats()["queue"] == 1);

    let refused = stand.get("/third");
    assert_eq!(refused.status, 503);
    assert!(refused.field("retry-after").is_some());
    gate.open();
    assert_eq!((first.answer().status, second.answer().status), (200, 200));
}

#[test]
fn nobody_waits_longer_than_its_patience() {
    let (worker, gate) = gated();
    let stand = Stand::start(&[&worker], |snapshot| {
        narrow(snapshot);
        snapshot["apps"]["app"]["queue"] = json!({"length_max": 9, "wait_s": 0.2});
    });
    let mut first = ask(&stand, "/slow");
    eventually("it is at work", || worker.count() == 1);
    assert_eq!(stand.get("/late").status, 503);
    gate.open();
    assert_eq!(first.answer().status, 200);
    assert_eq!(worker.count(), 1);
}

#[test]
fn who_leaves_the_queue_costs_no_work() {
    let (worker, gate) = gated();
    let stand = Stand::start(&[&worker], narrow);
    let mut first = ask(&stand, "/slow");
    eventually("it is at work", || worker.count() == 1);
    let leaving: Vec<Client> = (0..20).map(|_| ask(&stand, "/gone")).collect();
    let mut staying = ask(&stand, "/stays");
    eventually("they wait", || stand.stats()["queue"] == 21);
    drop(leaving);
    eventually("they left", || stand.stats()["queue"] == 1);
    gate.open();

    assert_eq!((first.answer().status, staying.answer().status), (200, 200));
    assert_eq!(worker.count(), 2);
}

#[test]
fn a_worker_that_cannot_be_interrupted_keeps_its_place_until_it_has_answered() {
    let (worker, gate) = gated();
    let stand = Stand::start(&[&worker], narrow);
    drop({
        let leaving = ask(&stand, "/slow");
        eventually("it is at work", || worker.count() == 1);
        leaving
    });
    eventually("its client has gone", || stand.stats()["in_flight"] == 0);
    let mut next = ask(&stand, "/next");
    eventually("the next waits", || stand.stats()["queue"] == 1);
    assert_eq!(worker.count(), 1, "no second request on a busy worker");
    gate.open();
    assert_eq!(next.answer().text(), "done");
}

#[test]
fn a_request_that_can_be_cancelled_frees_its_place_at_once() {
    let (worker, gate) = gated();
    let stand = Stand::start(&[&worker], |snapshot| {
        narrow(snapshot);
        snapshot["apps"]["app"]["abandon"] = json!("cancel");
    });
    let leaving = ask(&stand, "/slow");
    eventually("it is at work", || worker.count() == 1);
    drop(leaving);
    assert_eq!(stand.get("/next").text(), "done");
    gate.open();
}

#[test]
fn a_request_over_its_time_is_answered_told_and_kept_from_spoiling_others() {
    let (stuck, gate) = gated();
    let free = Worker::saying("free");
    let stand = Stand::start(&[&stuck, &free], |snapshot| {
        snapshot["apps"]["app"]["timeouts"]["request_s"] = json!(0.4);
        snapshot["apps"]["app"]["balance"] = json!({"by": "header", "name": "x-key", "segments": 1, "load_factor": 2.0, "load_floor": 9});
    });
    let mut events = stand.control();
    events.ask(json!({"id": 1, "verb": "subscribe"}));
    let ask = |key: usize, path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Key: {key}\r\n\r\n");
        stand.client().send(head).answer()
    };
    // A key whose home is the worker that gets stuck.
    let key = (0..64).find(|key| ask(*key, "/").text() == "done").unwrap();

    assert_eq!(ask(key, "/slow").status, 504);
    let event = events.next();
    assert_eq!(event["event"], "request_timeout");
    assert_eq!(
        (event["slot"].as_u64(), event["path"].as_str()),
        (Some(0), Some("/slow"))
    );
    assert_eq!(
        ask(key, "/").text(),
        "free",
        "others go where nothing is stuck"
    );
    assert_eq!(stand.stats()["timeouts"], 1);
    gate.open();
}

#[test]
fn after_threefold_overload_a_newcomer_is_served_at_once() {
    let executed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&executed);
    let worker = Worker::start(move |stream, _| {
        count.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        say(stream, "done")
    });
    let stand = Stand::start(&[&worker], |snapshot| {
        snapshot["apps"]["app"]["concurrency"] = json!(2);
        snapshot["apps"]["app"]["queue"] = json!({"length_max": 64, "wait_s": 5.0});
    });
    // 100 requests/s can be served, 300 come, and whoever is not served within 300 ms leaves.
    let (over, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let impatient = |_| {
        let (port, over, served) = (stand.port, Arc::clone(&over), Arc::clone(&served));
        std::thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let mut client = Client::connect(port);
                client
                    .0
                    .get_mut()
                    .set_read_timeout(Some(Duration::from_millis(300)))
                    .unwrap();
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                let mut start = [0; 12];
                if std::io::Read::read_exact(&mut client.0, &mut start).is_ok()
                    && start.ends_with(b"200")
                {
                    served.fetch_add(1, Ordering::SeqCst);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    };
    let crowd: Vec<_> = (0..60).map(impatient).collect();
    std::thread::sleep(Duration::from_secs(3));
    over.store(true, Ordering::SeqCst);
    crowd.into_iter().for_each(|one| one.join().unwrap());

    let began = std::time::Instant::now();
    assert_eq!(stand.get("/").status, 200);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let (executed, served) = (
        executed.load(Ordering::SeqCst),
        served.load(Ordering::SeqCst),
    );
    assert!(
        served * 10 >= executed * 9,
        "{served} of {executed} answers still had a client"
    );
}
