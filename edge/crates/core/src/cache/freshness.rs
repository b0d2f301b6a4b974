//! How old a kept answer is, and how long it lives (RFC 9111 section 4.2, RFC 5861).
//!
//! Place: computed when an answer is kept, asked at every use.
//! Rule: times of others are read once; afterwards only our own monotonic clock counts.

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName};

use super::control::{delta_s, Directives, DELTA_S_MAX};
use crate::Moment;

/// When an answer was asked for and came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The request was sent.
    pub asked: Moment,
    /// The head arrived.
    pub came: Moment,
    /// The head arrived, as others date it.
    pub wall: SystemTime,
}

/// The ages at which something changes for a kept answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When the age counts from.
    pub since: Moment,
    /// Its age then.
    pub age: Duration,
    /// Fresh below this age.
    pub fresh: Duration,
    /// Beyond it, usable for so long while a new one is fetched.
    pub while_revalidate: Duration,
    /// Beyond it, usable for so long when no new one can be had.
    pub if_error: Duration,
    /// Every use must be confirmed by the app.
    pub always_ask: bool,
    /// Never used stale, whatever else allows it.
    pub never_stale: bool,
}

/// What may be done with a kept answer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Use it.
    Fresh,
    /// Use it and fetch a new one meanwhile.
    WhileRevalidate,
    /// Ask; if no answer can be had, use it.
    IfError,
    /// Ask.
    Ask,
}

impl Life {
    /// Its age at `now`.
    pub fn age_at(&self, now: Moment) -> Duration {
        self.age.saturating_add(now.saturating_sub(self.since))
    }

    /// What may be done with it at `now`.
    pub fn at(&self, now: Moment) -> Use {
        if self.always_ask {
            return Use::Ask;
        }
        let age = self.age_at(now);
        if age < self.fresh {
            return Use::Fresh;
        }
        let stale = age - self.fresh;
        match () {
            () if self.never_stale => Use::Ask,
            () if stale < self.while_revalidate => Use::WhileRevalidate,
            () if stale < self.if_error => Use::IfError,
            () => Use::Ask,
        }
    }

    /// Seconds of freshness left, negative once it is stale: `ttl` of RFC 9211.
    pub fn ttl_s(&self, now: Moment) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.fresh) - seconds(self.age_at(now))
    }
}

/// How long an answer lives by its own words; none when it says nothing.
pub fn lifetime(headers: &HeaderMap, said: &Directives, wall: SystemTime) -> Option<Duration> {
    if let Some(seconds) = said.s_maxage_s.or(said.max_age_s) {
        return Some(Duration::from_secs(seconds));
    }
    if said.targeted || !headers.contains_key(header::EXPIRES) {
        return None;
    }
    let date = date_of(headers, &header::DATE).unwrap_or(wall);
    // A field that cannot be read has expired already (RFC 9111 section 5.3).
    let expires = date_of(headers, &header::EXPIRES);
    let left = expires.and_then(|at| at.duration_since(date).ok());
    Some(
        left.unwrap_or_default()
            .min(Duration::from_secs(DELTA_S_MAX)),
    )
}

/// How old an answer was when it came (RFC 9111 section 4.2.3).
pub fn initial_age(headers: &HeaderMap, arrival: Arrival) -> Duration {
    let date = date_of(headers, &header::DATE);
    let apparent = date.and_then(|date| arrival.wall.duration_since(date).ok());
    // A date has whole seconds, so up to one of them is no age.
    let apparent = Duration::from_secs(apparent.unwrap_or_default().as_secs());
    let delay = arrival.came.saturating_sub(arrival.asked);
    let told = Duration::from_secs(told_age_s(headers));
    apparent.max(told.saturating_add(delay))
}

/// `Age` in seconds; one that cannot be read says nothing, of several the first counts.
fn told_age_s(headers: &HeaderMap) -> u64 {
    let Some(value) = headers.get(header::AGE) else {
        return 0;
    };
    let first = value.to_str().unwrap_or("").split(',').next();
    first.map(str::trim).and_then(delta_s).unwrap_or(0)
}

/// A date field; none when it is absent, not once, or no date.
pub fn date_of(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}
