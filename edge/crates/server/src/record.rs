//! What happened to one request, written down when it is over: log line, numbers, and the end of its flight.
//!
//! Place: exchange.rs begins one -> [record] -> answer.rs carries it to the last byte
//! Rule:  dropping it is the end of the request, whatever the reason; nothing is counted twice or not at all.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{self, HeaderMap, HeaderValue};
use http::{request::Parts, Method, StatusCode, Uri, Version};
use mergepoint_edge_core::identity::Claims;
use mergepoint_edge_core::snapshot::AccessLog as Format;
use mergepoint_edge_core::Moment;

use crate::access_log::{self, Entry};
use crate::client::connection::Connection;
use crate::clock;
use crate::edge::{Edge, Member};
use crate::flight::Flight;
use crate::identity;
use crate::metrics::AppMetrics;

/// Status of a request whose client left before the answer, as nginx made it known.
const CLIENT_GONE: u16 = 499;

/// One request from its head to its last byte.
pub struct Record {
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    format: Format,
    at: SystemTime,
    started: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    /// The client, past trusted proxies.
    pub peer: Option<IpAddr>,
    /// Who was proven.
    pub visitor: Option<Arc<Claims>>,
    /// Cookies of a renewed session, for whatever the answer will be.
    pub session_cookies: Option<Arc<[HeaderValue]>>,
    /// The host as it was routed.
    pub host: String,
    /// `X-Request-Id`.
    pub request_id: String,
    /// The trace id of `traceparent`.
    pub trace_id: Option<u128>,
    /// Of the answer; none until there is one.
    pub status: Option<StatusCode>,
    /// Bytes of the answer handed to the client's connection.
    pub sent_bytes: u64,
    /// Bytes of the request's body.
    pub received: Arc<AtomicU64>,
    /// Time to the worker's head.
    pub upstream: Option<Duration>,
    /// Its entry among the requests under way.
    pub flight: Option<Arc<Flight>>,
    flight_key: usize,
    app: Option<Arc<AppMetrics>>,
    /// The visitor came over https://, here or at a trusted proxy.
    pub secure: bool,
    /// The request belongs to the operator and is not logged.
    pub silent: bool,
}

impl Record {
    /// A request that begins now.
    pub fn new(
        edge: &Arc<Edge>,
        connection: &Arc<Connection>,
        format: Format,
        parts: &Parts,
    ) -> Record {
        let kept = |name| {
            if format == Format::Off {
                None
            } else {
                parts.headers.get(name).cloned()
            }
        };
        Record {
            edge: Arc::clone(edge),
            connection: Arc::clone(connection),
            format,
            at: SystemTime::now(),
            started: Instant::now(),
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            user_agent: kept(header::USER_AGENT),
            referer: kept(header::REFERER),
            peer: connection.peer().map(|peer| peer.ip()),
            visitor: None,
            session_cookies: None,
            host: String::new(),
            request_id: String::new(),
            trace_id: None,
            status: None,
            sent_bytes: 0,
            received: Arc::default(),
            upstream: None,
            flight: None,
            flight_key: 0,
            app: None,
            secure: false,
            silent: false,
        }
    }

    /// When its head arrived: in Unix seconds, and as decisions want it. For what is decided before anything is waited
    /// for, so that no clock is read again.
    pub fn began(&self) -> (f64, Moment) {
        (clock::unix_s_of(self.at), clock::moment_of(self.started))
    }

    /// It was routed to an app.
    pub fn routed(&mut self, member: &Member, path: &str) -> Arc<Flight> {
        member.metrics.in_flight.inc();
        self.app = Some(Arc::clone(&member.metrics));
        let app = Arc::clone(&member.name);
        let told = member.confidential_below.as_deref().map(|mount| {
            let told = access_log::confidential(path, mount);
            // Whatever is no address any more tells nothing either.
            self.uri = told.parse().unwrap_or_default();
            self.referer = None;
            told
        });
        let path = told.as_deref().unwrap_or(path);
        let flight = Arc::new(Flight::new(&self.request_id, app, &self.method, path));
        self.flight_key = self.edge.flights.enter(Arc::clone(&flight));
        self.flight = Some(Arc::clone(&flight));
        flight
    }

    /// Put the request id on an answer, and the cookies of a renewed session.
    pub fn mark(&self, headers: &mut HeaderMap) {
        if let Some(cookies) = &self.session_cookies {
            identity::answer::renew(headers, cookies);
        }
        if self.request_id.is_empty() {
            return;
        }
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert("x-request-id", id);
        }
    }

    fn log(&self, format: access_log::Format) {
        let flight = self.flight.as_deref();
        self.edge.access_log.log(
            format,
            &Entry {
                at: self.at,
                peer: self.peer,
                user: self.visitor.as_ref().map(|visitor| visitor.user.as_str()),
                method: self.method.as_str(),
                host: &self.host,
                path: self.uri.path(),
                query: self.uri.query(),
                protocol: protocol(self.version),
                status: self.status.map_or(CLIENT_GONE, |status| status.as_u16()),
                sent_bytes: self.sent_bytes,
                received_bytes: self.received.load(Relaxed),
                app: flight.map(|flight| &*flight.app),
                slot: flight.and_then(Flight::slot),
                request_id: &self.request_id,
                trace_id: self.trace_id,
                duration: self.started.elapsed(),
                upstream: self.upstream,
                user_agent: self.user_agent.as_ref().map(HeaderValue::as_bytes),
                referer: self.referer.as_ref().map(HeaderValue::as_bytes),
            },
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.connection.end();
        if let Some(metrics) = &self.app {
            metrics.in_flight.dec();
            if let Some(status) = self.status {
                metrics.answered(status, self.started.elapsed());
            }
            metrics.received_bytes.add(self.received.load(Relaxed));
            metrics.sent_bytes.add(self.sent_bytes);
        }
        if self.flight.is_some() {
            self.edge.flights.leave(self.flight_key);
        }
        match self.format {
            _ if self.silent => {}
            Format::Json => self.log(access_log::Format::Json),
            Format::Combined => self.log(access_log::Format::Combined),
            Format::Off => {}
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP",
    }
}
