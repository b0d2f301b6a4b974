//! The control channel over real sockets, driven by a target that keeps account of what it was asked.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by panicking.

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Blocking;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use mergepoint_edge::control::{Control, ControlError, ControlTarget, Purge, EVENTS_WAITING_MAX};
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, Notify};

struct Edge {
    events: broadcast::Sender<Arc<str>>,
    drained: Notify,
    listener: std::net::TcpListener,
}

impl Edge {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            events: broadcast::channel(EVENTS_WAITING_MAX).0,
            drained: Notify::new(),
            listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
        })
    }
}

impl ControlTarget for Edge {
    fn apply(&self, snapshot: Bytes) -> BoxFuture<'_, Result<u64, ControlError>> {
        async move {
            let document: Value = serde_json::from_slice(&snapshot).unwrap();
            assert!(document["panic"].is_null(), "asked to fail");
            document["generation"]
                .as_u64()
                .ok_or_else(|| ControlError::new("edge.snapshot_invalid", "no generation"))
        }
        .boxed()
    }
    fn await_drained<'a>(&'a self, address: &'a str, _timeout: Duration) -> BoxFuture<'a, usize> {
        async move {
            self.drained.notified().await;
            address.len()
        }
        .boxed()
    }
    fn stats(&self) -> Value {
        json!({"uptime_s": 1})
    }
    fn inflight(&self) -> Value {
        json!([])
    }
    fn metrics(&self) -> String {
        "mergepoint_edge_up 1\n".into()
    }
    fn drain(&self, _timeout: Duration) {
        self.drained.notify_one();
    }
    fn listeners(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        Ok(vec![(
            "http".into(),
            self.listener.as_fd().try_clone_to_owned()?,
        )])
    }
    fn subscribe(&self) -> broadcast::Receiver<Arc<str>> {
        self.events.subscribe()
    }
    fn cache_stats(&self) -> Result<Value, ControlError> {
        Err(ControlError::new("edge.cache_off", "no cache"))
    }
    fn cache_why(&self, url: &str) -> Result<Value, ControlError> {
        Ok(json!({ "key": url }))
    }
    fn cache_purge(&self, _: &Purge) -> Result<usize, ControlError> {
        Ok(3)
    }
    fn ping(&self) -> Value {
        json!({"generation": 7})
    }
}

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mpe-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn socket(&self) -> PathBuf {
        self.0.join("edge.sock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(name: &str) -> (Place, Arc<Edge>) {
    let (place, edge) = (Place::new(name), Edge::new());
    let control = Control::bind(&place.socket()).unwrap();
    tokio::spawn(control.serve(edge.clone()));
    (place, edge)
}

struct Client(BufReader<UnixStream>);

impl Client {
    async fn to(place: &Place) -> Self {
        Self(BufReader::new(
            UnixStream::connect(place.socket()).await.unwrap(),
        ))
    }
    async fn say(&mut self, line: &str) {
        self.0
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
    }
    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(10), self.0.read_line(&mut line));
        read.await.expect("an answer in time").unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }
    async fn ask(&mut self, line: &str) -> Value {
        self.say(line).await;
        self.hear().await
    }
}

