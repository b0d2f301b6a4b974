//! The running edge: the snapshot in force and everything that outlives it.
//!
//! Place: main builds one; listeners, requests and the control channel share it
//! Rule:  a snapshot is applied whole or not at all; a request keeps the one it started under; what belongs to an
//!        address or an app survives.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use mergepoint_edge_core::identity::Issuer;
use mergepoint_edge_core::router::Router;
use mergepoint_edge_core::snapshot::{
    Access, Address, App, Pool, Redirect, SlotState, Snapshot, StaticFiles,
};
use parking_lot::Mutex;
use tokio::sync::{broadcast, Notify};

use crate::access_log::AccessLog;
use crate::cache::Kept;
use crate::client::registry::Registry;
use crate::clock::moment;
use crate::control::EVENTS_WAITING_MAX;
use crate::drain::Drain;
use crate::flight::Flights;
use crate::identity::gate::Gate;
use crate::identity::numbers::Numbers;
use crate::identity::told::Told;
use crate::metrics::{AppMetrics, Metrics};
use crate::pool::line::Line;
use crate::tls::{self, TlsError, TlsState};
use crate::upstream::endpoint::Endpoint;

/// How long one watch of the certificates lasts before it is asked whether they are still the right ones.
const TLS_STATE_LOOK: Duration = Duration::from_secs(60);

/// What answers under a mount, joined to its run-time state.
#[derive(Clone)]
pub enum Kind {
    /// Workers.
    Pool(Arc<PoolApp>),
    /// Files.
    Static(Arc<StaticFiles>),
    /// A fixed redirect.
    Redirect(Arc<Redirect>),
}

/// An app of a snapshot.
#[derive(Clone)]
pub struct Member {
    /// Its name.
    pub name: Arc<str>,
    /// Its numbers.
    pub metrics: Arc<AppMetrics>,
    /// What answers.
    pub kind: Kind,
    /// Where the accounts app is mounted, if it is that one: its addresses carry one-time secrets.
    pub confidential_below: Option<Arc<str>>,
}

impl Member {
    /// What it asks of its visitors; none in a site without identity.
    pub fn access(&self) -> Option<&Access> {
        match &self.kind {
            Kind::Pool(pool) => pool.settings.access.as_ref(),
            Kind::Static(files) => files.access.as_ref(),
            Kind::Redirect(redirect) => redirect.access.as_ref(),
        }
    }
}

/// An app with workers.
pub struct PoolApp {
    /// Its settings in this snapshot.
    pub settings: Pool,
    /// Its line, over all snapshots.
    pub line: Arc<Line>,
    /// What it was told of its visitors under this snapshot.
    pub told: Told,
}

/// A snapshot in force.
pub struct Loaded {
    /// As it was parsed.
    pub snapshot: Snapshot,
    /// Host and path to app.
    pub router: Router,
    /// By name.
    pub apps: HashMap<String, Member>,
    /// Signs what apps are told; none in a site without identity.
    pub issuer: Option<Issuer>,
    /// Answers that are kept; none in a site without a cache.
    pub cache: Option<Arc<Kept>>,
}

/// What cannot be taken over from a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Not newer than the one in force.
    #[error("generation {given} is not newer than {in_force}, which is in force")]
    NotNewer {
        /// Of the refused snapshot.
        given: u64,
        /// Of the one that stays.
        in_force: u64,
    },
    /// The access log cannot be written.
    #[error("the access log cannot be written: {0}")]
    AccessLog(std::io::Error),
    /// A certificate cannot be used.
    #[error("certificates: {0}")]
    Certificates(#[from] TlsError),
}

impl ApplyError {
    /// A stable code for the control channel.
    pub fn code(&self) -> &'static str {
        match self {
            ApplyError::NotNewer { .. } => "edge.snapshot_old",
            ApplyError::AccessLog(_) => "edge.access_log",
            ApplyError::Certificates(_) => "edge.certificate_invalid",
        }
    }
}

/// The running edge.
pub struct Edge {
    loaded: ArcSwap<Loaded>,
    applying: Mutex<Places>,
    /// Open client connections.
    pub connections: Registry,
    /// Requests under way.
    pub flights: Flights,
    /// Event lines for subscribers.
    pub events: broadcast::Sender<Arc<str>>,
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// One line per request.
    pub access_log: AccessLog,
    /// The way out.
    pub drain: Drain,
    /// Who is proven, over all snapshots.
    pub gate: Arc<Gate>,
    /// Another snapshot may follow another hub.
    pub cache_changed: Notify,
    tls: ArcSwapOption<TlsState>,
}

