//! The life of the process: start everything, serve, drain, end.
//!
//! Place: main -> [serving] -> listeners, control channel, sweeper, probes, signals
//! Rule:  READY is said only when connections are accepted; the end of the supervisor is not our end.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{signal, SignalKind};

use crate::cache;
use crate::client::accept::{accept, Listener};
use crate::client::connection::Command;
use crate::client::registry::Registry;
use crate::clock::{moment, seconds};
use crate::control::Control;
use crate::drain::Stage;
use crate::edge::Edge;
use crate::identity::feed;
use crate::pool::probe;
use crate::startup::Settings;
use crate::steering::Steering;

/// How long the access log may take to write what waits, at the end.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// After the deadline connections get this long to notice.
const ABORT_LIMIT: Duration = Duration::from_millis(500);

/// Longest time between two looks at the connections while draining.
const DRAIN_SWEEP_PERIOD: Duration = Duration::from_millis(100);

/// Run the edge until it has drained.
///
/// # Errors
/// It could not start; says why.
pub fn run(settings: Settings) -> Result<(), String> {
    moment();
    let runtime = match settings.threads {
        1 => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build(),
        threads => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build(),
    };
    let runtime = runtime.map_err(|error| format!("the runtime cannot start: {error}"))?;
    let served = runtime.block_on(serve(settings));
    // Tasks that are left belong to clients and workers whose time was up.
    runtime.shutdown_background();
    served
}

async fn serve(settings: Settings) -> Result<(), String> {
    let edge = Arc::new(Edge::new(settings.snapshot).map_err(|error| error.to_string())?);
    let kept = duplicate(&settings.listeners)
        .map_err(|error| format!("a listener cannot be duplicated: {error}"))?;
    let steering = Arc::new(Steering::new(Arc::clone(&edge), kept));
    let control = Control::bind(&settings.control).map_err(|error| error.to_string())?;
    let control = tokio::spawn(control.serve(steering.clone()));
    feed::first(&edge).await;
    tokio::spawn(feed::follow(Arc::clone(&edge)));
    tokio::spawn(cache::feed::follow(Arc::clone(&edge)));
    for (name, descriptor) in settings.listeners {
        let listener = Listener::from_descriptor(descriptor)
            .map_err(|error| format!("listener {name}: {error}"))?;
        tokio::spawn(accept(Arc::clone(&edge), name, listener));
    }
    tokio::spawn(sweep(Arc::clone(&edge)));
    tokio::spawn(probe::watch(Arc::clone(&edge)));
    tokio::spawn(Arc::clone(&edge).watch_certificates());
    obey_signals(&edge).map_err(|error| format!("signals cannot be watched: {error}"))?;
    if let Some(mut ready) = settings.ready {
        // Who started us may have gone; that is no reason not to serve.
        let _ = ready.write_all(b"READY\n");
    }
    edge.drain.reached(Stage::Draining).await;
    steering.close_listeners();
    edge.connections
        .sweep(&edge.loaded().snapshot.limits, &edge.drain);
    finish(&edge).await;
    control.abort();
    let _ = control.await;
    let log = Arc::clone(&edge);
    let _ = tokio::task::spawn_blocking(move || log.access_log.flush(FLUSH_LIMIT)).await;
    Ok(())
}

fn duplicate(listeners: &[(String, OwnedFd)]) -> io::Result<Vec<(String, OwnedFd)>> {
    listeners
        .iter()
        .map(|(name, descriptor)| Ok((name.clone(), descriptor.try_clone()?)))
        .collect()
}

/// Let what was begun end, until the deadline or a stop.
async fn finish(edge: &Edge) {
    let deadline = edge.drain.deadline().unwrap_or_else(Instant::now);
    tokio::select! {
        () = async { edge.flights.all_landed().await; edge.connections.all_left().await; } => return,
        () = tokio::time::sleep_until(deadline.into()) => {}
        () = edge.drain.reached(Stage::Stopped) => {}
    }
    edge.drain.stop();
    edge.connections.command_all(Command::Abort);
    let _ = tokio::time::timeout(ABORT_LIMIT, edge.connections.all_left()).await;
}

/// Close silent connections and stale links, for ever.
async fn sweep(edge: Arc<Edge>) {
    loop {
        let limits = edge.loaded().snapshot.limits.clone();
        let period = Registry::sweep_period(&limits);
        let period = if edge.drain.is_draining() {
            period.min(DRAIN_SWEEP_PERIOD)
        } else {
            period
        };
        tokio::time::sleep(period).await;
        edge.connections.sweep(&limits, &edge.drain);
        edge.endpoints()
            .iter()
            .for_each(|endpoint| endpoint.close_stale());
    }
}

/// The first SIGTERM or SIGINT drains; the second, or SIGQUIT, stops.
fn obey_signals(edge: &Arc<Edge>) -> io::Result<()> {
    let (mut term, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut quit = signal(SignalKind::quit())?;
    // A terminal that closes is no reason to end.
    let mut hangup = signal(SignalKind::hangup())?;
    let edge = Arc::clone(edge);
    tokio::spawn(async move {
        loop {
            let drains = tokio::select! {
                _ = term.recv() => true,
                _ = interrupt.recv() => true,
                _ = quit.recv() => false,
                _ = hangup.recv() => continue,
            };
            if drains && !edge.drain.is_draining() {
                edge.drain
                    .begin(seconds(edge.loaded().snapshot.limits.drain_s));
            } else {
                edge.drain.stop();
            }
        }
    });
    Ok(())
}
