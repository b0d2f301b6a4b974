//! Whatever is inside is found by its tags: random puts, drops and too little room.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use mergepoint_edge_core::cache::control::Scope;
use mergepoint_edge_core::cache::freshness::Arrival;
use mergepoint_edge_core::cache::key::Key;
use mergepoint_edge_core::cache::said::Said;
use mergepoint_edge_core::cache::storing::{plan, Asked, Rules};
use proptest::prelude::*;

use super::super::entry::Entry;
use super::{Found, Store};

fn entry(tag: &str, bytes: usize) -> Arc<Entry> {
    let rules = Rules {
        auto: true,
        ttl: Duration::from_secs(60),
        stale: Duration::ZERO,
        scope: Scope::Anonymous,
    };
    let request = HeaderMap::new();
    let asked = Asked {
        method: &Method::GET,
        headers: &request,
        proven: false,
        unknown_cookie: false,
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-mergepoint-tags", HeaderValue::from_str(tag).unwrap());
    let said = Said::take(&mut headers, "shop", false);
    let arrival = Arrival {
        asked: Duration::ZERO,
        came: Duration::ZERO,
        wall: UNIX_EPOCH,
    };
    let plan = plan(&rules, &asked, (StatusCode::OK, &headers, &said), arrival).unwrap();
    let body = Bytes::from(vec![b'x'; bytes]);
    Arc::new(Entry::new(
        (StatusCode::OK, headers),
        body,
        plan,
        ("shop", "=address".into()),
    ))
}

fn key(number: usize) -> Key {
    format!("shop\nhttp://a.test/{number}\n").as_str().into()
}

fn kept(store: &Store, number: usize) -> Option<Arc<Entry>> {
    match store.find(&key(number), &HeaderMap::new()) {
        Found::Entry(entry) => Some(entry),
        _ => None,
    }
}

#[test]
fn an_answer_that_took_the_place_of_another_is_found_by_its_tags() {
    let store = Store::new(1 << 20, 1 << 16);
    store.put(key(1), entry("main/a", 10));
    store.put(key(1), entry("main/a", 20));
    assert_eq!(kept(&store, 1).unwrap().body.len(), 20);
    store.drop_tags(["main/a"], "changed", None);
    assert!(kept(&store, 1).is_none());
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize, usize, usize),
    Drop(usize),
    Purge(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..6usize, 0..3usize, 1..30_000usize).prop_map(|(k, t, b)| Step::Put(k, t, b)),
        2 => (0..3usize).prop_map(Step::Drop),
        1 => (0..6usize).prop_map(Step::Purge),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn nothing_that_bears_a_dropped_tag_is_left(steps in steps()) {
        let store = Store::new(64 << 10, 32 << 10);
        for step in steps {
            match step {
                Step::Put(number, tag, bytes) => store.put(key(number), entry(&format!("main/t{tag}"), bytes)),
                Step::Drop(tag) => {
                    let tag = format!("main/t{tag}");
                    store.drop_tags([tag.as_str()], "changed", None);
                    for number in 0..6 {
                        if let Some(entry) = kept(&store, number) {
                            prop_assert!(!entry.handles.iter().any(|handle| **handle == *tag));
                        }
                    }
                }
                Step::Purge(number) => {
                    let gone = key(number);
                    store.drop_keys(|key| *key == *gone);
                    prop_assert!(kept(&store, number).is_none());
                }
            }
            prop_assert!(store.size().1 <= 64 << 10);
        }
    }
}