/// What survives snapshots.
#[derive(Default)]
struct Places {
    lines: HashMap<String, Arc<Line>>,
    endpoints: HashMap<Address, Arc<Endpoint>>,
    kept: Option<Arc<Kept>>,
}

impl Edge {
    /// An edge under its first snapshot.
    ///
    /// # Errors
    /// A certificate or the access log cannot be opened.
    pub fn new(snapshot: Snapshot) -> Result<Edge, ApplyError> {
        let metrics = Arc::new(Metrics::default());
        let access_log = AccessLog::stdout(Arc::clone(&metrics.access_log_dropped))
            .map_err(ApplyError::AccessLog)?;
        let tls = certificates(&snapshot, None)?;
        let mut places = Places::default();
        let gate = Arc::new(Gate::default());
        snapshot
            .identity
            .iter()
            .for_each(|identity| gate.follow(identity));
        let loaded = places.load(snapshot, &metrics);
        Ok(Edge {
            loaded: ArcSwap::from_pointee(loaded),
            applying: Mutex::new(places),
            connections: Registry::default(),
            flights: Flights::default(),
            events: broadcast::channel(EVENTS_WAITING_MAX).0,
            metrics,
            access_log,
            drain: Drain::default(),
            gate,
            cache_changed: Notify::new(),
            tls: ArcSwapOption::new(tls),
        })
    }

    /// The snapshot in force, for one request.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// Put a checked snapshot in force.
    ///
    /// # Errors
    /// It is not newer, or its certificates cannot be used; then nothing has changed.
    pub fn apply(&self, snapshot: Snapshot) -> Result<u64, ApplyError> {
        let mut places = self.applying.lock();
        let (given, in_force) = (snapshot.generation, self.loaded.load().snapshot.generation);
        if given <= in_force {
            return Err(ApplyError::NotNewer { given, in_force });
        }
        self.tls
            .store(certificates(&snapshot, self.tls.load_full())?);
        let identity = &snapshot.identity;
        identity.iter().for_each(|it| self.gate.follow(it));
        let loaded = places.load(snapshot, &self.metrics);
        self.loaded.store(Arc::new(loaded));
        drop(places);
        // Accounts may have found a new place.
        self.gate.feed.ask();
        self.cache_changed.notify_one();
        self.announce(&serde_json::json!({"event": "snapshot_applied", "generation": given}));
        Ok(given)
    }

    /// The numbers of identity; none in a site without.
    pub fn identity_numbers(&self) -> Option<Numbers> {
        let loaded = self.loaded();
        let identity = loaded.snapshot.identity.as_ref()?;
        Some(self.gate.numbers(identity))
    }

    /// Every number as Prometheus text.
    pub fn exposition(&self) -> String {
        let identity = self.identity_numbers();
        let identity = identity.map(|numbers| numbers.exposition());
        let cache = self.loaded().cache.as_ref().map(|kept| kept.exposition());
        self.metrics.render() + &identity.unwrap_or_default() + &cache.unwrap_or_default()
    }

    /// What encrypts connections; none without certificates.
    pub fn tls(&self) -> Option<Arc<TlsState>> {
        self.tls.load_full()
    }

    /// Take renewed certificates into use, for ever.
    pub async fn watch_certificates(self: Arc<Self>) {
        loop {
            match self.tls() {
                Some(state) => {
                    let watched = tls::watch(state, tls::WATCH_INTERVAL, |note| {
                        eprintln!("mergepoint-edge: {note}")
                    });
                    // Another snapshot may bring another state.
                    let _ = tokio::time::timeout(TLS_STATE_LOOK, watched).await;
                }
                None => tokio::time::sleep(TLS_STATE_LOOK).await,
            }
        }
    }

    /// Tell every subscriber.
    pub fn announce(&self, event: &serde_json::Value) {
        // Nobody listens: nothing to tell.
        let _ = self.events.send(event.to_string().into());
    }

