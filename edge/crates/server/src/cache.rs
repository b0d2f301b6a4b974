//! Answers that are kept: looked up, fetched once for many, dropped when what they were made from changes.
//!
//! Place: exchange.rs -> [cache] -> proxy.rs; decisions in `mergepoint-edge-core::cache`
//! Rule:  a site without a cache pays a look at one `Option`; a hit waits for nothing.

pub mod answered;
pub mod asking;
pub mod changes;
pub mod entry;
pub mod feed;
pub mod fetch;
pub mod fill;
mod filling;
pub mod hold;
pub mod numbers;
pub mod serve;
pub mod store;

use std::sync::Arc;

use http::header::HeaderMap;
use mergepoint_edge_core::cache::said::Said;
use mergepoint_edge_core::snapshot::{AppCache, Cache as Settings, Snapshot};

use crate::proxy::Way;
use crate::reply::Context;
pub use serve::answer;

use changes::Changes;
use feed::Feed;
use fill::Fills;
use numbers::Numbers;
use store::Store;

/// Everything that is kept, over all snapshots.
pub struct Kept {
    /// The answers.
    pub store: Store,
    /// Those under way.
    pub fills: Fills,
    /// What has changed since.
    pub changes: Changes,
    /// Who tells of changes.
    pub feed: Feed,
    /// What is counted.
    pub numbers: Numbers,
}

/// What holds for one request to an app with a cache.
#[derive(Clone, Copy)]
pub struct Keeps<'a> {
    /// What is kept.
    pub kept: &'a Arc<Kept>,
    /// The site's settings.
    pub site: &'a Settings,
    /// The app's.
    pub app: &'a AppCache,
}

impl Kept {
    /// An empty cache for a snapshot with one.
    pub fn new(settings: &Settings) -> Kept {
        Kept {
            store: Store::new(settings.bytes_max, settings.entry_bytes_max),
            fills: Fills::new(settings.bytes_max),
            changes: Changes::default(),
            feed: Feed::default(),
            numbers: Numbers::default(),
        }
    }

    /// What is kept under a snapshot; it survives as long as the site has a cache.
    pub fn for_snapshot(kept: &mut Option<Arc<Kept>>, snapshot: &Snapshot) -> Option<Arc<Kept>> {
        let Some(settings) = &snapshot.cache else {
            *kept = None;
            return None;
        };
        let kept = kept.get_or_insert_with(|| Arc::new(Kept::new(settings)));
        kept.follow(settings, snapshot);
        Some(Arc::clone(kept))
    }

    /// Take up a snapshot: its room, and its workers. What an app's old workers made is dropped when it has new ones,
    /// because nobody told them apart.
    pub fn follow(&self, settings: &Settings, snapshot: &Snapshot) {
        self.store.resize(settings.bytes_max);
        for app in self.numbers.moved(snapshot) {
            let tag = entry::app_tag(&app);
            self.drop_tags([&*tag], "released", None);
        }
    }

    /// Drop what bears one of these tags, and refuse fills that began before; how many were dropped.
    pub fn drop_tags<'a>(
        &self,
        tags: impl IntoIterator<Item = &'a str> + Clone,
        reason: &'static str,
        source: Option<&str>,
    ) -> usize {
        let mut changes = self.changes.lock();
        changes.log.record(tags.clone());
        let dropped = self.store.drop_tags(tags, reason, source);
        self.numbers.invalidated(&dropped);
        dropped.len()
    }
}

impl<'a> Way<'a> {
    /// What of this app is kept; none when nothing is.
    pub fn keeps(&self) -> Option<Keeps<'a>> {
        Some(Keeps {
            kept: self.loaded.cache.as_ref()?,
            site: self.loaded.snapshot.cache.as_ref()?,
            app: self.app.settings.cache.as_ref()?,
        })
    }
}

/// What an answer says to the cache, taken out of its head; none in an app without one.
pub fn said(context: &Context<'_>, headers: &mut HeaderMap) -> Option<Arc<Said>> {
    let site = context.loaded.snapshot.cache.as_ref()?;
    context.request.app.settings.cache.as_ref()?;
    let said = Said::take(headers, context.found.app, site.expose);
    Some(Arc::new(said))
}
