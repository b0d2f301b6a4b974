//! Age and life: RFC 9111 section 4.2, RFC 5861.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mergepoint_edge_core::cache::control::Directives;
use mergepoint_edge_core::cache::freshness::{initial_age, lifetime, Arrival, Life, Use};
use proptest::prelude::*;

use super::fields;

const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn arrival() -> Arrival {
    Arrival {
        asked: Duration::from_secs(10),
        came: Duration::from_secs(12),
        wall: wall(),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lives(pairs: &[(&str, &str)]) -> Option<Duration> {
    let headers = fields(pairs);
    lifetime(&headers, &Directives::of(&headers), wall())
}

#[test]
fn s_maxage_beats_max_age_beats_expires() {
    let later = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
    assert_eq!(lives(&[later, ("date", NOW)]), Some(seconds(60)));
    assert_eq!(
        lives(&[later, ("cache-control", "max-age=5")]),
        Some(seconds(5))
    );
    let both = ("cache-control", "max-age=5, s-maxage=7");
    assert_eq!(lives(&[later, both]), Some(seconds(7)));
    assert_eq!(lives(&[("date", NOW)]), None);
}

#[test]
fn an_expires_that_cannot_be_read_has_passed() {
    for broken in ["0", "tomorrow", "Sun, 06 Nov 1994 08:50:37 UTC", ""] {
        assert_eq!(
            lives(&[("expires", broken), ("date", NOW)]),
            Some(seconds(0)),
            "{broken}"
        );
    }
    let twice = [("expires", "Sun, 06 Nov 1994 08:50:37 GMT"); 2];
    assert_eq!(lives(&twice), Some(seconds(0)));
}

#[test]
fn expires_says_nothing_beside_a_targeted_field() {
    let pairs = [("expires", NOW), ("cdn-cache-control", "public")];
    assert_eq!(lives(&pairs), None);
}

#[test]
fn an_answer_is_as_old_as_its_date_or_its_age_and_the_way_here_say() {
    let age = |pairs: &[(&str, &str)]| initial_age(&fields(pairs), arrival()).as_secs();
    assert_eq!(age(&[]), 2);
    assert_eq!(age(&[("age", "30")]), 32);
    assert_eq!(age(&[("date", "Sun, 06 Nov 1994 08:48:37 GMT")]), 60);
    assert_eq!(age(&[("date", "Sun, 06 Nov 1994 08:59:37 GMT")]), 2);
    assert_eq!(age(&[("age", "7, 9")]), 9);
    assert_eq!(age(&[("age", "7"), ("age", "9")]), 9);
    for broken in ["-1", "7.5", "soon", ""] {
        assert_eq!(age(&[("age", broken)]), 2, "{broken}");
    }
}

fn life() -> Life {
    Life {
        since: seconds(100),
        age: seconds(5),
        fresh: seconds(20),
        while_revalidate: seconds(10),
        if_error: seconds(30),
        always_ask: false,
        never_stale: false,
    }
}

#[test]
fn a_life_goes_through_its_stages_in_order() {
    let life = life();
    let at = |moment| life.at(seconds(moment));
    assert_eq!([at(100), at(114)], [Use::Fresh, Use::Fresh]);
    assert_eq!(
        [at(115), at(124)],
        [Use::WhileRevalidate, Use::WhileRevalidate]
    );
    assert_eq!([at(125), at(144)], [Use::IfError, Use::IfError]);
    assert_eq!(at(145), Use::Ask);
    assert_eq!(
        (life.ttl_s(seconds(100)), life.ttl_s(seconds(120))),
        (15, -5)
    );
}

#[test]
fn whoever_forbids_stale_answers_gets_none() {
    let never = Life {
        never_stale: true,
        ..life()
    };
    assert_eq!(
        (never.at(seconds(114)), never.at(seconds(115))),
        (Use::Fresh, Use::Ask)
    );
    let asks = Life {
        always_ask: true,
        ..life()
    };
    assert_eq!(asks.at(seconds(100)), Use::Ask);
}

proptest! {
    #[test]
    fn an_answer_never_becomes_fresh_again(age in 0u64..1 << 40, fresh in 0u64..1 << 32, a in 0u64..1 << 40, b in 0u64..1 << 40) {
        let life = Life { age: seconds(age), fresh: seconds(fresh), ..life() };
        let (early, late) = (seconds(a.min(b)), seconds(a.max(b)));
        prop_assert!(life.at(early) == Use::Fresh || life.at(late) != Use::Fresh);
        prop_assert!(life.age_at(early) <= life.age_at(late));
    }
}
