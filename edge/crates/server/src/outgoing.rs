//! The request as a worker gets it: its head, and which slot it wishes for.
//!
//! Place: proxy.rs -> [outgoing] -> upstream/head.rs
//! Rule:  whatever the client said about framing, connection or origin has been replaced by what the edge knows.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::request::Parts;
use mergepoint_edge_core::affinity;
use mergepoint_edge_core::choose::{Rules, Wish};
use mergepoint_edge_core::cookie;
use mergepoint_edge_core::prefix::Mount;
use mergepoint_edge_core::router::Match;
use mergepoint_edge_core::snapshot::{BalanceBy, PrefixMode};
use mergepoint_edge_core::sticky;

use crate::edge::{Loaded, PoolApp};
use crate::exchange::Checked;
use crate::random;
use crate::upstream::head::{self, Announced};
use crate::upstream::upload::Upload;

/// Room for a head without what it says of its visitor; a longer one costs a copy.
const HEAD_BYTES_USUAL: usize = 1024;

/// Which slot a request wishes for; its sticky cookie is taken away, the worker has no business with it.
pub fn wish(
    loaded: &Loaded,
    app: &PoolApp,
    found: &Match<'_>,
    parts: &mut Parts,
    checked: &Checked,
) -> Wish {
    let settings = &app.settings;
    let mut sticky = None;
    if Rules::is_sticky(settings) {
        sticky = sticky::from_request(&loaded.snapshot.secret, found.app, &parts.headers);
        cookie::remove(&mut parts.headers, &sticky::cookie_name(found.app));
    }
    let balance = &settings.balance;
    // A visitor's own slot may hang on what the app is told of them.
    let told = checked.told.as_deref().map(|told| &told.fields);
    let told = told.filter(|fields| {
        balance.by == BalanceBy::Header && fields.contains_key(balance.name.as_str())
    });
    let key = affinity::key(balance, &found.rest, told.unwrap_or(&parts.headers));
    Wish {
        sticky,
        key,
        random: random::bits64(),
    }
}

/// The head in bytes, and how the body behind it is framed.
pub fn encode(
    app: &PoolApp,
    found: &Match<'_>,
    mount: Option<Mount<'_>>,
    parts: &mut Parts,
    checked: &Checked,
    upload: &Upload,
) -> (Bytes, Announced) {
    let told = if app.settings.prefix == PrefixMode::Keep {
        ""
    } else {
        found.prefix
    };
    checked.origin.apply(&mut parts.headers, told);
    parts.headers.remove(header::EXPECT);
    if checked.accepted.websocket {
        parts
            .headers
            .insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        parts
            .headers
            .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    let path = match (app.settings.prefix, mount) {
        (PrefixMode::Strip, Some(mount)) => mount.strip(&checked.target.path),
        _ => checked.target.path.as_str(),
    };
    // Some frameworks want a length even with an empty body, so one that was sent is passed on.
    let announced = upload.announced(parts.headers.contains_key(header::CONTENT_LENGTH));
    let visitor = checked.told.as_deref();
    let visitor = visitor.map_or(&b""[..], |visitor| &visitor.encoded);
    let mut out = BytesMut::new();
    out.reserve(HEAD_BYTES_USUAL + visitor.len());
    head::encode(
        &mut out,
        &parts.method,
        (path, checked.target.query.as_deref()),
        (&parts.headers, visitor),
        announced,
    );
    (out.freeze(), announced)
}
