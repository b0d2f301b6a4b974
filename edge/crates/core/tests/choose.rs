//! Which slot gets a request, and how a visitor keeps it.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use http::HeaderMap;
use mergepoint_edge_core::affinity;
use mergepoint_edge_core::choose::{bound, choose, Choice, Rules, SlotView, Wish};
use mergepoint_edge_core::forwarded::Scheme;
use mergepoint_edge_core::snapshot::{Balance, BalanceBy, Group, Secret};
use mergepoint_edge_core::sticky;
use proptest::prelude::*;

const RULES: Rules = Rules {
    concurrency: 4,
    load_factor: 1.5,
    load_floor: 2,
    canary_share: 0.0,
};

fn slots(in_flight: &[u32]) -> Vec<SlotView> {
    let view = |(slot, in_flight): (usize, &u32)| SlotView {
        slot: u32::try_from(slot).unwrap(),
        usable: true,
        group: Group::Stable,
        in_flight: *in_flight,
    };
    in_flight.iter().enumerate().map(view).collect()
}

fn keyed(key: u64) -> Wish {
    Wish {
        key: Some(key),
        ..Wish::default()
    }
}

fn random(random: u64) -> Wish {
    Wish {
        random,
        ..Wish::default()
    }
}

#[test]
fn the_least_loaded_slot_is_chosen_and_chance_breaks_ties() {
    let views = slots(&[2, 1, 3, 1]);
    let chosen: Vec<Choice> = (0..2).map(|n| choose(&views, &RULES, &random(n))).collect();
    assert_eq!(chosen, [Choice::Chosen(1), Choice::Chosen(3)]);
}

#[test]
fn full_and_absent_are_different_answers() {
    assert_eq!(choose(&slots(&[4, 4]), &RULES, &random(0)), Choice::Full);
    assert_eq!(choose(&slots(&[4, 9]), &RULES, &keyed(1)), Choice::Full);
    assert_eq!(choose(&[], &RULES, &random(0)), Choice::NoneReady);
    let mut views = slots(&[0, 4]);
    views[0].usable = false;
    assert_eq!(choose(&views, &RULES, &random(0)), Choice::Full);
    views[1].usable = false;
    assert_eq!(choose(&views, &RULES, &keyed(7)), Choice::NoneReady);
}

#[test]
fn a_sticky_slot_is_waited_for_and_left_only_when_it_is_unusable() {
    let wish = Wish {
        sticky: Some(2),
        key: None,
        random: 0,
    };
    let mut views = slots(&[0, 0, 3]);
    assert_eq!(choose(&views, &RULES, &wish), Choice::Chosen(2));
    views[2].in_flight = 4;
    assert_eq!(choose(&views, &RULES, &wish), Choice::Full);
    views[2].usable = false;
    assert_eq!(choose(&views, &RULES, &wish), Choice::Chosen(0));
    assert_eq!(choose(&slots(&[1, 0]), &RULES, &wish), Choice::Chosen(1));
}

#[test]
fn the_canary_gets_its_share_and_a_key_stays_on_its_side() {
    let rules = Rules {
        concurrency: 1000,
        canary_share: 0.1,
        ..RULES
    };
    let mut views = slots(&[0, 0, 0]);
    views[2].group = Group::Canary;
    let drawn = (0..10_000)
        .filter(|n| choose(&views, &rules, &random(*n)) == Choice::Chosen(2))
        .count();
    assert!((800..1_200).contains(&drawn), "{drawn} of 10000");
    let drawn = (0..10_000)
        .filter(|n| choose(&views, &rules, &keyed(*n)) == Choice::Chosen(2))
        .count();
    assert!((800..1_200).contains(&drawn), "{drawn} of 10000");
    for key in 0..100 {
        let with = |random| {
            choose(
                &views,
                &rules,
                &Wish {
                    random,
                    ..keyed(key)
                },
            )
        };
        assert_eq!(with(1), with(2));
    }
    let off = Rules {
        canary_share: 0.0,
        ..rules
    };
    assert!((0..1_000).all(|n| choose(&views, &off, &random(n)) != Choice::Chosen(2)));
    let all = Rules {
        canary_share: 1.0,
        ..rules
    };
    assert!((0..1_000).all(|n| choose(&views, &all, &random(n)) == Choice::Chosen(2)));
}

