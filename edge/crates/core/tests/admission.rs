//! Who waits, who is next, who is told to come back.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::time::Duration;

use mergepoint_edge_core::admission::{Offer, Reason, Standing, Waiting, CALM_MAX};
use proptest::prelude::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn next(queue: &mut Waiting<u32>, now: Duration) -> Option<u32> {
    queue.next(now, |_| true, |_, _| {})
}

#[test]
fn a_calm_queue_serves_in_order_of_arrival() {
    let mut queue = Waiting::new(8, PATIENCE);
    for n in 0..4u32 {
        assert_eq!(queue.offer(n, ms(u64::from(n))), Offer::Queued);
    }
    let served: Vec<_> = (0..5).map(|_| next(&mut queue, ms(100))).collect();
    assert_eq!(served, [Some(0), Some(1), Some(2), Some(3), None]);
}

#[test]
fn a_queue_that_does_not_empty_serves_the_newest_first_until_it_is_empty() {
    let mut queue = Waiting::new(8, PATIENCE);
    for n in 0..4u32 {
        queue.offer(n, ms(0));
    }
    let late = CALM_MAX + ms(1);
    assert!(queue.is_saturated(late));
    assert_eq!(next(&mut queue, late), Some(3));
    queue.offer(4, late);
    let served: Vec<_> = (0..4).map(|_| next(&mut queue, late).unwrap()).collect();
    assert_eq!(served, [4, 2, 1, 0]);
    assert!(!queue.is_saturated(late + ms(1)));
}

#[test]
fn a_full_queue_refuses_while_calm_and_displaces_the_oldest_while_saturated() {
    let mut queue = Waiting::new(2, PATIENCE);
    queue.offer(0, ms(0));
    queue.offer(1, ms(0));
    assert_eq!(queue.offer(2, ms(1)), Offer::Refused);
    assert_eq!(queue.offer(3, ms(600)), Offer::Displaced(0));
    assert_eq!(queue.len(), 2);
    let mut none = Waiting::new(0, PATIENCE);
    assert_eq!(none.offer(0, ms(600)), Offer::Refused);
}

#[test]
fn patience_and_absence_end_the_wait() {
    let mut queue = Waiting::new(8, PATIENCE);
    for n in 0..3u32 {
        queue.offer(n, ms(u64::from(n)));
    }
    assert_eq!(queue.next_expiry(), Some(PATIENCE));
    let mut dropped = Vec::new();
    let served = queue.next(
        PATIENCE,
        |ticket| *ticket != 2,
        |ticket, reason| dropped.push((ticket, reason)),
    );
    assert_eq!(dropped, [(0, Reason::Patience), (2, Reason::Gone)]);
    assert_eq!(served, Some(1));
    assert!(queue.is_empty() && queue.next_expiry().is_none());
}

#[test]
fn a_ticket_that_is_passed_over_keeps_its_place() {
    let mut queue = Waiting::new(8, PATIENCE);
    for n in 0..3u32 {
        queue.offer(n, ms(0));
    }
    let judge = |ticket: &u32| {
        if *ticket == 0 {
            Standing::Later
        } else {
            Standing::Served
        }
    };
    assert_eq!(queue.next_fitting(ms(1), judge, |_, _| {}), Some(1));
    assert_eq!(
        queue.next_fitting(ms(1), |_| Standing::Later, |_, _| {}),
        None
    );
    assert_eq!(queue.oldest_wait(ms(1)), Some(ms(1)));
    assert_eq!(
        [next(&mut queue, ms(1)), next(&mut queue, ms(1))],
        [Some(0), Some(2)]
    );
}

#[test]
fn who_left_is_no_longer_served() {
    let mut queue = Waiting::new(8, PATIENCE);
    queue.offer(1, ms(0));
    assert!(queue.remove(&1));
    assert!(!queue.remove(&1));
    assert_eq!(next(&mut queue, ms(1)), None);
}

#[test]
fn a_shorter_patience_reaches_those_who_wait() {
    let mut queue = Waiting::new(8, PATIENCE);
    queue.offer(0, ms(0));
    queue.set_bounds(8, ms(1_000));
    queue.offer(1, ms(10));
    assert_eq!(queue.next_expiry(), Some(ms(1_000)));
    queue.set_bounds(8, ms(5_000));
    assert_eq!(queue.next_expiry(), Some(ms(1_000)));
}

