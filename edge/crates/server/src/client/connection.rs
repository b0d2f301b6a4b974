//! What is known of one client connection, shared by its socket, its requests and the sweeper.
//!
//! Place: client/registry.rs holds one per connection -> [connection] <- client/io.rs, exchange.rs
//! Rule:  atomics only; times are milliseconds of the process clock, 0 means "not".

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::OnceLock;

use futures_util::task::AtomicWaker;
use mergepoint_edge_core::snapshot::Listener;
use parking_lot::Mutex;

use super::watch::{Oddity, Watch};
use crate::clock::now_ms;

/// What the connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Command {
    /// Go on.
    Serve = 0,
    /// Finish what is under way, take nothing new.
    Finish = 1,
    /// End now.
    Abort = 2,
}

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    /// Who connected; none on a Unix socket.
    peer: Option<SocketAddr>,
    /// Who the PROXY protocol says it was.
    proxied: OnceLock<SocketAddr>,
    /// The connection is encrypted.
    pub tls: bool,
    /// The listener is for the operator.
    pub admin: bool,
    /// Visitors over plain HTTP are sent to https:// on this port.
    pub https_port: Option<u16>,
    command: AtomicU8,
    waker: AtomicWaker,
    in_flight: AtomicUsize,
    served: AtomicU64,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    blocked_since: AtomicU64,
    tunnelled: AtomicBool,
    http2: AtomicBool,
    watch: Mutex<Watch>,
}

impl Connection {
    /// A connection that was accepted now.
    pub fn new(peer: Option<SocketAddr>, listener: &Listener) -> Connection {
        Connection {
            peer,
            proxied: OnceLock::new(),
            tls: listener.tls,
            admin: listener.admin,
            https_port: listener.https_port,
            command: AtomicU8::new(Command::Serve as u8),
            waker: AtomicWaker::new(),
            in_flight: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            idle_since: AtomicU64::new(now_ms()),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            tunnelled: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            watch: Mutex::new(Watch::default()),
        }
    }

    /// The client's address, as far as the connection tells.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.proxied.get().copied().or(self.peer)
    }

    /// A trusted proxy says who the client is.
    pub fn speaks_for(&self, client: SocketAddr) {
        // Said once, before the first request.
        let _ = self.proxied.set(client);
    }

    /// Tell it to finish or abort; a weaker command after a stronger one changes nothing.
    pub fn command(&self, command: Command) {
        if self.command.fetch_max(command as u8, Relaxed) < command as u8 {
            self.waker.wake();
        }
    }

    /// The strongest command so far; the task that asks is woken by the next one.
    pub fn commanded(&self, cx: &std::task::Context<'_>) -> Command {
        self.waker.register(cx.waker());
        match self.command.load(Relaxed) {
            0 => Command::Serve,
            1 => Command::Finish,
            _ => Command::Abort,
        }
    }

    /// Bytes of HTTP/1 arrived.
    pub fn received(&self, data: &[u8]) {
        if self.tunnelled.load(Relaxed) {
            return;
        }
        let mut watch = self.watch.lock();
        watch.feed(data);
        let since = match (watch.within_head(), self.head_since.load(Relaxed)) {
            (true, 0) => now_ms(),
            (true, since) => since,
            (false, _) => 0,
        };
        self.head_since.store(since, Relaxed);
    }

    /// A write had to wait, or went through.
    pub fn wrote(&self, blocked: bool) {
        let since = match (blocked, self.blocked_since.load(Relaxed)) {
            (false, 0) => return,
            (false, _) => 0,
            (true, 0) => now_ms(),
            (true, since) => since,
        };
        self.blocked_since.store(since, Relaxed);
    }

    /// A request begins; on HTTP/1 the answer says what its head hid.
    pub fn begin(&self, http1: bool) -> Option<Oddity> {
        self.in_flight.fetch_add(1, Relaxed);
        let head = self.served.fetch_add(1, Relaxed) + 1;
        if http1 {
            self.watch.lock().oddity_of(head)
        } else {
            None
        }
    }

    /// A request ended, its answer delivered or not.
    pub fn end(&self) {
        let now = now_ms();
        self.idle_since.store(now, Relaxed);
        if self.head_since.load(Relaxed) != 0 {
            self.head_since.store(now, Relaxed);
        }
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// The client speaks HTTP/2.
    pub fn becomes_http2(&self) {
        self.http2.store(true, Relaxed);
    }

    /// The client speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// What was received begins with a line that is none of HTTP/1.
    pub fn is_alien(&self) -> bool {
        self.watch.lock().is_alien()
    }

    /// The bytes that follow are no HTTP.
    pub fn becomes_tunnel(&self) {
        self.tunnelled.store(true, Relaxed);
    }

    /// Since when nothing is asked or being asked; none while something is.
    pub fn idle_since(&self) -> Option<u64> {
        let idle = self.in_flight.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0;
        (idle && !self.tunnelled.load(Relaxed)).then(|| self.idle_since.load(Relaxed))
    }

    /// Since when a head is incomplete.
    pub fn head_since(&self) -> Option<u64> {
        let since = self.head_since.load(Relaxed);
        (since != 0 && self.in_flight.load(Relaxed) == 0 && !self.tunnelled.load(Relaxed))
            .then_some(since)
    }

    /// Since when the client takes nothing of what waits for it.
    pub fn blocked_since(&self) -> Option<u64> {
        let since = self.blocked_since.load(Relaxed);
        (since != 0 && !self.tunnelled.load(Relaxed)).then_some(since)
    }
}
