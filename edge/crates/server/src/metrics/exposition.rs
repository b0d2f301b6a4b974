//! Counters as Prometheus text: one family after the other, each with its help and type.
//!
//! Place:  metrics -> [exposition]
//! Rule:   reads a moment's numbers; a family is one contiguous block, as the format asks.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{rss_bytes, AppMetrics, Counter, Handshake, Metrics, QueueDrop, BOUNDS_S};

type Apps = Vec<(String, Arc<AppMetrics>)>;

/// The text under construction. Writing to a `String` cannot fail, so results are dropped.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP mergepoint_edge_{name} {help}");
        let _ = writeln!(self.0, "# TYPE mergepoint_edge_{name} {kind}");
    }

    pub(crate) fn sample(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        let _ = write!(self.0, "mergepoint_edge_{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{}\"", escaped(text));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    pub(crate) fn single(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        value: impl std::fmt::Display,
    ) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Every family, in a stable order.
pub(super) fn render(metrics: &Metrics) -> String {
    // Names and handles are copied, so that no writer waits while the text grows.
    let apps: Apps = metrics
        .apps
        .read()
        .iter()
        .map(|(name, app)| (name.clone(), Arc::clone(app)))
        .collect();
    let mut text = Text::default();
    process(&mut text, metrics);
    connections(&mut text, metrics);
    requests(&mut text, &apps);
    durations(&mut text, &apps);
    queues(&mut text, &apps);
    for (name, help, counter) in PLAIN {
        text.family(name, "counter", help);
        for (app, counts) in &apps {
            text.sample(name, &[("app", app)], counter(counts).get());
        }
    }
    text.finish()
}

type Pick = fn(&AppMetrics) -> &Counter;

const PLAIN: [(&str, &str, Pick); 5] = [
    (
        "retries_total",
        "Second attempts after a failed first one.",
        |app| &app.retries,
    ),
    (
        "request_timeouts_total",
        "Requests over the request limit.",
        |app| &app.timeouts,
    ),
    (
        "slot_ejections_total",
        "Slots taken out of use for failures.",
        |app| &app.ejections,
    ),
    ("received_bytes_total", "Bytes of request bodies.", |app| {
        &app.received_bytes
    }),
    ("sent_bytes_total", "Bytes of response bodies.", |app| {
        &app.sent_bytes
    }),
];

fn process(text: &mut Text, metrics: &Metrics) {
    text.family("build_info", "gauge", "The running version; always 1.");
    text.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let uptime = metrics.uptime().as_secs_f64();
    text.single(
        "uptime_seconds",
        "gauge",
        "Time since the edge started.",
        uptime,
    );
    let generation = metrics.generation.get();
    text.single(
        "snapshot_generation",
        "gauge",
        "The snapshot in force.",
        generation,
    );
    if let Some(bytes) = rss_bytes() {
        text.single(
            "resident_memory_bytes",
            "gauge",
            "Resident memory of the edge.",
            bytes,
        );
    }
    let dropped = metrics.access_log_dropped.get();
    let help = "Access log lines that found no room.";
    text.single("access_log_dropped_total", "counter", help, dropped);
}

fn connections(text: &mut Text, metrics: &Metrics) {
    let open = metrics.connections_open.get();
    text.single(
        "connections_open",
        "gauge",
        "Open client connections.",
        open,
    );
    let total = metrics.connections.get();
    text.single(
        "connections_total",
        "counter",
        "Client connections accepted.",
        total,
    );
    text.family(
        "tls_handshakes_total",
        "counter",
        "TLS handshakes by how they ended.",
    );
    for (how, name) in Handshake::ALL {
        let count = metrics.handshakes[how as usize].get();
        text.sample("tls_handshakes_total", &[("result", name)], count);
    }
    text.family(
        "refusals_total",
        "counter",
        "Requests refused before an app, by code.",
    );
    for (code, count) in metrics.refusals.read().iter() {
        text.sample("refusals_total", &[("code", code)], count.get());
    }
}

fn requests(text: &mut Text, apps: &Apps) {
    text.family(
        "requests_total",
        "counter",
        "Requests answered, by status class.",
    );
    for (app, counts) in apps {
        for (class, count) in counts.responses.iter().enumerate().skip(1) {
            let labels = [("app", app.as_str()), ("status", &format!("{class}xx"))];
            text.sample("requests_total", &labels, count.get());
        }
    }
    text.family("requests_in_flight", "gauge", "Requests being answered.");
    for (app, counts) in apps {
        text.sample(
            "requests_in_flight",
            &[("app", app)],
            counts.in_flight.get(),
        );
    }
}

fn durations(text: &mut Text, apps: &Apps) {
    let name = "request_duration_seconds";
    text.family(
        name,
        "histogram",
        "From the request's head to the answer's last byte.",
    );
    for (app, counts) in apps {
        let cumulative = counts.durations.cumulative();
        let bounds = BOUNDS_S
            .iter()
            .map(ToString::to_string)
            .chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(cumulative) {
            let labels = [("app", app.as_str()), ("le", bound.as_str())];
            text.sample("request_duration_seconds_bucket", &labels, count);
        }
        let labels = [("app", app.as_str())];
        text.sample(
            "request_duration_seconds_sum",
            &labels,
            counts.durations.sum_s(),
        );
        // The last bucket, not a second counter: the two must agree within one scrape.
        let total = cumulative[cumulative.len() - 1];
        text.sample("request_duration_seconds_count", &labels, total);
    }
}

fn queues(text: &mut Text, apps: &Apps) {
    text.family("queue_length", "gauge", "Requests that wait for a slot.");
    for (app, counts) in apps {
        text.sample("queue_length", &[("app", app)], counts.queue_length.get());
    }
    text.family(
        "queue_dropped_total",
        "counter",
        "Waiting requests dropped, by reason.",
    );
    for (app, counts) in apps {
        for (why, name) in QueueDrop::ALL {
            let labels = [("app", app.as_str()), ("reason", name)];
            text.sample(
                "queue_dropped_total",
                &labels,
                counts.queue_drops[why as usize].get(),
            );
        }
    }
}
