//! The counts, their bounds, and the exposition as a scraper reads it.

use std::collections::BTreeSet;

use super::*;

fn value(text: &str, sample: &str) -> Option<String> {
    text.lines().find_map(|line| {
        line.strip_prefix(sample)?
            .strip_prefix(' ')
            .map(str::to_owned)
    })
}

#[test]
fn counts_appear_under_their_app_and_class() {
    let metrics = Metrics::default();
    metrics.follow(7, ["tickets", "wiki"]);
    let tickets = metrics.app("tickets").unwrap();
    tickets.answered(StatusCode::OK, Duration::from_millis(3));
    tickets.answered(StatusCode::BAD_GATEWAY, Duration::from_secs(61));
    tickets.dropped(QueueDrop::Patience);
    metrics.refused("strict.host");
    metrics.handshake(Handshake::Timeout);
    let text = metrics.render();
    for (sample, wanted) in [
        (
            "mergepoint_edge_requests_total{app=\"tickets\",status=\"2xx\"}",
            "1",
        ),
        (
            "mergepoint_edge_requests_total{app=\"tickets\",status=\"5xx\"}",
            "1",
        ),
        (
            "mergepoint_edge_requests_total{app=\"wiki\",status=\"2xx\"}",
            "0",
        ),
        (
            "mergepoint_edge_request_duration_seconds_bucket{app=\"tickets\",le=\"0.0025\"}",
            "0",
        ),
        (
            "mergepoint_edge_request_duration_seconds_bucket{app=\"tickets\",le=\"0.005\"}",
            "1",
        ),
        (
            "mergepoint_edge_request_duration_seconds_bucket{app=\"tickets\",le=\"60\"}",
            "1",
        ),
        (
            "mergepoint_edge_request_duration_seconds_bucket{app=\"tickets\",le=\"+Inf\"}",
            "2",
        ),
        (
            "mergepoint_edge_request_duration_seconds_sum{app=\"tickets\"}",
            "61.003",
        ),
        (
            "mergepoint_edge_request_duration_seconds_count{app=\"tickets\"}",
            "2",
        ),
        (
            "mergepoint_edge_queue_dropped_total{app=\"tickets\",reason=\"patience\"}",
            "1",
        ),
        ("mergepoint_edge_refusals_total{code=\"strict.host\"}", "1"),
        (
            "mergepoint_edge_tls_handshakes_total{result=\"timeout\"}",
            "1",
        ),
        ("mergepoint_edge_snapshot_generation", "7"),
    ] {
        assert_eq!(value(&text, sample).as_deref(), Some(wanted), "{sample}");
    }
    assert_eq!(
        (
            tickets.requests(),
            tickets.errors(),
            tickets.queue_dropped()
        ),
        (2, 1, 1)
    );
}

#[test]
fn a_bound_belongs_to_its_own_bucket() {
    let histogram = Histogram::default();
    histogram.observe(Duration::from_millis(1));
    histogram.observe(Duration::from_micros(1001));
    assert_eq!(histogram.cumulative()[..2], [1, 2]);
}

#[test]
fn counts_survive_a_snapshot_and_leave_with_their_app() {
    let metrics = Metrics::default();
    metrics.follow(1, ["a", "b"]);
    let a = metrics.app("a").unwrap();
    a.retries.inc();
    metrics.follow(2, ["a"]);
    assert!(Arc::ptr_eq(&a, &metrics.app("a").unwrap()));
    assert!(metrics.app("b").is_none());
    assert!(!metrics.render().contains("app=\"b\""));
}

#[test]
fn a_gauge_is_given_back_even_by_a_panic() {
    let app = AppMetrics::default();
    let held = app.in_flight.hold();
    let in_flight = Arc::clone(&app.in_flight);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = in_flight.hold();
        panic!("a request failed");
    }));
    assert!(ended.is_err());
    assert_eq!(app.in_flight.get(), 1);
    drop(held);
    assert_eq!(app.in_flight.get(), 0);
}

#[test]
fn refusal_codes_are_bounded() {
    let metrics = Metrics::default();
    for number in 0..REFUSAL_CODES_MAX + 10 {
        metrics.refused(Box::leak(format!("code.{number}").into_boxed_str()));
    }
    let text = metrics.render();
    assert_eq!(
        value(&text, "mergepoint_edge_refusals_total{code=\"other\"}").unwrap(),
        "10"
    );
}

#[test]
fn every_family_is_one_block_with_help_and_type() {
    let metrics = Metrics::default();
    metrics.follow(1, ["a", "quo\"te\\d"]);
    metrics.refused("x");
    let text = metrics.render();
    let mut seen = BTreeSet::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            current = rest.split(' ').next().unwrap().to_owned();
            assert!(seen.insert(current.clone()), "{current} comes twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest.split(' ').next().unwrap(), current);
        } else {
            assert!(line.starts_with(&current), "{line} is outside {current}");
            let number = line.rsplit(' ').next().unwrap();
            assert!(number.parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(text.contains("app=\"quo\\\"te\\\\d\""));
    assert!(seen.len() >= 15);
}

#[test]
fn counts_from_many_threads_all_arrive() {
    let metrics = Arc::new(Metrics::default());
    metrics.follow(1, ["a"]);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let app = metrics.app("a").unwrap();
            std::thread::spawn(move || {
                for _ in 0..10_000 {
                    app.answered(StatusCode::OK, Duration::from_micros(10));
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(metrics.app("a").unwrap().requests(), 40_000);
}

#[cfg(target_os = "linux")]
#[test]
fn resident_memory_is_told_in_bytes() {
    assert!(rss_bytes().unwrap() > 1 << 20);
}