#[test]
fn retry_after_follows_the_pace_of_service() {
    let mut queue = Waiting::new(1_000, Duration::from_secs(100));
    assert_eq!(queue.retry_after_s(), 1);
    for n in 0..200 {
        queue.offer(n, ms(0));
    }
    for n in 0..100 {
        next(&mut queue, ms(n * 100));
    }
    assert!(
        (9..=11).contains(&queue.retry_after_s()),
        "{}",
        queue.retry_after_s()
    );
}

/// One worker that serves `capacity` a second; returns the worst wait of those who arrived from `from` on.
fn worst_wait(capacity: u64, arrivals: &[Duration], from: Duration) -> (Duration, usize) {
    let mut queue = Waiting::new(256, PATIENCE);
    let (mut waiting, mut lost) = (arrivals.iter().enumerate().peekable(), 0);
    let mut worst = Duration::ZERO;
    for tick in 0..(30 * capacity) {
        let now = Duration::from_secs(1) * u32::try_from(tick).unwrap()
            / u32::try_from(capacity).unwrap();
        while let Some((ticket, at)) = waiting.next_if(|(_, at)| **at <= now) {
            match queue.offer(ticket, *at) {
                Offer::Queued => {}
                Offer::Refused => lost += usize::from(*at >= from),
                Offer::Displaced(old) => lost += usize::from(arrivals[old] >= from),
            }
        }
        let mut gave_up = 0;
        let served = queue.next(
            now,
            |_| true,
            |ticket, _| gave_up += usize::from(arrivals[ticket] >= from),
        );
        lost += gave_up;
        if let Some(ticket) = served.filter(|ticket| arrivals[*ticket] >= from) {
            worst = worst.max(now - arrivals[ticket]);
        }
    }
    (worst, lost)
}

#[test]
fn after_a_threefold_overload_newcomers_are_served_at_once() {
    let overload = (0..3_000).map(|n| ms(n * 10 / 3));
    let afterwards = (0..700).map(|n| ms(10_000 + n * 20));
    let arrivals: Vec<Duration> = overload.chain(afterwards).collect();
    let (worst, lost) = worst_wait(100, &arrivals, ms(10_000));
    assert_eq!(lost, 0);
    assert!(worst < ms(100), "{worst:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Offer,
    Next,
    NextExceptEven,
    Remove(u32),
    Left(u32),
    Expire,
    Wait(u64),
    Bounds(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Offer),
        2 => Just(Step::Next),
        1 => Just(Step::NextExceptEven),
        1 => (0u32..60).prop_map(Step::Remove),
        1 => (0u32..60).prop_map(Step::Left),
        1 => Just(Step::Expire),
        2 => (0u64..2_000).prop_map(Step::Wait),
        1 => (0usize..6, 1u64..5_000).prop_map(|(length, patience)| Step::Bounds(length, patience)),
    ]
}

