//! Lines as they are read back, and a writer that is stuck, broken or behind.

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;

fn entry() -> Entry<'static> {
    Entry {
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        peer: Some([192, 0, 2, 7].into()),
        user: Some("ada"),
        method: "GET",
        host: "example.org",
        path: "/tickets/42",
        query: Some("q=1&token=hush"),
        protocol: "HTTP/1.1",
        status: 200,
        sent_bytes: 512,
        received_bytes: 0,
        app: Some("tickets"),
        slot: Some(3),
        request_id: "r-1",
        trace_id: None,
        duration: Duration::from_micros(12_345),
        upstream: Some(Duration::from_millis(11)),
        user_agent: Some(b"curl/8"),
        referer: Some(b"https://example.org/?key=hush"),
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn written(format: Format, entry: &Entry<'_>) -> String {
    String::from_utf8(line::format(format, entry)).unwrap()
}

#[test]
fn a_json_line_says_everything_but_the_secrets() {
    let line: serde_json::Value = serde_json::from_str(&written(Format::Json, &entry())).unwrap();
    let wanted = serde_json::json!({
        "at": "2023-11-14T22:13:20.123Z", "peer": "192.0.2.7", "user": "ada", "method": "GET",
        "host": "example.org", "path": "/tickets/42", "query": "q=1&token=***",
        "protocol": "HTTP/1.1", "status": 200, "sent_bytes": 512, "received_bytes": 0,
        "app": "tickets", "slot": 3, "request_id": "r-1", "trace_id": null,
        "duration_ms": 12.345, "upstream_ms": 11.0, "user_agent": "curl/8",
        "referer": "https://example.org/?key=***",
    });
    assert_eq!(line, wanted);
}

#[test]
fn times_have_three_places_and_a_trace_its_32_digits() {
    for (duration, wanted) in [
        (Duration::ZERO, "0.000"),
        (Duration::from_nanos(1_499), "0.001"),
        (Duration::from_nanos(1_500), "0.002"),
        (Duration::from_nanos(999_999_999), "1000.000"),
        (Duration::from_millis(3_600_007), "3600007.000"),
    ] {
        let entry = Entry {
            duration,
            trace_id: Some(0xa1),
            ..entry()
        };
        let id = format!("{}a1", "0".repeat(30));
        let json = written(Format::Json, &entry);
        assert!(json.contains(&format!("\"trace_id\":\"{id}\"")), "{json}");
        assert!(
            json.contains(&format!("\"duration_ms\":{wanted},")),
            "{json}"
        );
        let combined = written(Format::Combined, &entry);
        assert!(
            combined.ends_with(&format!("\"{id}\" {wanted}ms 11.000ms\n")),
            "{combined}"
        );
    }
}

#[test]
fn a_combined_line_is_what_log_tools_know_and_more() {
    let wanted = concat!(
        "192.0.2.7 - ada [14/Nov/2023:22:13:20 +0000] ",
        "\"GET /tickets/42?q=1&token=*** HTTP/1.1\" 200 512 ",
        "\"https://example.org/?key=***\" \"curl/8\" ",
        "\"tickets\" 3 \"r-1\" \"-\" 12.345ms 11.000ms\n",
    );
    assert_eq!(written(Format::Combined, &entry()), wanted);
    let bare = Entry {
        peer: None,
        user: None,
        app: None,
        slot: None,
        upstream: None,
        ..entry()
    };
    assert!(written(Format::Combined, &bare).starts_with("- - - ["));
    assert!(written(Format::Combined, &bare).ends_with("\"-\" - \"r-1\" \"-\" 12.345ms -\n"));
}

proptest! {
    #[test]
    fn whatever_a_client_sends_a_line_stays_one_readable_line(
        path in ".{0,64}", query in ".{0,64}", agent in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let entry = Entry {
            path: &path, query: Some(&query), user_agent: Some(&agent), referer: Some(&agent), ..entry()
        };
        let json = written(Format::Json, &entry);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read["path"].as_str().unwrap(), path.as_str());
        let combined = written(Format::Combined, &entry);
        for line in [json, combined] {
            let body = line.strip_suffix('\n').unwrap();
            prop_assert!(!body.chars().any(char::is_control), "{:?}", body);
        }
    }
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let long = "ü".repeat(5000);
    let line = written(
        Format::Json,
        &Entry {
            path: &long,
            ..entry()
        },
    );
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        read["path"].as_str().unwrap(),
        format!("{}[cut]", "ü".repeat(1024))
    );
}

#[test]
fn lines_arrive_in_order_and_flush_waits_for_them() {
    let (sink, dropped) = (Sink::default(), Arc::new(Counter::default()));
    let log = AccessLog::new(sink.clone(), dropped.clone()).unwrap();
    for number in 0..1000 {
        log.log(
            Format::Json,
            &Entry {
                slot: Some(number),
                ..entry()
            },
        );
    }
    assert!(log.flush(Duration::from_secs(5)));
    let text = sink.text();
    let slots: Vec<u64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["slot"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(slots, (0..1000).collect::<Vec<u64>>());
    assert_eq!(dropped.get(), 0);
}

/// A sink that takes nothing until it is let go.
struct Stuck(std::sync::mpsc::Receiver<()>, Sink);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_reader_costs_lines_that_are_counted_and_never_a_request() {
    let (let_go, wait) = std::sync::mpsc::channel();
    let (sink, dropped) = (Sink::default(), Arc::new(Counter::default()));
    let log = AccessLog::new(Stuck(wait, sink.clone()), dropped.clone()).unwrap();
    let total = LINES_WAITING_MAX + 2000;
    for _ in 0..total {
        log.log(Format::Combined, &entry());
    }
    assert!(dropped.get() > 0);
    assert!(!log.flush(Duration::from_millis(20)));
    drop(let_go);
    assert!(log.flush(Duration::from_secs(10)));
    let lost = usize::try_from(dropped.get()).unwrap();
    assert_eq!(sink.text().lines().count(), total - lost);
}

#[test]
fn waiting_lines_are_bounded_in_bytes_too() {
    let (_let_go, wait) = std::sync::mpsc::channel();
    let dropped = Arc::new(Counter::default());
    let log = AccessLog::new(Stuck(wait, Sink::default()), dropped.clone()).unwrap();
    let long = "x".repeat(4000);
    for _ in 0..LINES_WAITING_MAX {
        let fat = Entry {
            path: &long,
            host: &long,
            request_id: &long,
            ..entry()
        };
        log.log(Format::Json, &fat);
    }
    assert!(dropped.get() > 0);
    let waiting = log.waiting_bytes.load(Ordering::Relaxed);
    assert!(waiting <= BYTES_WAITING_MAX + 10_000, "{waiting}");
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broken_pipe_is_counted_and_survived() {
    let dropped = Arc::new(Counter::default());
    let log = AccessLog::new(Broken, dropped.clone()).unwrap();
    for _ in 0..10 {
        log.log(Format::Json, &entry());
        assert!(log.flush(Duration::from_secs(5)));
    }
    assert_eq!(dropped.get(), 10);
}
