//! Questions of the edge to accounts, over the workers of that app.
//!
//! Place: feed.rs, refresh.rs and check.rs -> [call] -> pool/place.rs, upstream
//! Rule:  every call ends within `call_s`; nothing that was sent is sent twice, except the feed, which only reads. The
//!        feed takes no place at a worker: it is awaited by answers that still hold theirs.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use mergepoint_edge_core::choose::Wish;
use mergepoint_edge_core::identity::feed::ANSWER_BYTES_MAX as FEED_BYTES_MAX;
use mergepoint_edge_core::prefix::Mount;
use mergepoint_edge_core::snapshot::PrefixMode;
use percent_encoding::{utf8_percent_encode, NON_ALPHANUMERIC};
use tokio::sync::Semaphore;

use crate::clock::{moment, seconds};
use crate::edge::{Edge, Kind, Loaded, PoolApp};
use crate::pool::place;
use crate::random;
use crate::trouble;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::framing::Step;
use crate::upstream::head::{self, Announced};
use crate::upstream::link::Link;

/// Largest answer to a refresh or a check.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Refreshes at once, and checks at once; more wait, within their time.
pub const CALLS_MAX: usize = 32;

const CALL: HeaderName = HeaderName::from_static("mergepoint-call");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// What accounts answered.
#[derive(Debug)]
pub struct Said {
    /// Its status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

/// Why accounts gave no answer. The texts hold nothing that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The snapshot has no such pool.
    #[error("the accounts app is no pool of this site")]
    NotMounted,
    /// No worker, or none with a place in time.
    #[error("no worker of the accounts app is free")]
    NoWorker,
    /// Nobody accepts connections, or the answer was broken.
    #[error("the accounts app gave no usable answer: {0}")]
    Broken(String),
    /// No answer in time.
    #[error("the accounts app gave no answer within {0:?}")]
    Late(Duration),
}

/// The accounts app as a snapshot names it.
struct Accounts<'a> {
    pool: &'a Arc<PoolApp>,
    mount: &'a str,
    limit: Duration,
}

impl<'a> Accounts<'a> {
    fn of(loaded: &'a Loaded) -> Result<Accounts<'a>, CallError> {
        let identity = loaded.snapshot.identity.as_ref();
        let identity = identity.ok_or(CallError::NotMounted)?;
        match loaded.apps.get(&identity.app).map(|member| &member.kind) {
            Some(Kind::Pool(pool)) => Ok(Accounts {
                pool,
                mount: &identity.mount,
                limit: seconds(identity.call_s),
            }),
            _ => Err(CallError::NotMounted),
        }
    }

    /// The request's head; `path` is below the mount.
    fn encode(&self, method: &Method, call: &'static str, path: &str, about: About<'_>) -> Bytes {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static("mergepoint-edge"),
        );
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CALL, HeaderValue::from_static(call));
        if let Ok(id) = HeaderValue::from_str(about.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        let mount = Mount::new(self.mount).map_or("", |mount| mount.as_str());
        if let (true, Ok(told)) = (
            !mount.is_empty() && self.pool.settings.prefix != PrefixMode::Keep,
            HeaderValue::from_str(mount),
        ) {
            headers.insert(FORWARDED_PREFIX, told);
        }
        let kept = match self.pool.settings.prefix {
            PrefixMode::Strip => "",
            PrefixMode::Host | PrefixMode::Keep => mount,
        };
        let announced = match about.body {
            None => Announced::None,
            Some(body) => {
                let json = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, json);
                Announced::Length(body.len() as u64)
            }
        };
        let mut encoded = BytesMut::new();
        let target = format!("{kept}/{path}");
        head::encode(
            &mut encoded,
            method,
            (target.as_str(), None),
            (&headers, b""),
            announced,
        );
        encoded.extend_from_slice(about.body.unwrap_or_default());
        encoded.freeze()
    }
}

/// What a call says beside its path.
#[derive(Default, Clone, Copy)]
struct About<'a> {
    body: Option<&'a [u8]>,
    request_id: &'a str,
}

