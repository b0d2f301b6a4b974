//! A whole edge in this process with its control channel, between the workers and clients of a test.
//!
//! Place: tests -> [stand] -> serving.rs over real sockets
//! Rule:  every wait has a limit; everything a test starts ends with it.

mod client;
mod worker;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mergepoint_edge::{serving, startup::Settings};
use mergepoint_edge_core::snapshot::Snapshot;
use serde_json::{json, Value};

pub use client::{Answer, Client};
pub use worker::{say, Seen, Worker};

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A running edge.
pub struct Stand {
    pub directory: tempfile::TempDir,
    pub port: u16,
    pub admin: u16,
    pub snapshot: Mutex<Value>,
    served: Option<JoinHandle<Result<(), String>>>,
}

impl Stand {
    /// An edge with one app, `app`, at the root, whose slots are `workers`; `change` edits the snapshot.
    pub fn start(workers: &[&Worker], change: impl FnOnce(&mut Value)) -> Stand {
        Self::start_in(
            tempfile::tempdir().unwrap(),
            &workers.iter().map(|w| w.address()).collect::<Vec<_>>(),
            change,
        )
    }

    pub fn start_in(
        directory: tempfile::TempDir,
        addresses: &[String],
        change: impl FnOnce(&mut Value),
    ) -> Stand {
        let mut snapshot = document(addresses);
        change(&mut snapshot);
        let (http, port) = listener();
        let (admin, admin_port) = listener();
        let (ready, told) = UnixStream::pair().unwrap();
        let settings = Settings {
            snapshot: Snapshot::parse(snapshot.to_string().as_bytes()).unwrap(),
            listeners: vec![("http".into(), http), ("admin".into(), admin)],
            control: directory.path().join("edge.sock"),
            ready: Some(File::from(OwnedFd::from(told))),
            threads: 1,
        };
        let served = std::thread::spawn(move || serving::run(settings));
        ready.set_read_timeout(Some(LIMIT)).unwrap();
        let mut line = String::new();
        BufReader::new(ready).read_line(&mut line).unwrap();
        assert_eq!(line, "READY\n");
        Stand {
            directory,
            port,
            admin: admin_port,
            snapshot: Mutex::new(snapshot),
            served: Some(served),
        }
    }

    pub fn control(&self) -> Control {
        Control::connect(&self.directory.path().join("edge.sock"))
    }

    /// Apply the snapshot after `change`, one generation later.
    pub fn apply(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut snapshot = self.snapshot.lock().unwrap();
        change(&mut snapshot);
        snapshot["generation"] = json!(snapshot["generation"].as_u64().unwrap() + 1);
        self.control()
            .ask(json!({"id": 1, "verb": "apply", "snapshot": *snapshot}))
    }

    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// The answer to one request on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.client().get(path)
    }

    /// Statistics of the app.
    pub fn stats(&self) -> Value {
        self.control().ask(json!({"id": 1, "verb": "stats"}))["apps"]["app"].clone()
    }

    /// Wait for the process to end by itself.
    pub fn ended(&mut self) -> Result<(), String> {
        let served = self.served.take().unwrap();
        eventually("the edge ends", || served.is_finished());
        served.join().unwrap()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Some(served) = self.served.take() {
            self.control()
                .ask(json!({"id": 9, "verb": "drain", "timeout_s": 0}));
            served.join().unwrap().unwrap();
        }
    }
}

fn listener() -> (OwnedFd, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener.into(), port)
}

fn document(addresses: &[String]) -> Value {
    let slot = |(slot, address)| json!({"slot": slot, "address": address, "state": "ready", "group": "stable"});
    let slots: Vec<Value> = addresses.iter().enumerate().map(slot).collect();
    json!({
        "schema": 1, "generation": 1, "site": "test", "mode": "development",
        "secret": "b25seSBmb3IgdGVzdHMsIHRoaXJ0eS10d28gYnl0ZXM=",
        "listeners": {
            "http": {"tls": false, "proxy_protocol": false, "admin": false},
            "admin": {"tls": false, "proxy_protocol": false, "admin": true}
        },
        "certificates": [], "trusted_proxies": [],
        "limits": {
            "header_bytes_max": 65536, "headers_max": 100, "target_bytes_max": 8192, "header_timeout_s": 10.0,
            "idle_timeout_s": 75.0, "body_idle_timeout_s": 30.0, "connections_max": 1000, "h2_streams_max": 100,
            "drain_s": 5.0
        },
        "access_log": "off", "compression": {"enabled": false, "bytes_min": 1024},
        "hosts": [{"name": "*", "routes": [{"prefix": "/", "app": "app", "origin": "test:1"}]}],
        "apps": {"app": {
            "kind": "pool", "prefix": "host", "slots": slots, "canary_share": 0.0, "concurrency": 16,
            "abandon": "finish", "queue": {"length_max": 64, "wait_s": 5.0},
            "balance": {"by": "least", "name": "", "segments": 1, "load_factor": 1.5, "load_floor": 4},
            "timeouts": {"connect_s": 1.0, "request_s": 5.0, "body_idle_s": 5.0, "tunnel_idle_s": 60.0},
            "retry": {"budget_ratio": 0.2, "budget_min_per_s": 10, "attempts_max": 2, "body_bytes_max": 65536},
            "health": {
                "path": null, "headers": {}, "status_min": 100, "status_max": 599,
                "interval_s": 0.1, "timeout_s": 0.5, "eject_after": 3, "eject_s": 0.5
            },
            "body_bytes_max": 67108864, "compress": false, "failure": null
        }}
    })
}

/// Wait until something is so.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A control connection.
pub struct Control(BufReader<UnixStream>);

impl Control {
    fn connect(path: &Path) -> Control {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Control(BufReader::new(stream))
    }

    pub fn ask(&mut self, request: Value) -> Value {
        self.0
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())
            .unwrap();
        self.next()
    }

    pub fn next(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

/// The value of a field in a head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fits = |line: &&str| {
        line.split(':')
            .next()
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    head.lines()
        .skip(1)
        .find(fits)
        .and_then(|line| line.split_once(": "))
        .map(|(_, value)| value.trim())
}