#[test]
fn a_full_canary_overflows_and_a_full_stable_release_does_not() {
    let mut views = slots(&[4, 4]);
    views[1].group = Group::Canary;
    views[0].in_flight = 0;
    let all = Rules {
        canary_share: 1.0,
        ..RULES
    };
    assert_eq!(choose(&views, &all, &random(0)), Choice::Chosen(0));
    views[0].in_flight = 4;
    views[1].in_flight = 0;
    assert_eq!(choose(&views, &RULES, &random(0)), Choice::Full);
    views[0].usable = false;
    assert_eq!(choose(&views, &RULES, &random(0)), Choice::Chosen(1));
}

#[test]
fn a_key_falls_back_to_its_next_slot_when_its_own_holds_its_bound() {
    let mut views = slots(&[0; 8]);
    let Choice::Chosen(home) = choose(&views, &RULES, &keyed(42)) else {
        panic!()
    };
    views[home].in_flight = 2;
    let Choice::Chosen(second) = choose(&views, &RULES, &keyed(42)) else {
        panic!()
    };
    assert_ne!(home, second);
    views[home].in_flight = 1;
    assert_eq!(choose(&views, &RULES, &keyed(42)), Choice::Chosen(home));
}

#[test]
fn keys_spread_evenly() {
    let views = slots(&[0; 10]);
    let mut counts = HashMap::new();
    for key in 0..10_000 {
        *counts
            .entry(choose(&views, &RULES, &keyed(key)))
            .or_insert(0) += 1;
    }
    assert!(
        counts.values().all(|count| (800..1_200).contains(count)),
        "{counts:?}"
    );
}

proptest! {
    #[test]
    fn when_a_slot_goes_only_its_own_keys_move(count in 2usize..12, gone in any::<prop::sample::Index>(), keys in 0u64..1_000_000) {
        let before = slots(&vec![0; count]);
        let mut after = before.clone();
        let gone = gone.index(count);
        after[gone].usable = false;
        for key in keys..keys + 50 {
            let old = choose(&before, &RULES, &keyed(key));
            if old != Choice::Chosen(gone) {
                prop_assert_eq!(old, choose(&after, &RULES, &keyed(key)));
            }
        }
    }

    #[test]
    fn the_order_of_the_slots_does_not_matter(count in 1usize..12, key in any::<u64>()) {
        let views = slots(&vec![0; count]);
        let reversed: Vec<SlotView> = views.iter().rev().copied().collect();
        let slot = |views: &[SlotView]| match choose(views, &RULES, &keyed(key)) {
            Choice::Chosen(index) => Some(views[index].slot),
            _ => None,
        };
        prop_assert_eq!(slot(&views), slot(&reversed));
    }

    #[test]
    fn no_slot_ever_holds_more_than_its_bound(
        count in 1usize..10, keys in proptest::collection::vec(0u64..5, 1..200), concurrency in 1u32..50,
    ) {
        let rules = Rules { concurrency, ..RULES };
        let mut views = slots(&vec![0; count]);
        for key in keys {
            let held: u64 = views.iter().map(|view| u64::from(view.in_flight)).sum();
            match choose(&views, &rules, &keyed(key)) {
                Choice::Chosen(index) => {
                    prop_assert!(views[index].in_flight < bound(&rules, held, count));
                    views[index].in_flight += 1;
                }
                other => {
                    prop_assert_eq!(other, Choice::Full);
                    prop_assert!(views.iter().all(|view| view.in_flight >= concurrency));
                }
            }
        }
    }

    #[test]
    fn only_usable_slots_with_room_are_chosen(
        views in proptest::collection::vec((0u32..20, any::<bool>(), any::<bool>(), 0u32..6), 0..10),
        sticky in proptest::option::of(0u32..20), key in proptest::option::of(any::<u64>()), random in any::<u64>(),
        canary_share in 0.0f64..=1.0,
    ) {
        let group = |canary| if canary { Group::Canary } else { Group::Stable };
        let views: Vec<SlotView> = views
            .into_iter()
            .map(|(slot, usable, canary, in_flight)| SlotView { slot, usable, group: group(canary), in_flight })
            .collect();
        match choose(&views, &Rules { canary_share, ..RULES }, &Wish { sticky, key, random }) {
            Choice::Chosen(index) => prop_assert!(views[index].usable && views[index].in_flight < 4),
            Choice::NoneReady => prop_assert!(views.iter().all(|view| !view.usable)),
            Choice::Full => prop_assert!(views.iter().any(|view| view.usable && view.in_flight >= 4)),
        }
    }
}

fn balance(by: BalanceBy, name: &str, segments: usize) -> Balance {
    Balance {
        by,
        name: name.to_owned(),
        segments,
        load_factor: 1.5,
        load_floor: 4,
    }
}

