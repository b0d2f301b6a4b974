//! The front door of a site: listeners, pools, static files, control.
//!
//! Place: sockets -> [server] -> workers; decisions come from `mergepoint-edge-core`
//! Rule:  no policy here; the snapshot says what happens, this crate makes it happen.

// The process, from its start to its end.
pub mod drain;
pub mod edge;
pub mod encrypted;
pub mod inherit;
pub mod serving;
pub mod startup;
pub mod steering;

// A request, in the order it travels.
pub mod admin;
pub mod answer;
pub mod attempt;
pub mod cache;
pub mod client;
pub mod exchange;
pub mod flight;
pub mod identity;
pub mod outgoing;
pub mod pool;
pub mod proxy;
pub mod record;
pub mod refuse;
pub mod reply;
pub mod trouble;
pub mod tunnel;
pub mod upstream;

// Leaves.
pub mod body;
pub mod clock;
pub mod random;

// Parts that answer, encrypt, count or steer; each knows nothing of the data path.
pub mod access_log;
pub mod compress;
pub mod control;
pub mod error_page;
pub mod files;
pub mod metrics;
pub mod proxy_protocol;
pub mod tls;
