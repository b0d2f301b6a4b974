//! Fitness of slots, and second attempts.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use mergepoint_edge_core::health::{Change, PoolHealth, EJECT_S_MAX};
use mergepoint_edge_core::retry::{may_retry, Budget, Progress};
use mergepoint_edge_core::snapshot::{Health, Retry};
use proptest::prelude::*;

fn rules(path: Option<&str>) -> Health {
    Health {
        path: path.map(str::to_owned),
        headers: BTreeMap::new(),
        status_min: 200,
        status_max: 399,
        interval_s: 2.0,
        timeout_s: 1.0,
        eject_after: 3,
        eject_s: 5.0,
    }
}

fn pool(path: Option<&str>, count: u32) -> PoolHealth<u32> {
    let mut pool = PoolHealth::new(&rules(path));
    pool.update(&rules(path), 0..count, s(0));
    pool
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fail(pool: &mut PoolHealth<u32>, key: u32, times: u32, now: Duration) -> Option<Change> {
    (0..times).filter_map(|_| pool.failed(&key, now)).last()
}

#[test]
fn a_slot_that_fails_in_a_row_rests_and_comes_back() {
    let mut pool = pool(None, 4);
    assert_eq!(fail(&mut pool, 1, 2, s(0)), None);
    assert_eq!(pool.succeeded(&1, s(0)), None);
    assert_eq!(fail(&mut pool, 1, 2, s(0)), None);
    assert_eq!(
        fail(&mut pool, 1, 1, s(0)),
        Some(Change::Ejected { until: s(5) })
    );
    assert!(pool.is_ejected(&1, s(4)));
    assert!(!pool.is_ejected(&1, s(5)));
    assert_eq!(pool.succeeded(&1, s(6)), Some(Change::Recovered));
    assert_eq!(pool.succeeded(&1, s(6)), None);
}

#[test]
fn after_its_rest_one_failure_is_enough_and_each_rest_is_longer() {
    let mut pool = pool(None, 4);
    let mut now = s(0);
    fail(&mut pool, 0, 3, now);
    for expected in [10, 20, 40, 60, 60] {
        while pool.is_ejected(&0, now) {
            now += s(1);
        }
        let Some(Change::Ejected { until }) = pool.failed(&0, now) else {
            panic!()
        };
        assert_eq!(
            until - now,
            s(expected).min(Duration::from_secs_f64(EJECT_S_MAX))
        );
    }
}

#[test]
fn a_long_fit_time_forgives_earlier_rests() {
    let mut pool = pool(None, 4);
    let rest_from = |pool: &mut PoolHealth<u32>, now| match fail(pool, 0, 3, now) {
        Some(Change::Ejected { until }) => until - now,
        other => panic!("{other:?}"),
    };
    assert_eq!(rest_from(&mut pool, s(0)), s(5));
    pool.succeeded(&0, s(5));
    assert_eq!(rest_from(&mut pool, s(10)), s(10));
    pool.succeeded(&0, s(20));
    assert_eq!(rest_from(&mut pool, s(80)), s(5));
}

#[test]
fn with_probes_only_a_good_probe_after_the_rest_brings_a_slot_back() {
    let mut pool = pool(Some("/-/ready"), 4);
    fail(&mut pool, 0, 3, s(0));
    assert!(pool.is_ejected(&0, s(100)));
    assert_eq!(pool.succeeded(&0, s(4)), None);
    assert!(pool.is_ejected(&0, s(4)));
    assert_eq!(pool.probe_failed(&0, 0, s(6)), None);
    assert_eq!(
        pool.succeeded(&0, s(7)),
        None,
        "a failed probe after the rest begins another, longer one"
    );
    assert_eq!(pool.succeeded(&0, s(16)), Some(Change::Recovered));
    assert!(!pool.is_ejected(&0, s(16)));
}

#[test]
fn at_most_half_of_a_pool_rests_and_a_single_slot_never() {
    for (count, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (7, 3)] {
        let mut pool = pool(None, count);
        for key in 0..count {
            fail(&mut pool, key, 10, s(0));
        }
        let resting = (0..count).filter(|key| pool.is_ejected(key, s(1))).count();
        assert_eq!(resting, most, "of {count}");
    }
}

#[test]
fn when_fit_slots_leave_the_resting_are_called_back() {
    let mut pool = pool(Some("/"), 4);
    fail(&mut pool, 0, 3, s(0));
    fail(&mut pool, 1, 3, s(1));
    pool.update(&rules(Some("/")), [0, 1, 2], s(2));
    assert_eq!(
        [pool.is_ejected(&0, s(2)), pool.is_ejected(&1, s(2))],
        [false, true]
    );
    pool.update(&rules(Some("/")), [1], s(2));
    assert!(!pool.is_ejected(&1, s(2)));
}

#[test]
fn a_busy_slot_is_not_judged_by_its_probe() {
    let mut pool = pool(Some("/"), 2);
    for _ in 0..10 {
        assert_eq!(pool.probe_failed(&0, 1, s(0)), None);
    }
    let changes: Vec<_> = (0..3)
        .filter_map(|_| pool.probe_failed(&0, 0, s(0)))
        .collect();
    assert_eq!(changes, [Change::Ejected { until: s(5) }]);
}

#[test]
fn zero_failures_mean_never() {
    let never = Health {
        eject_after: 0,
        ..rules(None)
    };
    let mut pool = PoolHealth::new(&never);
    pool.update(&never, 0..4, s(0));
    assert_eq!(fail(&mut pool, 0, 100, s(0)), None);
}

#[test]
fn state_survives_a_new_snapshot_and_unknown_endpoints_are_fit() {
    let mut pool = pool(None, 4);
    fail(&mut pool, 0, 3, s(0));
    pool.update(&rules(None), [0, 1, 2, 9], s(1));
    assert!(pool.is_ejected(&0, s(1)) && !pool.is_ejected(&9, s(1)) && !pool.is_ejected(&77, s(1)));
    assert_eq!(pool.failed(&77, s(1)), None);
}

#[test]
fn probes_are_due_once_in_an_interval() {
    let mut pool = pool(Some("/"), 3);
    let due = |pool: &mut PoolHealth<u32>, at| pool.due_probes(at).len();
    assert_eq!(
        [
            due(&mut pool, s(0)),
            due(&mut pool, s(1)),
            due(&mut pool, s(2))
        ],
        [3, 0, 3]
    );
    pool.update(&rules(Some("/")), 0..4, s(3));
    assert_eq!(due(&mut pool, s(3)), 1);
    pool.update(&rules(None), 0..4, s(9));
    assert_eq!(due(&mut pool, s(9)), 0);
    assert!(pool.is_good_status(399) && !pool.is_good_status(400));
}

fn retry() -> Retry {
    Retry {
        budget_ratio: 0.2,
        budget_min_per_s: 10.0,
        attempts_max: 2,
        body_bytes_max: 65_536,
    }
}

#[test]
fn a_request_is_tried_again_only_where_it_cannot_have_had_an_effect() {
    use Progress::{Answering, ConnectFailed, NoAnswer, NotSent};
    for (method, progress, kept, attempts, may) in [
        (Method::POST, ConnectFailed, true, 1, true),
        (Method::POST, NotSent, true, 1, true),
        (Method::POST, NoAnswer, true, 1, false),
        (Method::PATCH, NoAnswer, true, 1, false),
        (Method::GET, NoAnswer, true, 1, true),
        (Method::PUT, NoAnswer, true, 1, true),
        (Method::DELETE, NoAnswer, false, 1, false),
        (Method::GET, Answering, true, 1, false),
        (Method::POST, NotSent, false, 1, false),
        (Method::GET, ConnectFailed, true, 2, false),
    ] {
        assert_eq!(
            may_retry(&retry(), &method, progress, kept, attempts),
            may,
            "{method} {progress:?} {kept} {attempts}"
        );
    }
}

#[test]
fn retries_stay_a_fifth_of_a_busy_apps_requests() {
    let mut budget = Budget::new(&retry(), s(0));
    while budget.try_spend(s(0)) {}
    let mut retries = 0;
    for _ in 0..1_000 {
        budget.count_request();
        retries += u32::from(budget.try_spend(s(0)));
    }
    assert!((198..=200).contains(&retries), "{retries}");
}

#[test]
fn time_allows_some_retries_of_a_quiet_app() {
    let mut budget = Budget::new(&retry(), s(0));
    let burst = (0..1_000).filter(|_| budget.try_spend(s(0))).count();
    assert_eq!(burst, 100);
    let later = (0..1_000).filter(|_| budget.try_spend(s(1))).count();
    assert_eq!(later, 10);
    assert!(
        !budget.try_spend(s(0)),
        "a clock that steps back gives nothing"
    );
}

#[test]
fn rules_of_zero_switch_retries_off() {
    let off = Retry {
        budget_ratio: 0.0,
        budget_min_per_s: 0.0,
        ..retry()
    };
    let mut budget = Budget::new(&retry(), s(0));
    budget.set_rules(&off);
    budget.count_request();
    assert!(!budget.try_spend(s(100)));
}

proptest! {
    #[test]
    fn half_of_a_pool_is_always_there(
        count in 1u32..9, events in proptest::collection::vec((0u32..9, 0u8..4, 0u64..8), 0..200), probes in any::<bool>(),
    ) {
        let path = probes.then_some("/");
        let (mut pool, mut now, mut count) = (pool(path, count), s(0), count);
        for (key, event, pause) in events {
            now += s(pause);
            match event {
                0 => drop(pool.succeeded(&key, now)),
                1 if key == 8 => {
                    count = (count + 3) % 8 + 1;
                    pool.update(&rules(path), 0..count, now);
                }
                _ => drop(pool.failed(&key, now)),
            }
            let resting = (0..count).filter(|key| pool.is_ejected(key, now)).count();
            prop_assert!(resting <= count as usize / 2, "{resting} of {count}");
        }
    }

    #[test]
    fn the_budget_is_never_overdrawn(steps in proptest::collection::vec((any::<bool>(), 0u64..500), 0..300)) {
        let mut budget = Budget::new(&retry(), s(0));
        let (mut now, mut requests, mut retries) = (s(0), 0.0, 0.0);
        for (request, pause_ms) in steps {
            now += Duration::from_millis(pause_ms);
            if request {
                budget.count_request();
                requests += 1.0;
            } else {
                retries += f64::from(u8::from(budget.try_spend(now)));
            }
            prop_assert!(retries <= 100.0 + requests * 0.2 + now.as_secs_f64() * 10.0 + 1e-6);
        }
    }
}
