//! What has ended stays ended, for as long as it matters.

use std::time::Duration;

use mergepoint_edge_core::identity::feed::{Feed, Revocation, RevocationKind};
use mergepoint_edge_core::identity::revocations::{Applied, KEEP_S};
use mergepoint_edge_core::identity::Revocations;
use mergepoint_edge_core::snapshot::Identity;
use mergepoint_edge_core::Moment;
use proptest::prelude::*;
use serde_json::json;

use super::claims;

const NOW_S: f64 = 1100.0;
const START: Moment = Duration::from_secs(5);

fn revocation(position: u64, kind: RevocationKind, id: &str, before: f64) -> Revocation {
    Revocation {
        position,
        kind,
        id: id.to_owned(),
        before,
        at: before,
    }
}

fn session(position: u64, id: &str, before: f64) -> Revocation {
    revocation(position, RevocationKind::Session, id, before)
}

fn feed(position: u64, revocations: Vec<Revocation>) -> Feed {
    Feed {
        epoch: "e".into(),
        position,
        reset: false,
        keys: Vec::new(),
        revocations,
    }
}

fn table(max: usize, revocations: Vec<Revocation>) -> Revocations {
    let mut table = Revocations::new(max);
    let position = revocations.iter().map(|r| r.position).max().unwrap_or(0);
    table.apply(&feed(position, revocations), START, NOW_S);
    table
}

/// Whether a proof of this session, issued then, has ended.
fn ended(table: &Revocations, sid: &str, iat: f64) -> bool {
    table.ends(&claims(json!({"sid": sid, "iat": iat})))
}

#[test]
fn a_revocation_ends_earlier_proofs_of_its_id_and_no_later_ones() {
    let table = table(10, vec![session(1, "s1", 1000.5)]);
    assert!(ended(&table, "s1", 1000.4));
    assert!(!ended(&table, "s1", 1000.5));
    assert!(!ended(&table, "s2", 900.0));
}

#[test]
fn each_kind_ends_its_own() {
    use RevocationKind::{Session, Site, Subject, Token};
    let who = claims(json!({"token": "t1"}));
    for (kind, id, expected) in [
        (Session, "s1", true),
        (Subject, "u1", true),
        (Token, "t1", true),
        (Site, "", true),
        (Session, "u1", false),
        (Subject, "s1", false),
        (Token, "s1", false),
    ] {
        let table = table(10, vec![revocation(1, kind, id, 1050.0)]);
        assert_eq!(table.ends(&who), expected, "{kind:?} {id}");
    }
}

#[test]
fn of_several_revocations_of_one_id_the_latest_counts_in_any_order() {
    let table = table(10, vec![session(1, "s1", 1050.0), session(2, "s1", 900.0)]);
    assert!(ended(&table, "s1", 1049.0));
    assert_eq!(table.len(), 1);
}

#[test]
fn what_is_new_is_told_once() {
    let mut table = Revocations::new(10);
    let first = feed(2, vec![session(1, "a", 1000.0), session(2, "b", 1000.0)]);
    let Applied::Taken(new) = table.apply(&first, START, NOW_S) else {
        panic!()
    };
    assert_eq!(new.len(), 2);
    assert_eq!((table.epoch(), table.position()), (Some("e"), 2));
    let again = feed(3, vec![session(2, "b", 1000.0), session(3, "c", 1000.0)]);
    let Applied::Taken(new) = table.apply(&again, START, NOW_S) else {
        panic!()
    };
    assert_eq!(new, [session(3, "c", 1000.0)]);
    assert_eq!(
        table.apply(&again, START, NOW_S),
        Applied::Taken(Vec::new())
    );
}

#[test]
fn another_epoch_or_a_reset_brings_the_whole() {
    for (epoch, reset) in [("f", false), ("e", true)] {
        let mut table = table(10, vec![session(7, "a", 1000.5)]);
        let whole = Feed {
            epoch: epoch.into(),
            reset,
            ..feed(1, vec![session(1, "b", 1000.5)])
        };
        let Applied::Taken(new) = table.apply(&whole, START, NOW_S) else {
            panic!()
        };
        assert_eq!(new.len(), 1);
        assert_eq!(
            (table.epoch(), table.position(), table.len()),
            (Some(epoch), 1, 1)
        );
        assert!(ended(&table, "b", 1000.0) && !ended(&table, "a", 1000.0));
    }
}

