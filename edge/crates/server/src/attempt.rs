//! One try of a request at one worker.
//!
//! Place: proxy.rs -> [attempt] -> upstream/ask.rs
//! Rule:  when the client leaves while a worker that cannot be interrupted works, the place stays taken until the
//!        worker has answered or its time is up: a freed place would pile new work on a busy worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::Method;
use mergepoint_edge_core::retry::Progress;
use mergepoint_edge_core::snapshot::Abandon;

use crate::clock::{moment, seconds};
use crate::edge::{Edge, PoolApp};
use crate::flight::Flight;
use crate::pool::place::Place;
use crate::refuse::Refused;
use crate::trouble;
use crate::upstream::ask::{ask, AskError, Doubt, Sending};
use crate::upstream::head::{Announced, AnswerHead};
use crate::upstream::link::Link;
use crate::upstream::upload::Upload;

/// What every try of one request has in common.
pub struct Request {
    /// The running edge.
    pub edge: Arc<Edge>,
    /// The app.
    pub app: Arc<PoolApp>,
    /// The encoded head.
    pub encoded: Bytes,
    /// How the body is framed.
    pub announced: Announced,
    /// The method.
    pub method: Method,
    /// The request among those under way.
    pub flight: Arc<Flight>,
}

/// A worker answered.
pub struct Answered {
    /// Held until the body is through.
    pub place: Place,
    /// Where the body comes from.
    pub link: Link,
    /// What may still have to be sent.
    pub sending: Sending,
    /// What it said.
    pub head: AnswerHead,
    /// Time to the head.
    pub took: Duration,
}

/// A worker did not answer.
pub struct Failed {
    /// How far it came; none when another try is out of the question.
    pub progress: Option<Progress>,
    /// What the client is told if there is no other try.
    pub refused: Refused,
    /// The next try was allowed and paid for.
    pub paid: bool,
}

/// Held while a worker works; dropped early when the client leaves.
struct Asking<'a> {
    request: &'a Request,
    held: Option<(Place, Link, Sending)>,
    started: Instant,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Some((place, link, sending)) = self.held.take() else {
            return;
        };
        let settings = &self.request.app.settings;
        if settings.abandon == Abandon::Finish && sending.is_complete() {
            let limit = seconds(settings.timeouts.request_s).saturating_sub(self.started.elapsed());
            let request = self.request;
            tokio::spawn(let_finish(
                Arc::clone(&request.edge),
                Arc::clone(&request.flight),
                request.method.clone(),
                (place, link),
                limit,
            ));
        }
    }
}

/// Send the request over `link` and wait for the head of the answer. When the worker becomes suspect meanwhile,
/// `leaves` decides whether the request goes elsewhere, told whether its body can be sent again.
///
/// # Errors
/// The worker gave none, or the client's side failed.
pub async fn attempt(
    request: &Request,
    place: Place,
    link: Link,
    upload: &mut Upload,
    leaves: impl FnMut(bool) -> bool,
) -> Result<Answered, Failed> {
    let sending = Sending::new(BytesMut::from(&request.encoded[..]), request.announced);
    let mut asking = Asking {
        request,
        held: Some((place, link, sending)),
        started: Instant::now(),
    };
    let limit = seconds(request.app.settings.timeouts.request_s);
    let asked = match asking.held.as_mut() {
        Some((place, link, sending)) => {
            place.endpoint.count_request();
            let doubt = Doubt {
                suspected: place.endpoint.suspected(),
                leaves,
            };
            ask(link, sending, upload, &request.method, limit, doubt).await
        }
        None => {
            return Err(Failed {
                progress: None,
                refused: Refused::internal(),
                paid: false,
            })
        }
    };
    let took = asking.started.elapsed();
    let Some((place, link, sending)) = asking.held.take() else {
        return Err(Failed {
            progress: None,
            refused: Refused::internal(),
            paid: false,
        });
    };
    match asked {
        Ok(head) => {
            place.endpoint.measure(took);
            if head.status.is_server_error() {
                place.endpoint.count_error();
            }
            trouble::succeeded(&request.edge, &place);
            Ok(Answered {
                place,
                link,
                sending,
                head,
                took,
            })
        }
        Err(error) => Err(failed(request, &place, error, link.reused)),
    }
}

fn failed(request: &Request, place: &Place, error: AskError, reused: bool) -> Failed {
    let edge = &request.edge;
    match error {
        AskError::Upload(error) => Failed {
            progress: None,
            refused: Refused::upload(&error),
            paid: false,
        },
        AskError::Moved => Failed {
            progress: Some(Progress::NoAnswer),
            refused: Refused::bad_gateway("The app's worker is stuck.".to_owned()),
            paid: true,
        },
        AskError::Late(limit) => {
            trouble::late(edge, place, &request.flight, limit);
            Failed {
                progress: None,
                refused: Refused::late(limit),
                paid: false,
            }
        }
        AskError::Head(error) => {
            trouble::failed(edge, place, &error.to_string());
            Failed {
                progress: Some(Progress::Answering),
                refused: Refused::bad_gateway(error.to_string()),
                paid: false,
            }
        }
        AskError::Closed {
            sent,
            answered,
            error,
        } => {
            let progress = match (sent, answered) {
                (_, true) => Progress::Answering,
                (true, false) => Progress::NoAnswer,
                (false, false) => Progress::NotSent,
            };
            // A link that was idle may have been closed at the very moment of its use: that is no failure.
            if !reused || progress == Progress::Answering {
                trouble::failed(edge, place, &error.to_string());
            }
            let detail = format!("The app's worker closed the connection: {error}.");
            Failed {
                progress: Some(progress),
                refused: Refused::bad_gateway(detail),
                paid: false,
            }
        }
    }
}

/// Keep a place for a worker that works for a client who has gone.
async fn let_finish(
    edge: Arc<Edge>,
    flight: Arc<Flight>,
    method: Method,
    held: (Place, Link),
    limit: Duration,
) {
    let (place, mut link) = held;
    let finished = tokio::time::timeout(limit, link.next_head(&method)).await;
    if finished.is_err() {
        trouble::late(&edge, &place, &flight, limit);
    }
    place.line.pump(moment());
}
