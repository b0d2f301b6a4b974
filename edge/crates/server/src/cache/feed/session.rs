//! One connection to the hub, from `hello` to its end.
//!
//! Place: feed.rs -> [session] -> changes.rs, store.rs
//! Rule:  at most one pull and one barrier are under way, and whoever comes meanwhile waits for the next: an answer to
//!        a question that was sent earlier proves nothing to them (I3).

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;
use std::time::Duration;

use mergepoint_edge_core::cache::coherence::{Asked, Outcome};
use mergepoint_edge_core::cache::feed::{Line, Pulled, Reading, SCHEMA};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::line::lines;
use super::{told_s, Call};
use crate::cache::changes::State;
use crate::cache::entry::source_tag;
use crate::cache::Kept;
use crate::clock::moment;
use crate::random;

/// How long the hub may take to greet.
const GREETING: Duration = Duration::from_secs(5);

/// A hub that leaves a question open for so long is no hub.
const SILENCE: Duration = Duration::from_secs(30);

/// How often it is asked whether the snapshot still wants this hub.
const LOOK: Duration = Duration::from_secs(1);

/// A question under way.
struct Flying {
    id: u64,
    sent: Instant,
    asked: BTreeMap<String, Asked>,
    waiting: Vec<oneshot::Sender<bool>>,
}

/// Questions of one kind: one under way, and those who wait for the next.
struct Questions {
    verb: &'static str,
    flying: Option<Flying>,
    next: Vec<oneshot::Sender<bool>>,
}

impl Questions {
    fn new(verb: &'static str) -> Questions {
        Questions {
            verb,
            flying: None,
            next: Vec::new(),
        }
    }

    /// What this answers, if it is under way.
    fn answered(&mut self, id: u64) -> Option<Flying> {
        self.flying.take_if(|flying| flying.id == id)
    }

    fn is_silent(&self) -> bool {
        let flying = self.flying.as_ref();
        flying.is_some_and(|flying| flying.sent.elapsed() > SILENCE)
    }
}

struct Session<'a> {
    kept: &'a Arc<Kept>,
    half: OwnedWriteHalf,
    ids: u64,
    lease: Duration,
    poll: Duration,
    pulls: Questions,
    barriers: Questions,
    answered: Instant,
}

