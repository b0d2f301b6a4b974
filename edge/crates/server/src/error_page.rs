//! The answers the edge gives itself when no app does: a page, problem details, or one line.
//!
//! Place:  data path, files -> [error_page] -> the visitor
//! Rule:   pure; everything is escaped, nothing is loaded, production tells nothing of the inside.

mod page;

use std::borrow::Cow;

use http::header::{self, HeaderValue};
use http::{HeaderName, Response, StatusCode};
use mergepoint_edge_core::accept::ErrorForm;
use mergepoint_edge_core::snapshot::{Failure, Mode};
use serde_json::{json, Map, Value};

use crate::body::{full, Body};

/// Why there is no answer from an app, and what to do about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem<'a> {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable name of the problem, such as `edge.no_slot`.
    pub code: &'a str,
    /// The app it happened in.
    pub app: Option<&'a str>,
    /// One line; empty for the status's own.
    pub title: Cow<'a, str>,
    /// What happened, in a sentence; empty for none. Kept from visitors in production when the
    /// fault is ours (a 5xx).
    pub detail: Cow<'a, str>,
    /// What the supervisor knows of the cause; never shown in production.
    pub failure: Option<&'a Failure>,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// When to come back.
    pub retry_after_s: Option<u64>,
}

impl<'a> Problem<'a> {
    /// A problem of which only status, code and request are known.
    pub fn new(status: StatusCode, code: &'a str, request_id: &'a str) -> Self {
        Self {
            status,
            code,
            app: None,
            title: Cow::Borrowed(""),
            detail: Cow::Borrowed(""),
            failure: None,
            request_id,
            retry_after_s: None,
        }
    }

    /// The problem as a visitor of this mode may know it.
    fn shown(&self, mode: Mode) -> Self {
        let hidden = mode == Mode::Production;
        let ours = self.status.is_server_error();
        let title = if self.title.is_empty() || hidden && ours {
            Cow::Borrowed(title(self.status))
        } else {
            self.title.clone()
        };
        Self {
            title,
            detail: if hidden && ours {
                Cow::Borrowed("")
            } else {
                self.detail.clone()
            },
            app: self.app.filter(|_| !hidden),
            failure: self.failure.filter(|_| !hidden),
            ..self.clone()
        }
    }
}

/// The whole answer to a request that met `problem`.
pub fn render(problem: &Problem<'_>, form: ErrorForm, mode: Mode) -> Response<Body> {
    let shown = problem.shown(mode);
    let (kind, text) = match form {
        ErrorForm::Html => ("text/html; charset=utf-8", page::html(&shown, mode)),
        ErrorForm::Json => (
            "application/problem+json",
            details(&shown).to_string() + "\n",
        ),
        ErrorForm::Text => ("text/plain; charset=utf-8", line(&shown)),
    };
    let length = text.len();
    let mut response = Response::new(full(text));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, page::policy());
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A problem is of this moment and this visitor, and its form depends on `Accept`.
const FIXED: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::VARY, "accept"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
];

/// RFC 9457 problem details; members beyond the standard ones are ours.
fn details(shown: &Problem<'_>) -> Value {
    let mut fields = Map::new();
    fields.insert("type".into(), json!("about:blank"));
    fields.insert("title".into(), json!(shown.title));
    fields.insert("status".into(), json!(shown.status.as_u16()));
    if !shown.detail.is_empty() {
        fields.insert("detail".into(), json!(shown.detail));
    }
    fields.insert("code".into(), json!(shown.code));
    fields.insert("request_id".into(), json!(shown.request_id));
    if let Some(app) = shown.app {
        fields.insert("app".into(), json!(app));
    }
    if let Some(failure) = shown.failure {
        let (place, next) = (&failure.r#where, &failure.next);
        let known = json!({"reason": failure.reason, "where": place, "next": next});
        fields.insert("failure".into(), known);
    }
    if let Some(seconds) = shown.retry_after_s {
        fields.insert("retry_after_s".into(), json!(seconds));
    }
    Value::Object(fields)
}

/// One paragraph for a terminal.
fn line(shown: &Problem<'_>) -> String {
    let mut text = format!("{} {}", shown.status.as_u16(), printable(&shown.title));
    let mut add = |label: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("\n{label}{}", printable(value)));
        }
    };
    add("", &shown.detail);
    add("app: ", shown.app.unwrap_or(""));
    if let Some(failure) = shown.failure {
        add("reason: ", &failure.reason);
        add("where: ", failure.r#where.as_deref().unwrap_or(""));
        add("next: ", failure.next.as_deref().unwrap_or(""));
    }
    add("request: ", shown.request_id);
    text.push('\n');
    text
}

/// Control bytes would be obeyed by a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// What a status means to somebody who does not know its number.
fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "This request could not be understood",
        403 => "You may not see this",
        404 => "There is nothing here",
        405 => "This cannot be done here",
        408 => "The request took too long to arrive",
        411 => "The request does not say how long it is",
        413 => "That is too large",
        414 => "This address is too long",
        417 | 501 => "This kind of request is not supported",
        421 => "This site is not served here",
        429 => "Too many requests",
        431 => "The request's headers are too large",
        500 => "Something went wrong",
        502 => "This part of the site gave no proper answer",
        503 => "This part of the site is not available right now",
        504 => "This part of the site took too long",
        _ => status.canonical_reason().unwrap_or("Something went wrong"),
    }
}

#[cfg(test)]
mod tests;
