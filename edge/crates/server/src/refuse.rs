//! Answers the edge gives itself because a request could not be passed on.
//!
//! Place: exchange.rs, proxy.rs -> [refuse] -> error_page.rs
//! Rule:  one constructor per reason; each says what happened, which app, and what to do.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use mergepoint_edge_core::accept::ErrorForm;
use mergepoint_edge_core::snapshot::{Failure, Mode};
use mergepoint_edge_core::strict::Refusal;

use crate::body::Body;
use crate::client::watch::Oddity;
use crate::error_page::{self, Problem};
use crate::upstream::upload::UploadError;

/// Why a request gets an error from the edge.
#[derive(Debug)]
pub struct Refused {
    /// Of the answer.
    pub status: StatusCode,
    /// Stable, for metrics and tools.
    pub code: &'static str,
    /// One line.
    pub title: &'static str,
    /// For `Retry-After`.
    pub retry_after_s: Option<u64>,
    /// The connection is not used again.
    pub close: bool,
    about: Box<About>,
}

/// The longer part of a refusal.
#[derive(Debug)]
struct About {
    /// What happened.
    detail: String,
    /// Why the app has no worker, as its supervisor found out.
    failure: Option<Failure>,
    /// The app, once routed.
    app: Option<String>,
    /// Fields of the answer beside the usual ones.
    fields: Vec<(HeaderName, HeaderValue)>,
    /// The form that the refusal insists on, whatever the client accepts.
    form: Option<ErrorForm>,
}

impl Refused {
    /// A refusal without anything special.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: String,
    ) -> Refused {
        let about = Box::new(About {
            detail,
            failure: None,
            app: None,
            fields: Vec::new(),
            form: None,
        });
        Refused {
            status,
            code,
            title,
            retry_after_s: None,
            close: false,
            about,
        }
    }

    /// As the error page wants it.
    fn problem<'a>(&'a self, request_id: &'a str) -> Problem<'a> {
        Problem {
            status: self.status,
            code: self.code,
            app: self.about.app.as_deref(),
            title: self.title.into(),
            detail: self.about.detail.as_str().into(),
            failure: self.about.failure.as_ref(),
            request_id,
            retry_after_s: self.retry_after_s,
        }
    }

    /// The answer in full: `form` is what the client would like.
    pub fn render(&self, request_id: &str, form: ErrorForm, mode: Mode) -> Response<Body> {
        let form = self.about.form.unwrap_or(form);
        let mut response = error_page::render(&self.problem(request_id), form, mode);
        for (name, value) in &self.about.fields {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response
    }

    /// Insist on a form.
    pub fn in_form(mut self, form: ErrorForm) -> Refused {
        self.about.form = Some(form);
        self
    }

    /// Add a field to the answer.
    pub fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Refused {
        self.about.fields.push((name, value));
        self
    }

    /// Name the app.
    pub fn of(mut self, app: &str) -> Refused {
        self.about.app = Some(app.to_owned());
        self
    }

    /// What the strict layer says.
    pub fn strict(refusal: Refusal) -> Refused {
        let close = refusal.close;
        let refused = Refused::new(
            refusal.status,
            refusal.code,
            "The request is not acceptable",
            refusal.message,
        );
        Refused { close, ..refused }
    }

    /// What the watcher saw.
    pub fn odd(oddity: Oddity) -> Refused {
        let (code, detail) = (oddity.code(), oddity.message().to_owned());
        let refused = Refused::new(
            StatusCode::BAD_REQUEST,
            code,
            "The request is not acceptable",
            detail,
        );
        Refused {
            close: true,
            ..refused
        }
    }

    /// No route.
    pub fn not_found(host: &str, path: &str) -> Refused {
        let detail = format!("No app of this site answers {path} on {host}.");
        Refused::new(
            StatusCode::NOT_FOUND,
            "edge.no_route",
            "Nothing lives here",
            detail,
        )
    }

    /// There is no file to send.
    pub fn file(refusal: crate::files::Refusal) -> Refused {
        let crate::files::Refusal {
            status,
            code,
            title,
            detail,
        } = refusal;
        Refused::new(status, code, title, detail)
    }

    /// The queue is full, or the wait was too long.
    pub fn busy(retry_after_s: u64) -> Refused {
        let detail =
            "Every worker of the app is busy and its queue has no place left in time.".to_owned();
        let refused = Refused::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "edge.busy",
            "The app is busy",
            detail,
        );
        Refused {
            retry_after_s: Some(retry_after_s),
            ..refused
        }
    }

    /// The app has no worker at all.
    pub fn failed(failure: Option<Failure>) -> Refused {
        let detail = "The app has no running worker.".to_owned();
        let mut refused = Refused::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "edge.app_failed",
            "The app is not running",
            detail,
        );
        refused.about.failure = failure;
        refused.retry_after_s = Some(5);
        refused
    }

    /// No worker could be reached.
    pub fn unreachable(detail: String) -> Refused {
        let refused = Refused::new(
            StatusCode::BAD_GATEWAY,
            "edge.unreachable",
            "The app cannot be reached",
            detail,
        );
        Refused {
            retry_after_s: Some(1),
            ..refused
        }
    }

    /// The worker's answer was broken or missing.
    pub fn bad_gateway(detail: String) -> Refused {
        Refused::new(
            StatusCode::BAD_GATEWAY,
            "edge.bad_answer",
            "The app gave no usable answer",
            detail,
        )
    }

    /// The request overran its time.
    pub fn late(limit: Duration) -> Refused {
        let detail = format!("The app did not answer within {} s.", limit.as_secs_f64());
        Refused::new(
            StatusCode::GATEWAY_TIMEOUT,
            "edge.request_timeout",
            "The app took too long",
            detail,
        )
    }

    /// The body is larger than the app takes.
    pub fn too_large(bytes_max: u64) -> Refused {
        let detail = format!("The app takes request bodies of at most {bytes_max} bytes.");
        let refused = Refused::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "edge.body_too_large",
            "The request is too large",
            detail,
        );
        Refused {
            close: true,
            ..refused
        }
    }

    /// The upload failed on the client's side.
    pub fn upload(error: &UploadError) -> Refused {
        let (status, code) = match error {
            UploadError::TooLarge(bytes_max) => return Refused::too_large(*bytes_max),
            UploadError::Idle(_) => (StatusCode::REQUEST_TIMEOUT, "edge.body_timeout"),
            UploadError::Client(_) => (StatusCode::BAD_REQUEST, "edge.body_invalid"),
        };
        let refused = Refused::new(
            status,
            code,
            "The request did not arrive whole",
            error.to_string(),
        );
        Refused {
            close: true,
            ..refused
        }
    }

    /// A fault of the edge itself.
    pub fn internal() -> Refused {
        let detail = "The edge failed on this request; its log says more.".to_owned();
        Refused::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "edge.internal",
            "Something went wrong",
            detail,
        )
    }
}
