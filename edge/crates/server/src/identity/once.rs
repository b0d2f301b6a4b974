//! One piece of work for everybody who wants the same thing at the same time.
//!
//! Place: refresh.rs and check.rs ask accounts through it
//! Rule:  the work is a task of its own and ends whether or not anybody still waits, because it may have changed
//!        something at its other end; what it found is kept as long as its maker says.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Pieces of work under way or kept at once; one more is refused.
pub const WORKS_MAX: usize = 8_192;

/// Tells a piece of work from an earlier one under the same key.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Work under way, and what was found lately.
#[derive(Debug)]
pub struct Once<K, V> {
    works: Mutex<Works<K, V>>,
}

/// By what is asked, which must hold no secret: the number of the work, and where its finding appears.
type Works<K, V> = HashMap<K, (u64, watch::Receiver<Option<V>>)>;

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Once {
            works: Mutex::default(),
        }
    }
}

/// Takes a piece of work off the table when its task ends, in whatever way.
struct Listed<K: Eq + Hash, V> {
    once: Arc<Once<K, V>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, V> Drop for Listed<K, V> {
    fn drop(&mut self) {
        let mut works = self.once.works.lock();
        if works
            .get(&self.key)
            .is_some_and(|(number, _)| *number == self.number)
        {
            works.remove(&self.key);
        }
    }
}

impl<K, V> Once<K, V>
where
    K: Eq + Hash + Copy + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// What `work` finds, or what the same work found that is under way or kept and still `good`. `keep` says for how
    /// long what is found answers later questions. None when there is too much work, or it failed altogether.
    pub async fn ask<F>(
        self: &Arc<Self>,
        key: K,
        good: impl Fn(&V) -> bool,
        keep: impl FnOnce(&V) -> Duration + Send + 'static,
        work: impl FnOnce() -> F,
    ) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut found = {
            let mut works = self.works.lock();
            let known = works.get(&key).map(|(_, found)| found.clone());
            let usable = |found: &watch::Receiver<Option<V>>| {
                found.borrow().as_ref().is_none_or(&good) && found.has_changed().is_ok()
            };
            match known.filter(usable) {
                Some(found) => found,
                None => self.start(&mut works, key, keep, work())?,
            }
        };
        let found = found.wait_for(Option::is_some).await;
        found.ok().and_then(|found| found.clone())
    }

    fn start<F>(
        self: &Arc<Self>,
        works: &mut Works<K, V>,
        key: K,
        keep: impl FnOnce(&V) -> Duration + Send + 'static,
        work: F,
    ) -> Option<watch::Receiver<Option<V>>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        if works.len() >= WORKS_MAX && !works.contains_key(&key) {
            return None;
        }
        let (tell, found) = watch::channel(None);
        let number = NUMBERS.fetch_add(1, Relaxed);
        works.insert(key, (number, found.clone()));
        let listed = Listed {
            once: Arc::clone(self),
            key,
            number,
        };
        tokio::spawn(async move {
            let value = work.await;
            let kept = keep(&value);
            tell.send_replace(Some(value));
            if !kept.is_zero() {
                tokio::time::sleep(kept).await;
            }
            drop(listed);
        });
        Some(found)
    }

    /// Pieces of work under way or kept.
    pub fn len(&self) -> usize {
        self.works.lock().len()
    }

    /// Nothing is under way or kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use tokio::sync::Notify;

    const KEY: u8 = 7;

    #[tokio::test]
    async fn many_who_ask_at_once_cause_one_piece_of_work() {
        let once: Arc<Once<u8, u32>> = Arc::default();
        let (count, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (once, count, go) = (Arc::clone(&once), Arc::clone(&count), Arc::clone(&go));
            async move {
                let work = || async move {
                    go.notified().await;
                    count.fetch_add(1, SeqCst) + 1
                };
                once.ask(KEY, |_| true, |_| Duration::ZERO, work).await
            }
        };
        let all = futures_util::future::join_all((0..50).map(|_| ask()));
        let (found, ()) = tokio::join!(all, async {
            tokio::task::yield_now().await;
            go.notify_one();
        });
        assert!(found.iter().all(|found| *found == Some(1)));
        assert_eq!(count.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_answers_until_it_is_old_or_no_longer_good() {
        let once: Arc<Once<u8, u32>> = Arc::default();
        let keep = |_: &u32| Duration::from_secs(10);
        let ask = |value, good: bool| {
            let once = Arc::clone(&once);
            async move {
                once.ask(KEY, move |_| good, keep, || async move { value })
                    .await
            }
        };
        assert_eq!(ask(1, true).await, Some(1));
        assert_eq!(ask(2, true).await, Some(1));
        assert_eq!(ask(3, false).await, Some(3));
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(once.is_empty());
        assert_eq!(ask(4, true).await, Some(4));
    }

    #[tokio::test]
    async fn work_that_fails_altogether_leaves_no_trace() {
        let once: Arc<Once<u8, u32>> = Arc::default();
        let failing = || async { panic!("on purpose") };
        assert_eq!(
            once.ask(KEY, |_| true, |_| Duration::ZERO, failing).await,
            None
        );
        let asked = once.ask(KEY, |_| true, |_| Duration::ZERO, || async { 5 });
        assert_eq!(asked.await, Some(5));
    }
}