    /// Every address in use, and those on their way out.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.applying.lock().endpoints.values().cloned().collect()
    }

    /// The endpoint of an address, if there is one.
    pub fn endpoint(&self, address: &Address) -> Option<Arc<Endpoint>> {
        self.applying.lock().endpoints.get(address).cloned()
    }

    /// Every pool of the snapshot in force.
    pub fn pools(&self) -> Vec<Arc<PoolApp>> {
        let loaded = self.loaded();
        let pools = loaded
            .apps
            .values()
            .filter_map(|member| match &member.kind {
                Kind::Pool(pool) => Some(Arc::clone(pool)),
                _ => None,
            });
        pools.collect()
    }
}

/// The certificates of a snapshot, in the state they replace if there is one.
fn certificates(
    snapshot: &Snapshot,
    old: Option<Arc<TlsState>>,
) -> Result<Option<Arc<TlsState>>, TlsError> {
    if snapshot.certificates.is_empty() {
        return Ok(None);
    }
    match old {
        Some(state) => state.replace(&snapshot.certificates).map(|()| Some(state)),
        None => TlsState::new(&snapshot.certificates).map(|state| Some(Arc::new(state))),
    }
}

impl Places {
    /// Join a snapshot to what is there, and let go of what it no longer names.
    fn load(&mut self, snapshot: Snapshot, metrics: &Metrics) -> Loaded {
        metrics.follow(
            snapshot.generation,
            snapshot.apps.keys().map(String::as_str),
        );
        let router = Router::new(&snapshot);
        self.adopt_endpoints(&snapshot);
        let lines = std::mem::take(&mut self.lines);
        let mut apps = HashMap::new();
        for (name, app) in &snapshot.apps {
            let kind = match app {
                App::Pool(pool) => {
                    Kind::Pool(Arc::new(self.join(name, pool, lines.get(name), metrics)))
                }
                App::Static(files) => Kind::Static(Arc::new(files.clone())),
                App::Redirect(redirect) => Kind::Redirect(Arc::new(redirect.clone())),
            };
            let metrics = metrics.app(name).unwrap_or_default();
            let member = Member {
                name: name.as_str().into(),
                metrics,
                kind,
                confidential_below: snapshot
                    .identity
                    .as_ref()
                    .filter(|identity| identity.app == *name)
                    .map(|identity| identity.mount.as_str().into()),
            };
            apps.insert(name.clone(), member);
        }
        // A checked snapshot has a seed of the right length, and nothing else can fail.
        let issuer = snapshot.identity.as_ref().map(Issuer::new);
        let issuer = issuer.and_then(Result::ok);
        Loaded {
            issuer,
            cache: Kept::for_snapshot(&mut self.kept, &snapshot),
            snapshot,
            router,
            apps,
        }
    }

    fn join(
        &mut self,
        name: &str,
        pool: &Pool,
        line: Option<&Arc<Line>>,
        metrics: &Metrics,
    ) -> PoolApp {
        let line = match line {
            Some(line) => Arc::clone(line),
            None => Arc::new(Line::new(
                name,
                pool,
                metrics.app(name).unwrap_or_default(),
                moment(),
            )),
        };
        let known = &self.endpoints;
        let endpoint = |address: &Address| known.get(address).cloned();
        line.update(pool, endpoint, moment());
        self.lines.insert(name.to_owned(), Arc::clone(&line));
        PoolApp {
            settings: pool.clone(),
            line,
            told: Told::default(),
        }
    }

    /// New addresses appear; those not named or draining are retired; those that also hold nothing are forgotten.
    fn adopt_endpoints(&mut self, snapshot: &Snapshot) {
        let mut takes_requests: HashMap<&Address, bool> = HashMap::new();
        for app in snapshot.apps.values() {
            let App::Pool(pool) = app else { continue };
            for slot in &pool.slots {
                *takes_requests.entry(&slot.address).or_default() |= slot.state == SlotState::Ready;
            }
        }
        for (address, takes) in &takes_requests {
            let endpoint = self
                .endpoints
                .entry((*address).clone())
                .or_insert_with(|| new_endpoint(address));
            endpoint.retire(!takes);
        }
        self.endpoints.retain(|address, endpoint| {
            let named = takes_requests.contains_key(address);
            if !named {
                endpoint.retire(true);
            }
            named || endpoint.held() > 0
        });
    }
}

fn new_endpoint(address: &Address) -> Arc<Endpoint> {
    static IDS: AtomicU64 = AtomicU64::new(1);
    Arc::new(Endpoint::new(IDS.fetch_add(1, Relaxed), address.clone()))
}
