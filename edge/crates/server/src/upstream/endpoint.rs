//! One address where a worker listens: its idle links, its load and its fate.
//!
//! Place: pool/place.rs -> [endpoint] -> link.rs
//! Rule:  belongs to the address and survives snapshots; a draining address keeps no idle link.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mergepoint_edge_core::snapshot::Address;
use parking_lot::Mutex;
use tokio::sync::futures::Notified;
use tokio::sync::Notify;

use super::link::Link;

/// Idle links kept per address; more are closed after their request.
const IDLE_LINKS_MAX: usize = 64;

/// Links idle for longer are closed: workers time theirs out too, and ours must be the first to.
const IDLE_LINK_S_MAX: f64 = 30.0;

/// Weight of the newest latency in the running mean.
const LATENCY_WEIGHT: f64 = 0.1;

/// An address of a worker.
#[derive(Debug)]
pub struct Endpoint {
    /// Names it in tables.
    pub id: u64,
    /// Where the worker listens.
    pub address: Address,
    idle: Mutex<Vec<(Link, Instant)>>,
    in_flight: AtomicU32,
    tunnels: AtomicU32,
    retired: AtomicBool,
    down: AtomicBool,
    suspect: AtomicBool,
    emptied: Notify,
    suspected: Notify,
    troubled: AtomicBool,
    requests: AtomicU64,
    failures: AtomicU64,
    errors: AtomicU64,
    latency_ms_bits: AtomicU64,
}

impl Endpoint {
    /// An address nothing was sent to yet.
    pub fn new(id: u64, address: Address) -> Endpoint {
        Endpoint {
            id,
            address,
            idle: Mutex::new(Vec::new()),
            in_flight: AtomicU32::new(0),
            tunnels: AtomicU32::new(0),
            retired: AtomicBool::new(false),
            down: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            emptied: Notify::new(),
            suspected: Notify::new(),
            troubled: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            latency_ms_bits: AtomicU64::new(0),
        }
    }

    /// An idle link that is still open, or a new one. A request that cannot be repeated always gets a new one, because
    /// a worker may close an idle link at the very moment of its use; an idle one is closed for it, since some workers
    /// serve only so many connections.
    ///
    /// # Errors
    /// The worker does not accept connections within `limit`.
    pub async fn link(&self, repeatable: bool, limit: Duration) -> io::Result<Link> {
        match self.take_idle() {
            Some(link) if repeatable => return Ok(link),
            idle => drop(idle),
        }
        Link::connect(&self.address, limit).await
    }

    fn take_idle(&self) -> Option<Link> {
        let mut idle = self.idle.lock();
        while let Some((mut link, since)) = idle.pop() {
            if since.elapsed().as_secs_f64() > IDLE_LINK_S_MAX {
                // The last one in is the youngest.
                idle.clear();
            } else if link.is_fresh() {
                return Some(link);
            }
        }
        None
    }

    /// Keep a link for the next request, unless the address is on its way out.
    pub fn keep(&self, mut link: Link) {
        if self.retired.load(Relaxed) {
            return;
        }
        link.reused = true;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_LINKS_MAX {
            idle.push((link, Instant::now()));
        }
    }

    /// Close links that were idle for too long.
    pub fn close_stale(&self) {
        let mut idle = self.idle.lock();
        // Oldest first, because the newest is taken and put back at the end.
        let stale = idle
            .iter()
            .take_while(|(_, since)| since.elapsed().as_secs_f64() > IDLE_LINK_S_MAX)
            .count();
        idle.drain(..stale);
    }

    /// No new requests; idle links are closed at once.
    pub fn retire(&self, retired: bool) {
        self.retired.store(retired, Relaxed);
        if retired {
            self.idle.lock().clear();
        }
    }

    /// It takes no new requests any more.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    /// A request is sent.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// A request or probe failed through the worker.
    pub fn count_failure(&self) {
        self.failures.fetch_add(1, Relaxed);
        self.troubled.store(true, Relaxed);
    }

    /// It answered that it failed (500 and above): its program is wrong, the process is well.
    pub fn count_error(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    /// Something failed since it was last found well, so a success is news.
    pub fn is_troubled(&self) -> bool {
        self.troubled.load(Relaxed)
    }

    /// It was found well.
    pub fn is_well(&self) {
        self.troubled.store(false, Relaxed);
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Requests and probes that failed so far.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Answers of 500 and above so far.
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Tunnels open.
    pub fn tunnels(&self) -> u32 {
        self.tunnels.load(Relaxed)
    }

    /// A request takes or leaves its place.
    pub fn occupy(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A request has left.
    pub fn vacate(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.tell_if_empty();
    }

    /// A tunnel begins.
    pub fn open_tunnel(&self) {
        self.tunnels.fetch_add(1, Relaxed);
    }

    /// A tunnel ended.
    pub fn close_tunnel(&self) {
        self.tunnels.fetch_sub(1, Relaxed);
        self.tell_if_empty();
    }

    fn tell_if_empty(&self) {
        if self.held() == 0 && self.retired.load(Relaxed) {
            self.emptied.notify_waiters();
        }
    }

    /// Requests and tunnels.
    pub fn held(&self) -> usize {
        self.in_flight() as usize + self.tunnels() as usize
    }

    /// Wait until nothing is held, at most `limit`; what is left.
    pub async fn drained(&self, limit: Duration) -> usize {
        let empty = async {
            loop {
                let emptied = self.emptied.notified();
                tokio::pin!(emptied);
                emptied.as_mut().enable();
                if self.held() == 0 {
                    return;
                }
                // An address that is not retired tells nobody: look again now and then.
                let _ = tokio::time::timeout(Duration::from_millis(50), emptied).await;
            }
        };
        let _ = tokio::time::timeout(limit, empty).await;
        self.held()
    }

    /// Nobody accepts connections there.
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// Whether connections are accepted; true when that is news.
    pub fn set_down(&self, down: bool) -> bool {
        self.down.swap(down, Relaxed) != down
    }

    /// A request overran its time there, so part of the worker is stuck.
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Relaxed)
    }

    /// Avoid it while another slot is free, until it is replaced; who waits there is told.
    pub fn suspect(&self) {
        self.suspect.store(true, Relaxed);
        self.suspected.notify_waiters();
    }

    /// The next time that a request overruns its time here.
    pub fn suspected(&self) -> Notified<'_> {
        self.suspected.notified()
    }

    /// Add to the running mean of times to an answer's head.
    pub fn measure(&self, latency: Duration) {
        let newest = latency.as_secs_f64() * 1000.0;
        let mean = self.latency_ms();
        let next = if mean == 0.0 {
            newest
        } else {
            mean + LATENCY_WEIGHT * (newest - mean)
        };
        self.latency_ms_bits.store(next.to_bits(), Relaxed);
    }

    /// The running mean in milliseconds; 0 before the first answer.
    pub fn latency_ms(&self) -> f64 {
        f64::from_bits(self.latency_ms_bits.load(Relaxed))
    }
}