/// What happened since `position` of `epoch`.
///
/// # Errors
/// Accounts could not be asked, or did not answer in time.
pub async fn feed(loaded: &Loaded, epoch: &str, position: u64) -> Result<Said, CallError> {
    let accounts = Accounts::of(loaded)?;
    let epoch = utf8_percent_encode(epoch, NON_ALPHANUMERIC);
    let path = format!("edge/feed?epoch={epoch}&after={position}");
    let encoded = accounts.encode(&Method::GET, "feed", &path, About::default());
    let endpoint = sound_endpoint(accounts.pool).ok_or(CallError::NoWorker)?;
    let asked = async {
        // A worker may close an idle link at the very moment of its use: then a new one is tried.
        for repeatable in [true, false] {
            let link = endpoint.link(repeatable, accounts.limit).await;
            let link = link.map_err(|error| CallError::Broken(error.to_string()))?;
            let reused = link.reused;
            let answered = converse(&endpoint, link, &Method::GET, &encoded, FEED_BYTES_MAX).await;
            if answered.is_ok() || !reused {
                return answered;
            }
        }
        Err(CallError::NoWorker)
    };
    within(accounts.limit, asked).await
}

/// A worker of the pool that takes requests and was not found wanting; another one every time.
fn sound_endpoint(pool: &PoolApp) -> Option<Arc<Endpoint>> {
    let mut slots = pool.line.slots(moment());
    slots.retain(|(slot, ejected)| slot.ready && !ejected && !slot.endpoint.is_down());
    let at = usize::try_from(random::bits64() >> 32)
        .unwrap_or(0)
        .checked_rem(slots.len())?;
    Some(slots.swap_remove(at).0.endpoint)
}

/// Ask about one visitor: `call` is `refresh` or `check`, `body` its JSON document.
///
/// # Errors
/// Accounts could not be asked, or did not answer in time.
pub async fn post(
    edge: &Arc<Edge>,
    loaded: &Loaded,
    places: &Semaphore,
    call: &'static str,
    (body, request_id): (&[u8], &str),
) -> Result<Said, CallError> {
    let accounts = Accounts::of(loaded)?;
    let about = About {
        body: Some(body),
        request_id,
    };
    let path = format!("edge/{call}");
    let encoded = accounts.encode(&Method::POST, call, &path, about);
    let patience = Instant::now() + accounts.limit;
    let asked = async {
        let _place = places.acquire().await.map_err(|_| CallError::NoWorker)?;
        loop {
            let wish = Wish {
                sticky: None,
                key: None,
                random: random::bits64(),
            };
            let place = place::take(&accounts.pool.line, wish, &[], patience).await;
            let place = place.map_err(|_| CallError::NoWorker)?;
            let limit = seconds(accounts.pool.settings.timeouts.connect_s);
            let link = match place.endpoint.link(false, limit).await {
                Ok(link) => link,
                Err(error) => {
                    // Nothing was sent: another worker may be there.
                    trouble::unreachable(edge, &place, &error);
                    continue;
                }
            };
            place.endpoint.count_request();
            let answered = converse(
                &place.endpoint,
                link,
                &Method::POST,
                &encoded,
                ANSWER_BYTES_MAX,
            )
            .await;
            match &answered {
                Ok(_) => trouble::succeeded(edge, &place),
                Err(error) => trouble::failed(edge, &place, &error.to_string()),
            }
            return answered;
        }
    };
    within(accounts.limit, asked).await
}

async fn within<T>(
    limit: Duration,
    asked: impl std::future::Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let answered = tokio::time::timeout(limit, asked).await;
    answered.unwrap_or(Err(CallError::Late(limit)))
}

/// Send a request and read its whole answer; the link is kept if it may serve again.
async fn converse(
    endpoint: &Endpoint,
    mut link: Link,
    method: &Method,
    encoded: &[u8],
    bytes_max: usize,
) -> Result<Said, CallError> {
    let broken = |why: String| CallError::Broken(why);
    let io = |error: std::io::Error| CallError::Broken(error.to_string());
    link.send(encoded).await.map_err(io)?;
    let head = link.next_head(method).await.map_err(io)?;
    let mut framing = head.framing;
    let mut body = BytesMut::new();
    loop {
        match framing.step(&mut link.buffer) {
            Err(error) => return Err(broken(error.to_string())),
            Ok(Step::End) => break,
            Ok(Step::Data(data)) if body.len() + data.len() > bytes_max => {
                return Err(broken(format!("it is larger than {bytes_max} bytes")));
            }
            Ok(Step::Data(data)) => body.extend_from_slice(&data),
            Ok(Step::More) => match poll_fn(|cx| link.poll_fill(cx)).await.map_err(io)? {
                0 if framing.may_close() => break,
                0 => return Err(broken("it ended early".to_owned())),
                _ => {}
            },
        }
    }
    if head.reusable && link.buffer.is_empty() {
        endpoint.keep(link);
    }
    Ok(Said {
        status: head.status,
        body: body.freeze(),
    })
}