#[test]
fn a_key_is_what_the_rule_names() {
    let mut headers = HeaderMap::new();
    headers.insert("x-tenant", "blue".parse().unwrap());
    headers.insert("cookie", "sid=blue; other=".parse().unwrap());
    let path =
        |rest, segments| affinity::key(&balance(BalanceBy::Path, "", segments), rest, &headers);
    assert_eq!(path("/a/b/c", 1), path("/a/x", 1));
    assert_ne!(path("/a/b/c", 2), path("/a/x", 2));
    assert_eq!(path("/a/b", 2), path("/a/b/c", 2));
    assert_eq!(path("/a", 3), path("/a", 1));
    assert_eq!(path("", 1), None);
    assert_eq!(path("/", 1), None);
    let header = affinity::key(&balance(BalanceBy::Header, "X-Tenant", 1), "/", &headers);
    let cookie = affinity::key(&balance(BalanceBy::Cookie, "sid", 1), "/", &headers);
    assert!(header.is_some() && header == cookie);
    for (by, name) in [
        (BalanceBy::Header, "x-none"),
        (BalanceBy::Cookie, "other"),
        (BalanceBy::Least, ""),
    ] {
        assert_eq!(affinity::key(&balance(by, name, 1), "/a", &headers), None);
    }
}

fn secret() -> Secret {
    Secret::from_bytes(&[7; 32])
}

#[test]
fn a_sticky_cookie_names_its_slot_for_its_app_only() {
    let value = sticky::value(&secret(), "tickets", 12);
    assert_eq!(sticky::verify(&secret(), "tickets", &value), Some(12));
    assert_eq!(sticky::verify(&secret(), "wiki", &value), None);
    assert_eq!(
        sticky::verify(&Secret::from_bytes(&[8; 32]), "tickets", &value),
        None
    );
    let largest = sticky::value(&secret(), "tickets", u32::MAX);
    assert_eq!(
        sticky::verify(&secret(), "tickets", &largest),
        Some(u32::MAX)
    );
}

#[test]
fn forged_values_are_no_slots() {
    let value = sticky::value(&secret(), "a", 1);
    let mac = value.split_once('.').unwrap().1;
    for forged in [
        String::new(),
        ".".into(),
        "1".into(),
        "1.".into(),
        format!("2.{mac}"),
        format!("+1.{mac}"),
        format!("01.{mac}"),
        format!("1.{}", &mac[..21]),
        format!("1.{}", &mac[..20]),
        format!("1.{}", &mac[..4]),
        format!("1.{mac}A"),
        format!("1.{mac}="),
        format!("1.{}", "A".repeat(22)),
        format!("{value} "),
    ] {
        assert_eq!(sticky::verify(&secret(), "a", &forged), None, "{forged}");
    }
}

#[test]
fn the_cookie_is_bound_to_mount_and_scheme() {
    let field = |mount, scheme| sticky::set_cookie(&secret(), "tickets", 3, mount, scheme).unwrap();
    let value = sticky::value(&secret(), "tickets", 3);
    assert_eq!(
        field("/tickets", Scheme::Http),
        format!("__mp_tickets={value}; Path=/tickets; HttpOnly; SameSite=Lax")
    );
    assert_eq!(
        field("/", Scheme::Https),
        format!("__mp_tickets={value}; Path=/; HttpOnly; SameSite=Lax; Secure")
    );
    let mut headers = HeaderMap::new();
    headers.insert(
        "cookie",
        format!("a=1; __mp_tickets={value}").parse().unwrap(),
    );
    assert_eq!(
        sticky::from_request(&secret(), "tickets", &headers),
        Some(3)
    );
    assert_eq!(sticky::from_request(&secret(), "wiki", &headers), None);
}

proptest! {
    #[test]
    fn no_other_text_verifies(text in "[0-9]{1,3}\\.[A-Za-z0-9_-]{0,24}", any_text in any::<String>()) {
        prop_assert_eq!(sticky::verify(&secret(), "a", &text), None);
        prop_assert_eq!(sticky::verify(&secret(), "a", &any_text), None);
    }

    #[test]
    fn a_changed_character_breaks_the_cookie(slot in any::<u32>(), at in any::<prop::sample::Index>(), new in "[A-Za-z0-9_.-]") {
        let value = sticky::value(&secret(), "a", slot);
        let at = at.index(value.len());
        let mut changed = value.clone();
        changed.replace_range(at..=at, &new);
        prop_assume!(changed != value);
        prop_assert_eq!(sticky::verify(&secret(), "a", &changed), None);
    }
}