#[test]
fn an_answer_that_stands_behind_ends_nothing_and_asks_for_everything() {
    let mut table = table(10, vec![session(7, "a", 1000.5)]);
    assert_eq!(
        table.apply(&feed(3, Vec::new()), START * 2, NOW_S),
        Applied::Behind
    );
    assert!(ended(&table, "a", 1000.0));
    assert_eq!((table.epoch(), table.position()), (None, 0));
    assert_eq!(table.age(START * 2), Some(START));
}

#[test]
fn what_no_proof_can_outlive_is_forgotten() {
    let mut table = table(10, vec![session(1, "a", 1000.0), session(2, "b", 1090.0)]);
    table.apply(&feed(2, Vec::new()), START, 1000.0 + KEEP_S);
    assert_eq!(table.len(), 1);
    assert!(ended(&table, "b", 1080.0));
    table.apply(
        &feed(3, vec![session(3, "old", 1000.0)]),
        START,
        1001.0 + KEEP_S,
    );
    assert_eq!(table.len(), 1);
}

#[test]
fn too_many_to_keep_apart_end_everything_older() {
    let mut table = table(2, vec![session(1, "a", 1000.0), session(2, "b", 1050.0)]);
    assert!(!ended(&table, "other", 900.0));
    assert_eq!(table.overflows(), 0);
    table.apply(&feed(3, vec![session(3, "c", 1020.0)]), START, NOW_S);
    assert_eq!((table.overflows(), table.len()), (1, 0));
    for sid in ["a", "b", "c", "other"] {
        assert!(ended(&table, sid, 1049.0), "{sid}");
        assert!(!ended(&table, sid, 1050.0), "{sid}");
    }
    table.apply(&feed(4, vec![session(4, "d", 1060.0)]), START, NOW_S);
    assert_eq!(table.len(), 1);
    assert!(ended(&table, "d", 1055.0) && !ended(&table, "a", 1055.0));
}

#[test]
fn a_full_table_still_takes_what_it_has_room_for() {
    let mut table = table(2, vec![session(1, "a", 1000.0), session(2, "b", 1000.0)]);
    let site = revocation(4, RevocationKind::Site, "", 900.0);
    table.apply(&feed(4, vec![session(3, "a", 1050.0), site]), START, NOW_S);
    assert_eq!((table.overflows(), table.len()), (0, 2));
    assert!(ended(&table, "a", 1049.0) && ended(&table, "x", 899.0));
}

#[test]
fn nobody_is_proven_before_the_feed_was_read_or_long_after() {
    let identity: Identity = serde_json::from_value(super::issue::identity()).unwrap();
    let mut table = Revocations::new(10);
    assert!(!table.is_ready(START, &identity) && table.age(START).is_none());
    table.apply(&feed(0, Vec::new()), START, NOW_S);
    assert!(table.is_ready(START, &identity));
    assert!(table.is_ready(START + Duration::from_secs(900), &identity));
    assert!(!table.is_ready(START + Duration::from_millis(900_001), &identity));
    let hasty = Identity {
        stale_s: 0.0,
        ..identity
    };
    assert!(table.is_ready(START + Duration::from_secs(2), &hasty));
    assert!(!table.is_ready(START + Duration::from_secs(3), &hasty));
}

proptest! {
    #[test]
    fn what_was_revoked_within_the_hour_never_comes_to_life_again(
        all in prop::collection::vec((0..6_u8, 1000..1100_u32), 1..40), max in 1..4_usize
    ) {
        let mut table = Revocations::new(max);
        for (position, (id, before)) in (1..).zip(&all) {
            let one = session(position, &id.to_string(), f64::from(*before));
            table.apply(&feed(position, vec![one]), START, NOW_S);
            prop_assert!(table.len() <= max);
        }
        for (id, before) in &all {
            prop_assert!(ended(&table, &id.to_string(), f64::from(*before) - 0.5));
        }
    }
}