#[tokio::test]
async fn every_verb_answers_under_its_id() {
    let (place, _edge) = start("verbs");
    let mut client = Client::to(&place).await;
    let applied = client
        .ask(r#"{"id":1,"verb":"apply","snapshot":{"generation":9}}"#)
        .await;
    assert_eq!(applied, json!({"id":1,"ok":true,"generation":9}));
    let refused = client.ask(r#"{"id":2,"verb":"apply","snapshot":{}}"#).await;
    assert_eq!(refused["error"]["code"], "edge.snapshot_invalid");
    for (verb, field, value) in [
        ("stats", "uptime_s", json!(1)),
        ("inflight", "requests", json!([])),
        ("metrics", "text", json!("mergepoint_edge_up 1\n")),
        ("ping", "generation", json!(7)),
    ] {
        let answer = client
            .ask(&format!(r#"{{"id":"{verb}","verb":"{verb}"}}"#))
            .await;
        assert_eq!((&answer["id"], &answer["ok"]), (&json!(verb), &json!(true)));
        assert_eq!(answer[field], value);
    }
}

#[tokio::test]
async fn a_slow_verb_does_not_hold_up_the_next_one() {
    let (place, _edge) = start("order");
    let mut client = Client::to(&place).await;
    client
        .say(r#"{"id":1,"verb":"await_drained","address":"tcp:a:1","timeout_s":9}"#)
        .await;
    assert_eq!(client.ask(r#"{"id":2,"verb":"ping"}"#).await["id"], 2);
    client.say(r#"{"id":3,"verb":"drain","timeout_s":1}"#).await;
    let mut rest = [client.hear().await, client.hear().await];
    rest.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(rest[0], json!({"id":1,"ok":true,"in_flight":7}));
    assert_eq!(rest[1], json!({"id":3,"ok":true}));
}

#[tokio::test]
async fn a_client_that_stopped_sending_still_gets_its_answers() {
    let (place, edge) = start("half");
    let mut client = Client::to(&place).await;
    client
        .say(r#"{"id":1,"verb":"await_drained","address":"x","timeout_s":9}"#)
        .await;
    client.0.get_mut().shutdown().await.unwrap();
    edge.drained.notify_one();
    assert_eq!(client.hear().await["in_flight"], 1);
}

#[tokio::test]
async fn another_protocol_is_never_searched_for_commands() {
    let (place, _edge) = start("garbage");
    let mut client = Client::to(&place).await;
    assert_eq!(
        client.ask("POST / HTTP/1.1").await["error"]["code"],
        "edge.request_invalid"
    );
    // What follows on the same connection would be the body of that request.
    let _ = client.0.write_all(b"{\"id\":1,\"verb\":\"ping\"}\n").await;
    let mut rest = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), client.0.read_line(&mut rest));
    assert!(matches!(
        read.await.expect("an end in time"),
        Ok(0) | Err(_)
    ));
}

#[tokio::test]
async fn a_panic_costs_one_answer() {
    let (place, _edge) = start("panic");
    let mut client = Client::to(&place).await;
    let failed = client
        .ask(r#"{"id":5,"verb":"apply","snapshot":{"panic":1}}"#)
        .await;
    assert_eq!(
        (&failed["id"], &failed["error"]["code"]),
        (&json!(5), &json!("edge.internal"))
    );
    assert_eq!(client.ask(r#"{"id":6,"verb":"ping"}"#).await["ok"], true);
}

#[tokio::test]
async fn subscribers_hear_every_event_after_the_answer() {
    let (place, edge) = start("events");
    let mut client = Client::to(&place).await;
    assert_eq!(
        client.ask(r#"{"id":1,"verb":"subscribe"}"#).await["ok"],
        true
    );
    for number in 0..200 {
        edge.events
            .send(
                json!({"event":"snapshot_applied","generation":number})
                    .to_string()
                    .into(),
            )
            .unwrap();
    }
    for number in 0..200 {
        assert_eq!(client.hear().await["generation"], number);
    }
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_cut_off_and_others_are_not() {
    let (place, edge) = start("slow");
    let mut slow = Client::to(&place).await;
    let mut quick = Client::to(&place).await;
    slow.ask(r#"{"id":1,"verb":"subscribe"}"#).await;
    quick.ask(r#"{"id":1,"verb":"subscribe"}"#).await;
    let long: Arc<str> = json!({"event": "x".repeat(4000)}).to_string().into();
    for _ in 0..EVENTS_WAITING_MAX * 2 {
        edge.events.send(long.clone()).unwrap();
        assert_eq!(quick.hear().await["event"].as_str().unwrap().len(), 4000);
    }
    tokio::time::timeout(Duration::from_secs(5), async {
        while edge.events.receiver_count() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the slow subscriber is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listening_sockets_travel_with_their_names() {
    let (place, edge) = start("fds");
    let (path, port) = (place.socket(), edge.listener.local_addr().unwrap().port());
    let received = tokio::task::spawn_blocking(move || receive_listeners(&path))
        .await
        .unwrap();
    let (answer, mut descriptors) = received;
    assert_eq!(answer, json!({"id":1,"ok":true,"names":["http"]}));
    let twin = std::net::TcpListener::from(descriptors.remove(0));
    assert_eq!(twin.local_addr().unwrap().port(), port);
}

fn receive_listeners(path: &std::path::Path) -> (Value, Vec<OwnedFd>) {
    let mut stream = Blocking::connect(path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
        .write_all(b"{\"id\":1,\"verb\":\"listeners\"}\n")
        .unwrap();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 4096];
    let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let read = rustix::net::recvmsg(&stream, &mut parts, &mut control, flags)
        .unwrap()
        .bytes;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let rustix::net::RecvAncillaryMessage::ScmRights(found) = message {
            descriptors.extend(found);
        }
    }
    (serde_json::from_slice(&bytes[..read]).unwrap(), descriptors)
}

#[tokio::test]
async fn a_line_without_end_is_refused_at_its_bound() {
    let (place, _edge) = start("long");
    let path = place.socket();
    let said = tokio::task::spawn_blocking(move || {
        let mut stream = Blocking::connect(path).unwrap();
        let block = vec![b'x'; 1 << 20];
        for _ in 0..65 {
            if stream.write_all(&block).is_err() {
                break;
            }
        }
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    });
    assert!(said.await.unwrap().contains("longer than 67108864 bytes"));
}

#[tokio::test]
async fn the_socket_is_closed_to_others_and_only_a_dead_one_is_replaced() {
    let place = Place::new("bind");
    let path = place.socket();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let control = Control::bind(&path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let taken = Control::bind(&path).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    assert!(taken.to_string().contains("another edge"), "{taken}");
    drop(control);
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    assert!(Control::bind(&path)
        .unwrap_err()
        .to_string()
        .contains("not a socket"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn an_ending_edge_leaves_its_successors_socket_alone() {
    let place = Place::new("successor");
    let old = Control::bind(&place.socket()).unwrap();
    std::fs::remove_file(place.socket()).unwrap();
    let _new = Control::bind(&place.socket()).unwrap();
    drop(old);
    assert!(place.socket().exists());
}