/// Speak with the hub until the line breaks, or `wants` says that it is not wanted any more.
///
/// # Errors
/// Why it ended, for the log.
pub(super) async fn run(
    kept: &Arc<Kept>,
    stream: UnixStream,
    calls: &mut mpsc::Receiver<Call>,
    wants: impl Fn() -> bool,
) -> Result<(), String> {
    let (half, write) = stream.into_split();
    let mut told = lines(half);
    let mut session = Session {
        kept,
        half: write,
        ids: 0,
        lease: Duration::ZERO,
        poll: Duration::ZERO,
        pulls: Questions::new("pull"),
        barriers: Questions::new("barrier"),
        answered: Instant::now(),
    };
    session.greet(&mut told).await?;
    session.ask(Kind::Pull).await?;
    let mut look = Instant::now() + LOOK;
    loop {
        let poll = session.answered + session.poll;
        tokio::select! {
            line = told.recv() => match line {
                Some(line) => session.take(line).await?,
                None => return Err("the line to the hub broke".to_owned()),
            },
            Some(call) = calls.recv() => session.call(call).await?,
            () = tokio::time::sleep_until(poll), if session.polls() => {
                session.ask(Kind::Pull).await?;
            }
            () = tokio::time::sleep_until(look) => {
                look = Instant::now() + LOOK;
                if !wants() {
                    return Ok(());
                }
                if session.pulls.is_silent() || session.barriers.is_silent() {
                    return Err("the hub does not answer".to_owned());
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pull,
    Barrier,
}

impl Session<'_> {
    async fn greet(&mut self, told: &mut mpsc::Receiver<Line>) -> Result<(), String> {
        let edge = format!("{:032x}", random::bits128());
        let id = self.id();
        let hello = json!({"id": id, "verb": "hello", "edge": edge, "schema": SCHEMA});
        self.send(&hello).await?;
        let line = tokio::time::timeout(GREETING, told.recv()).await;
        let Ok(Some(Line::Hello {
            hub,
            sources,
            lease_s,
            poll_s,
            ..
        })) = line
        else {
            return Err("the hub did not greet".to_owned());
        };
        self.lease = told_s(lease_s, 2.0);
        self.poll = told_s(poll_s, 0.02);
        self.follow(hub, &sources);
        self.kept.feed.connected.store(true, Relaxed);
        Ok(())
    }

    /// Follow these sources; what was made from others is dropped.
    fn follow(&self, hub: String, names: &[String]) {
        let mut state = self.kept.changes.lock();
        state.lease = self.lease;
        if state.hub != hub {
            state
                .sources
                .values_mut()
                .for_each(|source| source.hub_changed());
            state.hub = hub;
        }
        let known: Vec<String> = state.sources.keys().cloned().collect();
        for name in known.iter().filter(|name| !names.contains(name)) {
            state.sources.remove(name);
            self.flush(&mut state, name, "source-gone");
        }
        for name in names {
            state.sources.entry(name.clone()).or_default();
        }
    }

    /// Something is kept, and it was asked for lately: changes are read without being asked for.
    fn polls(&self) -> bool {
        self.pulls.flying.is_none() && self.kept.feed.was_used(moment(), self.lease)
    }

    async fn call(&mut self, call: Call) -> Result<(), String> {
        let kind = match call {
            Call::Pull(done) => {
                self.pulls.next.push(done);
                Kind::Pull
            }
            Call::Barrier(done) => {
                self.barriers.next.push(done);
                Kind::Barrier
            }
        };
        match self.questions(kind).flying {
            Some(_) => Ok(()),
            None => self.ask(kind).await,
        }
    }

    fn questions(&mut self, kind: Kind) -> &mut Questions {
        match kind {
            Kind::Pull => &mut self.pulls,
            Kind::Barrier => &mut self.barriers,
        }
    }

    /// Ask for all who wait. The moment is noted before a byte is sent (I4).
    async fn ask(&mut self, kind: Kind) -> Result<(), String> {
        let id = self.id();
        let now = moment();
        let (asked, places) = {
            let state = self.kept.changes.lock();
            let each = state.sources.iter();
            let asked = each.map(|(name, source)| (name.clone(), source.asked(now)));
            let asked: BTreeMap<String, Asked> = asked.collect();
            let places = state.sources.iter().map(|(name, source)| {
                let (epoch, cursor) = source.place();
                (name.clone(), json!({"epoch": epoch, "cursor": cursor}))
            });
            let places: serde_json::Map<String, serde_json::Value> = places.collect();
            (asked, places)
        };
        let questions = self.questions(kind);
        let request = json!({"id": id, "verb": questions.verb, "sources": places});
        questions.flying = Some(Flying {
            id,
            sent: Instant::now(),
            asked,
            waiting: std::mem::take(&mut questions.next),
        });
        self.send(&request).await
    }

    async fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Hello { .. } | Line::Other { .. } => Err("the hub refused a question".to_owned()),
            Line::Barrier { barrier, sources } => {
                if !self.told(&sources) {
                    // Not acknowledged: the writer waits until nothing that was read here counts any longer.
                    return Ok(());
                }
                let id = self.id();
                let applied = json!({"id": id, "verb": "applied", "barrier": barrier});
                self.send(&applied).await
            }
            Line::Pulled { id, sources } => {
                let kind = match self.barriers.answered(id) {
                    Some(flying) => {
                        self.done(flying, &sources);
                        Kind::Barrier
                    }
                    None => {
                        let flying = self.pulls.answered(id);
                        let flying = flying.ok_or("the hub answered what was not asked")?;
                        self.answered = Instant::now();
                        self.done(flying, &sources);
                        Kind::Pull
                    }
                };
                match self.questions(kind).next.is_empty() {
                    true => Ok(()),
                    false => self.ask(kind).await,
                }
            }
        }
    }

    /// Take in an answer, and tell those who waited for it.
    fn done(&self, flying: Flying, readings: &BTreeMap<String, Reading>) {
        let mut state = self.kept.changes.lock();
        let mut all = true;
        for (name, asked) in &flying.asked {
            let Some(Reading::Pulled(pulled)) = readings.get(name) else {
                all = false;
                continue;
            };
            let Some(source) = state.sources.get_mut(name) else {
                continue;
            };
            let outcome = source.answered(asked, pulled, self.lease);
            // Dropped for another reason than that something later is known: nothing is proven.
            all &= source.at() >= pulled.at;
            self.apply(&mut state, name, pulled, outcome);
        }
        drop(state);
        for waiting in flying.waiting {
            // Whoever does not wait any more has gone.
            let _ = waiting.send(all);
        }
    }

    /// Take in what the hub says unasked; true when all of it was.
    fn told(&self, readings: &BTreeMap<String, Reading>) -> bool {
        let mut state = self.kept.changes.lock();
        let mut all = true;
        for (name, reading) in readings {
            let Reading::Pulled(pulled) = reading else {
                all = false;
                continue;
            };
            if let Some(source) = state.sources.get_mut(name) {
                let outcome = source.told(pulled);
                self.apply(&mut state, name, pulled, outcome);
            }
        }
        all
    }

    fn apply(&self, state: &mut State, name: &str, pulled: &Pulled, outcome: Outcome) {
        match outcome {
            Outcome::Dropped => {}
            Outcome::Flush => self.flush(state, name, "flushed"),
            Outcome::Changed if pulled.tags.is_empty() => {}
            Outcome::Changed => {
                let tags = || pulled.tags.iter().map(String::as_str);
                state.log.record(tags());
                let dropped = self.kept.store.drop_tags(tags(), "changed", Some(name));
                self.kept.numbers.invalidated(&dropped);
            }
        }
    }

    fn flush(&self, state: &mut State, name: &str, reason: &'static str) {
        state.log.flush(name);
        let tag = source_tag(name);
        let dropped = self.kept.store.drop_tags([&*tag], reason, Some(name));
        self.kept.numbers.invalidated(&dropped);
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    async fn send(&mut self, line: &serde_json::Value) -> Result<(), String> {
        let mut text = line.to_string();
        text.push('\n');
        let sent = self.half.write_all(text.as_bytes()).await;
        sent.map_err(|error| format!("the line to the hub broke: {error}"))
    }
}
