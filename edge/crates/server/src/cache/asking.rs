//! A request as the cache sees it: under which keys its answer may lie, and for whom one of it may be kept.
//!
//! Place: serve.rs makes one per request -> [asking]
//! Rule:  whoever is proven, or brings what the app did not name, is given nothing that was made for others, unless it
//!        was made for everybody.

use std::sync::Arc;

use http::header;
use http::request::Parts;
use mergepoint_edge_core::cache::control::Scope;
use mergepoint_edge_core::cache::cookies::Cookies;
use mergepoint_edge_core::cache::key::{Key, Place, Who};
use mergepoint_edge_core::cache::storing::{Plan, Rules};
use mergepoint_edge_core::cache::tags::Tag;
use mergepoint_edge_core::choose::Rules as Choice;
use mergepoint_edge_core::snapshot::CacheMode;
use mergepoint_edge_core::sticky;

use super::Keeps;
use crate::clock::seconds;
use crate::exchange::Checked;
use crate::proxy::Way;

/// A request as the cache sees it.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The tag of its address.
    pub address: Tag,
    /// Where an answer may lie; true: only one that was made for everybody.
    pub keys: Vec<(Key, bool)>,
    /// Under which key an answer without a scope of its own is kept; none: it is not.
    pub own: Option<Key>,
    /// It carries a credential or a cookie that the app did not name.
    pub apart: bool,
    /// It carries a cookie that the app did not name.
    pub unknown_cookie: bool,
    /// Somebody was proven.
    pub proven: bool,
    /// What the site says of the app.
    pub rules: Rules,
}

impl Asking {
    /// What the cache makes of a request.
    pub fn new(way: &Way<'_>, keeps: &Keeps<'_>, parts: &Parts, checked: &Checked) -> Asking {
        let headers = &parts.headers;
        let settings = &way.app.settings;
        let ours = Choice::is_sticky(settings).then(|| sticky::cookie_name(way.found.app));
        let cookies = Cookies::of(headers, &keeps.app.cookies, ours.as_deref());
        let apart = cookies.unknown || headers.contains_key(header::AUTHORIZATION);
        let host = checked.origin.host.text();
        let place = place(way.found.app, &host, checked);
        let rules = Rules {
            auto: keeps.app.mode == CacheMode::Auto,
            ttl: seconds(keeps.app.ttl_s),
            stale: seconds(keeps.app.stale_s),
            scope: keeps.app.scope,
        };
        let visitor = checked.visitor.as_deref();
        let anybody = place.key(&cookies, &Who::Anybody);
        let mut keys = Vec::with_capacity(3);
        if visitor.is_some() && !apart {
            let each = [Scope::Subject, Scope::Roles].into_iter();
            let each = each.filter_map(|scope| Who::under(scope, visitor));
            keys.extend(each.map(|who| (place.key(&cookies, &who), false)));
        }
        keys.push((anybody, apart || visitor.is_some()));
        let own = Who::under(rules.scope, visitor);
        let own = own.filter(|_| !apart).map(|who| place.key(&cookies, &who));
        Asking {
            address: place.address(),
            keys,
            own,
            apart,
            unknown_cookie: cookies.unknown,
            proven: visitor.is_some(),
            rules,
        }
    }
}

impl Asking {
    /// Under which key an answer is kept; none when it is for nobody else.
    pub fn key_of(&self, plan: &Plan) -> Option<Key> {
        // As `new` put them: one subject's, one set of roles', everybody's.
        let nth = |index: usize| self.keys.get(index).map(|(key, _)| Arc::clone(key));
        if !self.proven || self.apart || plan.shared {
            return nth(self.keys.len().wrapping_sub(1));
        }
        match plan.scope {
            Scope::Subject => nth(0),
            Scope::Roles => nth(1),
            Scope::Anonymous => None,
        }
    }
}

/// The place of a request.
pub fn place<'a>(app: &'a str, host: &'a str, checked: &'a Checked) -> Place<'a> {
    Place {
        app,
        scheme: checked.origin.scheme.as_str(),
        host,
        path: checked.target.path.as_str(),
        query: checked.target.query.as_deref(),
    }
}