proptest! {
    #[test]
    fn every_ticket_leaves_exactly_once_and_in_time(steps in proptest::collection::vec(step(), 0..120)) {
        let mut queue = Waiting::new(4, ms(3_000));
        let (mut now, mut patience, mut length_max) = (ms(0), ms(3_000), 4);
        let mut inside: Vec<(u32, Duration)> = Vec::new();
        let mut left = HashSet::new();
        for (ticket, step) in (0u32..).zip(steps) {
            let mut gone: Vec<u32> = Vec::new();
            let mut served = None;
            match step {
                Step::Offer => match queue.offer(ticket, now) {
                    Offer::Queued => inside.push((ticket, now + patience)),
                    Offer::Displaced(old) => {
                        prop_assert_eq!(old, inside[0].0);
                        inside.push((ticket, now + patience));
                        gone.push(old);
                    }
                    Offer::Refused => prop_assert!(inside.len() >= length_max),
                },
                Step::Next => served = queue.next(now, |_| true, |ticket, _| gone.push(ticket)),
                Step::NextExceptEven => {
                    let judge = |ticket: &u32| if ticket % 2 == 0 { Standing::Later } else { Standing::Served };
                    served = queue.next_fitting(now, judge, |ticket, _| gone.push(ticket));
                }
                Step::Remove(ticket) => if queue.remove(&ticket) { gone.push(ticket) },
                Step::Left(ticket) => if queue.left(&ticket, now) { gone.push(ticket) },
                Step::Expire => queue.expire(now, |ticket, _| gone.push(ticket)),
                Step::Wait(pause) => now += ms(pause),
                Step::Bounds(length, pause) => {
                    (length_max, patience) = (length, ms(pause));
                    queue.set_bounds(length_max, patience);
                }
            }
            if let Some(ticket) = served {
                let expires = inside.iter().find(|(inside, _)| *inside == ticket).unwrap().1;
                prop_assert!(now < expires, "{ticket} was served after its patience");
                gone.push(ticket);
            }
            for ticket in gone {
                prop_assert!(left.insert(ticket), "{ticket} left twice");
                prop_assert!(inside.iter().any(|(inside, _)| *inside == ticket));
                inside.retain(|(inside, _)| *inside != ticket);
            }
            prop_assert_eq!(queue.len(), inside.len());
            prop_assert_eq!(queue.is_empty(), queue.next_expiry().is_none());
        }
    }
}

#[test]
fn a_queue_that_never_empties_but_moves_stays_first_come_first_served() {
    let mut queue = Waiting::new(64, Duration::from_secs(10));
    let mut served = Vec::new();
    for ticket in 0..4_000u64 {
        let now = ms(ticket);
        assert_eq!(queue.offer(ticket, now), Offer::Queued);
        // Thirty wait all the time, thirty milliseconds each, for four seconds.
        if ticket >= 30 {
            served.extend(queue.next(now, |_| true, |_, _| ()));
        }
        assert!(!queue.is_saturated(now));
    }
    assert!(served.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(served.len(), 3_970);
}

/// Crowds of 60 who come back at once when served or after `patience`; one worker serves 100 a second for 20 seconds.
/// Returns how many of the last 1,000 turns found somebody who still waited.
fn turns_that_found_someone(patience: Duration, answer_takes: Duration) -> usize {
    let mut queue = Waiting::new(64, Duration::from_secs(5));
    let mut crowd: Vec<(u32, Duration)> = Vec::new();
    let (mut next_ticket, mut found) = (0u32, 0);
    for turn in 0u32..2_000 {
        let now = ms(u64::from(turn) * 10);
        let (gone, here): (Vec<_>, Vec<_>) = crowd
            .iter()
            .partition(|(_, since)| now - *since >= patience);
        gone.iter().for_each(|(ticket, _)| {
            queue.left(ticket, now);
        });
        crowd = here;
        while crowd.len() < 60 {
            queue.offer(next_ticket, now);
            crowd.push((next_ticket, now));
            next_ticket += 1;
        }
        let Some(served) = queue.next(now, |_| true, |_, _| ()) else {
            continue;
        };
        let at = crowd
            .iter()
            .position(|(ticket, _)| *ticket == served)
            .unwrap();
        let (_, since) = crowd.swap_remove(at);
        found += usize::from(turn >= 1_000 && now + answer_takes < since + patience);
    }
    found
}

#[test]
fn clients_less_patient_than_the_calm_still_get_their_answers() {
    for patience_ms in [100, 300, 450] {
        let found = turns_that_found_someone(ms(patience_ms), ms(20));
        assert!(found >= 950, "{found} of 1000 answers at {patience_ms} ms");
    }
}

#[test]
fn single_clients_who_leave_do_not_turn_the_queue() {
    let mut queue = Waiting::new(64, Duration::from_secs(10));
    let mut served = Vec::new();
    for ticket in 0..2_000u64 {
        let now = ms(ticket);
        queue.offer(ticket, now);
        if ticket % 10 == 0 && ticket > 100 {
            assert!(queue.left(&ticket, now));
        } else if ticket >= 30 {
            served.extend(queue.next(now, |_| true, |_, _| ()));
        }
    }
    assert!(served.windows(2).all(|pair| pair[0] < pair[1]));
}
