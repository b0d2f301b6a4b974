//! What somebody who may not pass is answered, in the words of this edge.
//!
//! Place: admit.rs -> [refusal] -> refuse.rs, error_page.rs; which status and which fields is core's `challenge`
//! Rule:  the answer belongs to this request alone; it names what was needed and who asked, never a credential.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response};
use mergepoint_edge_core::accept::ErrorForm;
use mergepoint_edge_core::identity::challenge::{answer, Answer, Asked, Reason};
use mergepoint_edge_core::identity::{Claims, Requirement};

use crate::body::Body;
use crate::edge::Loaded;
use crate::exchange::{location, Checked};
use crate::refuse::Refused;

/// What the answer depends on.
const VARY: HeaderValue =
    HeaderValue::from_static("cookie, authorization, sec-fetch-mode, sec-fetch-site, origin");

/// A request that may not pass.
pub struct Stopped<'a> {
    /// The snapshot it started under.
    pub loaded: &'a Loaded,
    /// What is known of it.
    pub checked: &'a Checked,
    /// Its method.
    pub method: &'a Method,
    /// Its fields.
    pub headers: &'a HeaderMap,
}

impl Stopped<'_> {
    /// The answer: a way to the login, or a refusal with this detail.
    ///
    /// # Errors
    /// The refusal.
    pub fn answer(&self, reason: Reason, detail: String) -> Result<Response<Body>, Refused> {
        let target = self.checked.target.to_string();
        let asked = Asked {
            method: self.method,
            headers: self.headers,
            target: &target,
        };
        let snapshot = &self.loaded.snapshot;
        let mount = snapshot
            .identity
            .as_ref()
            .map_or("/", |it| it.mount.as_str());
        let answer = answer(reason, &asked, &snapshot.site, mount);
        match answer.location.as_ref().map(HeaderValue::to_str) {
            Some(Ok(to)) => {
                let mut response = location(answer.status, to)?;
                let headers = response.headers_mut();
                let life = HeaderValue::from_static("no-store");
                headers.insert(header::CACHE_CONTROL, life);
                headers.insert(header::VARY, VARY);
                Ok(response)
            }
            _ => Err(refused(reason, answer, detail)),
        }
    }
}

fn refused(reason: Reason, answer: Answer, detail: String) -> Refused {
    let form = match answer.page {
        true => ErrorForm::Html,
        false => ErrorForm::Json,
    };
    let mut refused = Refused::new(answer.status, answer.code, title(reason), detail)
        .in_form(form)
        .with_field(header::VARY, VARY);
    refused.retry_after_s = answer.retry_after_s;
    for challenge in answer.challenges {
        refused = refused.with_field(header::WWW_AUTHENTICATE, challenge);
    }
    refused
}

fn title(reason: Reason) -> &'static str {
    match reason {
        Reason::Required => "You need to log in for this",
        Reason::Forbidden => "You may not do this",
        Reason::Credential => "These credentials are not valid",
        Reason::TooMany { .. } => "There were too many tries",
        Reason::Origin => "This request came from another site",
        Reason::Unavailable => "Nobody can log in at the moment",
    }
}

/// What a reason without further circumstances means.
pub fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::Required => "Only those who are logged in may do this.",
        Reason::Forbidden => "This may be done by nobody here.",
        Reason::Credential => "The token is wrong, has ended, or belongs to somebody else.",
        Reason::TooMany { .. } => "Wrong credentials came too often from this place.",
        Reason::Origin => {
            "Another site made the browser send this. Open the page here and try again."
        }
        Reason::Unavailable => "The accounts app does not answer, so nobody can be recognised.",
    }
}

/// What would have been needed, and who asked.
pub fn forbidden(terms: &[Requirement], visitor: Option<&Claims>) -> String {
    let terms: Vec<String> = terms.iter().map(ToString::to_string).collect();
    let who = match visitor {
        Some(claims) => format!("you are {}", claims.user),
        None => "you are not logged in".to_owned(),
    };
    format!("This needs {}; {who}.", terms.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_every_way_that_was_open() {
        let terms = [Requirement::Role("admin".into()), Requirement::Service];
        assert_eq!(
            forbidden(&terms, None),
            "This needs role:admin or service; you are not logged in."
        );
    }
}
