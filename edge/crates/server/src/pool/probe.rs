//! Looks after workers: active probes, and knocking at doors that did not open.
//!
//! Place: main spawns `watch`; trouble.rs spawns `revive` -> [probe] -> upstream
//! Rule:  one probe per address at a time; a probe takes no place and ends within its timeout.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::Method;
use mergepoint_edge_core::snapshot::Health;

use super::line::Line;
use crate::clock::{moment, seconds};
use crate::edge::{Edge, PoolApp};
use crate::trouble;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::head::{self, Announced};
use crate::upstream::link::Link;

/// How often due probes are looked for.
const LOOK: Duration = Duration::from_millis(100);

/// First and longest pause between two knocks at a closed door.
const KNOCK_MS: (u64, u64) = (10, 500);

/// Longest wait for one door to open.
const KNOCK_LIMIT: Duration = Duration::from_secs(1);

/// Probe what is due and serve queues that time has changed, for ever.
pub async fn watch(edge: Arc<Edge>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for app in edge.pools() {
            app.line.pump(moment());
            for (slot, endpoint) in app.line.due_probes(moment()) {
                tokio::spawn(probe(Arc::clone(&edge), Arc::clone(&app), slot, endpoint));
            }
        }
    }
}

async fn probe(edge: Arc<Edge>, app: Arc<PoolApp>, slot: u32, endpoint: Arc<Endpoint>) {
    let health = &app.settings.health;
    let limit = seconds(health.timeout_s);
    let asked = tokio::time::timeout(limit, ask(health, &endpoint, limit)).await;
    let reason = match asked {
        Ok(Ok(status)) if app.line.is_good_status(status) => {
            return trouble::recovered(&edge, &app.line, slot, &endpoint);
        }
        Ok(Ok(status)) => format!("probe answered {status}"),
        Ok(Err(error)) => format!("probe failed: {error}"),
        Err(_) => format!("probe not answered within {limit:?}"),
    };
    trouble::blame(&edge, &app.line, slot, &endpoint, &reason);
}

/// The status a worker answers a probe with.
async fn ask(
    health: &Health,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::HOST, HeaderValue::from_static("localhost"));
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(
        http::header::USER_AGENT,
        HeaderValue::from_static("mergepoint-probe"),
    );
    for (name, value) in &health.headers {
        headers.insert(
            HeaderName::from_bytes(name.as_bytes())?,
            HeaderValue::from_str(value)?,
        );
    }
    let path = health.path.as_deref().unwrap_or("/");
    let mut encoded = BytesMut::new();
    head::encode(
        &mut encoded,
        &Method::GET,
        (path, None),
        (&headers, b""),
        Announced::None,
    );
    // In place of an idle link, since some workers serve only so many connections.
    let mut link = endpoint.link(false, limit).await?;
    link.send(&encoded).await?;
    Ok(link.next_head(&Method::GET).await?.status.as_u16())
}

/// Knock at an address that refused a connection until it accepts one or is retired.
pub fn revive(edge: &Arc<Edge>, line: &Arc<Line>, endpoint: &Arc<Endpoint>) {
    let (edge, line, endpoint) = (Arc::clone(edge), Arc::clone(line), Arc::clone(endpoint));
    tokio::spawn(async move {
        let mut pause = KNOCK_MS.0;
        while !endpoint.is_retired() {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            pause = (pause * 2).min(KNOCK_MS.1);
            let Ok(link) = Link::connect(&endpoint.address, KNOCK_LIMIT).await else {
                continue;
            };
            endpoint.keep(link);
            break;
        }
        endpoint.set_down(false);
        // Other apps may share the address.
        line.pump(moment());
        edge.pools().iter().for_each(|app| app.line.pump(moment()));
    });
}
