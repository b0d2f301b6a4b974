//! A place at a worker, held from the choice of a slot to the last byte of the answer.
//!
//! Place: exchange.rs asks for one -> [place] -> line.rs
//! Rule:  dropping a wait leaves the line at once; dropping a place hands it to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mergepoint_edge_core::choose::Wish;
use tokio::sync::oneshot;

use super::line::{Denied, Entry, Grant, Line};
use crate::clock::moment;
use crate::metrics::QueueDrop;
use crate::upstream::endpoint::Endpoint;

/// A place at a slot.
pub struct Place {
    /// Number of the slot.
    pub slot: u32,
    /// Where the worker listens.
    pub endpoint: Arc<Endpoint>,
    /// The app's line.
    pub line: Arc<Line>,
}

impl Place {
    fn new(line: &Arc<Line>, grant: Grant) -> Place {
        Place {
            slot: grant.slot,
            endpoint: grant.endpoint,
            line: Arc::clone(line),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.vacate(&self.endpoint, moment());
    }
}

/// A ticket in the line; dropping it leaves the line, or gives back a grant that came too late.
struct Ticket {
    line: Arc<Line>,
    ticket: u64,
    grant: oneshot::Receiver<Result<Grant, Denied>>,
    /// Why it leaves without a place; none when it has one. Being dropped means that the client has gone.
    leaves: Option<QueueDrop>,
}

impl Ticket {
    fn new(
        line: &Arc<Line>,
        ticket: u64,
        grant: oneshot::Receiver<Result<Grant, Denied>>,
    ) -> Ticket {
        line.metrics.queue_length.inc();
        Ticket {
            line: Arc::clone(line),
            ticket,
            grant,
            leaves: Some(QueueDrop::ClientGone),
        }
    }

    async fn wait(mut self, limit: Duration) -> Result<Place, Denied> {
        let (place, leaves) = match tokio::time::timeout(limit, &mut self.grant).await {
            Ok(Ok(Ok(grant))) => (Ok(Place::new(&self.line, grant)), None),
            Ok(Ok(Err(Denied::Failed))) => (Err(Denied::Failed), Some(QueueDrop::NoSlot)),
            Ok(Ok(Err(Denied::Busy))) => (Err(Denied::Busy), Some(QueueDrop::Full)),
            Ok(Err(_)) | Err(_) => (Err(Denied::Busy), Some(QueueDrop::Patience)),
        };
        self.leaves = leaves;
        place
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.line.metrics.queue_length.dec();
        if let Some(why) = self.leaves {
            self.line.metrics.dropped(why);
            self.line.leave(self.ticket, moment());
            self.grant.close();
            if let Ok(Ok(grant)) = self.grant.try_recv() {
                drop(Place::new(&self.line, grant));
            }
        }
    }
}

/// A place at a slot not among `tried`, waiting in line until `patience` ends.
///
/// # Errors
/// No place came free in time, or the app has no slot at all.
pub async fn take(
    line: &Arc<Line>,
    wish: Wish,
    tried: &[u64],
    patience: Instant,
) -> Result<Place, Denied> {
    match line.enter(wish, tried, moment()) {
        Entry::Granted(grant) => Ok(Place::new(line, grant)),
        Entry::Denied(why) => Err(why),
        Entry::Waits(ticket, grant) => {
            let left = patience
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            Ticket::new(line, ticket, grant).wait(left).await
        }
    }
}
