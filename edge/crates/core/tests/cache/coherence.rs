//! The rules I1 to I8 and I12 on the edge's side.

use std::collections::BTreeMap;
use std::time::Duration;

use mergepoint_edge_core::cache::coherence::{lease_end, Log, Outcome, Source, REMEMBERED_MAX};
use mergepoint_edge_core::cache::feed::{Line, Pulled, Reading};
use mergepoint_edge_core::cache::tags::Tag;
use proptest::prelude::*;
use serde_json::Value;

const LEASE: Duration = Duration::from_secs(2);

fn tags(texts: &[&str]) -> Vec<Tag> {
    texts.iter().map(|text| Tag::from(*text)).collect()
}

fn pulled(epoch: &str, at: u64) -> Pulled {
    Pulled {
        epoch: epoch.to_owned(),
        cursor: format!("c{at}"),
        tags: vec![],
        flush: false,
        lease_left_s: 1.5,
        at,
        tables: None,
    }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_fill_is_kept_only_if_nothing_it_was_made_from_changed_since_it_began() {
    let mut log = Log::default();
    log.record(["main/a"]);
    let began = log.token();
    assert!(log.permits(began, tags(&["main/a", "main/b"]).iter()));
    log.record(["main/b:id=4", "main/b"]);
    assert!(log.permits(began, tags(&["main/a", "main/b:id=5"]).iter()));
    assert!(!log.permits(began, tags(&["main/b"]).iter()));
    assert!(!log.permits(began, tags(&["main/a", "main/b:id=4"]).iter()));
    assert!(log.permits(log.token(), tags(&["main/b"]).iter()));
}

#[test]
fn a_whole_table_or_source_that_changed_counts_for_each_of_its_rows() {
    let mut log = Log::default();
    let began = log.token();
    log.record(["main/a:*"]);
    assert!(!log.permits(began, tags(&["main/a:id=1"]).iter()));
    assert!(log.permits(began, tags(&["main/b:id=1"]).iter()));
    log.flush("main");
    assert!(!log.permits(began, tags(&["main/b:id=1"]).iter()));
    assert!(log.permits(began, tags(&["other/b:id=1", "@app/g"]).iter()));
    log.flush_all();
    assert!(!log.permits(began, tags(&[]).iter()));
}

#[test]
fn what_is_forgotten_counts_as_changed() {
    let mut log = Log::default();
    let began = log.token();
    for n in 0..=REMEMBERED_MAX {
        log.record([format!("main/t:id={n}").as_str()]);
    }
    assert!(!log.permits(began, tags(&["main/untouched"]).iter()));
    assert!(log.permits(log.token(), tags(&["main/untouched"]).iter()));
}

#[test]
fn a_lease_counts_from_the_moment_the_question_was_sent() {
    let mut source = Source::default();
    assert!(!source.is_leased(s(0)));
    let asked = source.asked(s(10));
    assert_eq!(
        source.answered(&asked, &pulled("e", 1), LEASE),
        Outcome::Changed
    );
    assert!(source.is_leased(s(11)));
    assert!(
        !source.is_leased(Duration::from_millis(11_500)),
        "the hub's own is shorter"
    );
    let asked = source.asked(s(20));
    let long = Pulled {
        lease_left_s: 60.0,
        ..pulled("e", 2)
    };
    source.answered(&asked, &long, LEASE);
    assert!(source.is_leased(Duration::from_millis(21_999)) && !source.is_leased(s(22)));
}

#[test]
fn an_answer_older_than_what_was_applied_is_dropped() {
    let mut source = Source::default();
    let (early, late) = (source.asked(s(1)), source.asked(s(2)));
    source.answered(&late, &pulled("e", 5), LEASE);
    let early = source.answered(&early, &pulled("e", 4), LEASE);
    assert_eq!((early, source.at()), (Outcome::Dropped, 5));
    assert_eq!(source.place(), (Some("e"), Some("c5")));
}

#[test]
fn an_answer_to_a_question_from_another_epoch_is_dropped() {
    let mut source = Source::default();
    let first = source.asked(s(1));
    source.answered(&first, &pulled("e1", 1), LEASE);
    let (slow, quick) = (source.asked(s(2)), source.asked(s(3)));
    let switched = Pulled {
        flush: true,
        ..pulled("e2", 3)
    };
    assert_eq!(source.answered(&quick, &switched, LEASE), Outcome::Flush);
    assert_eq!(source.generation(), 1);
    assert_eq!(
        source.answered(&slow, &pulled("e1", 9), LEASE),
        Outcome::Dropped
    );
    assert_eq!(source.epoch(), Some("e2"));
}

#[test]
fn another_epoch_is_a_flush_even_if_the_hub_does_not_say_so() {
    let mut source = Source::default();
    let asked = source.asked(s(1));
    source.answered(&asked, &pulled("e1", 1), LEASE);
    assert_eq!(source.told(&pulled("e1", 1)), Outcome::Dropped);
    assert_eq!(
        source.told(&pulled("e0", 1)),
        Outcome::Dropped,
        "said before"
    );
    assert_eq!(source.told(&pulled("e2", 2)), Outcome::Flush);
}

#[test]
fn a_new_hub_counts_anew_and_its_first_answer_is_taken() {
    let mut source = Source::default();
    let asked = source.asked(s(1));
    source.answered(&asked, &pulled("e", 900), LEASE);
    source.hub_changed();
    let asked = source.asked(s(2));
    assert_eq!(
        source.answered(&asked, &pulled("e", 1), LEASE),
        Outcome::Changed
    );
}

#[test]
fn a_tag_is_kept_by_what_changes_are_told_by() {
    let mut source = Source::default();
    assert_eq!(source.told_by(&"main/a".into()), None);
    let tables = BTreeMap::from([("a".to_owned(), vec!["id".to_owned()])]);
    let asked = source.asked(s(1));
    let first = Pulled {
        tables: Some(tables),
        ..pulled("e", 1)
    };
    source.answered(&asked, &first, LEASE);
    let told = |tag: &str| source.told_by(&tag.into()).map(|tag| tag.to_string());
    assert_eq!(told("main/a").as_deref(), Some("main/a"));
    assert_eq!(told("main/a:id=4").as_deref(), Some("main/a:id=4"));
    assert_eq!(told("main/a:slug=x").as_deref(), Some("main/a"));
    assert_eq!(told("main/b"), None);
}

#[test]
fn the_hubs_lines_are_told_apart() {
    let hello = br#"{"id":1,"ok":true,"hub":"h","sources":["main"],"lease_s":2.0,"poll_s":0.02}"#;
    assert!(matches!(Line::parse(hello), Some(Line::Hello { sources, .. }) if sources == ["main"]));
    let answer = br#"{"id":2,"sources":{"main":{"epoch":"e","cursor":"c","tags":["main/a"],"flush":false,"lease_left_s":1.9,"at":3},"b":{"error":"gone"}}}"#;
    let Some(Line::Pulled { id: 2, sources }) = Line::parse(answer) else {
        panic!("not an answer");
    };
    assert!(matches!(&sources["main"], Reading::Pulled(pulled) if pulled.at == 3));
    assert!(matches!(&sources["b"], Reading::Failed { error } if error == "gone"));
    let event = br#"{"event":"barrier","barrier":7,"sources":{}}"#;
    assert!(matches!(Line::parse(event), Some(Line::Barrier { .. })));
    let refusal = br#"{"id":4,"ok":false,"error":{"code":"x","message":"y"}}"#;
    assert!(matches!(
        Line::parse(refusal),
        Some(Line::Other { id: Some(4) })
    ));
    assert_eq!(Line::parse(b"[]"), None);
}

/// The model's decisions, written by `mergepoint_testkit.cache_model.golden`.
fn golden(decision: &str) -> Vec<(Value, Value)> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/golden/cache_rules.json"
    );
    let table: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let cases = table["cases"].as_array().unwrap().clone();
    let chosen = cases
        .into_iter()
        .filter(|case| case["decision"] == decision);
    let chosen: Vec<_> = chosen
        .map(|case| (case["given"].clone(), case["verdict"].clone()))
        .collect();
    assert!(!chosen.is_empty(), "{decision}");
    chosen
}

fn named(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap())
        .collect()
}

#[test]
fn the_model_and_the_edge_agree_on_which_tags_a_change_strikes() {
    for (given, verdict) in golden("struck") {
        let mut log = Log::default();
        let began = log.token();
        log.record(named(&given["invalidated"]));
        let kept = log.permits(began, tags(&[given["tag"].as_str().unwrap()]).iter());
        assert_eq!(if kept { "kept" } else { "struck" }, verdict, "{given}");
    }
}

/// One source's part in a fill, replayed as the edge would have lived it.
fn one_source_permits(name: &str, given: &Value) -> bool {
    let Some(source) = given["sources"].get(name) else {
        return false;
    };
    let mark = &given["marks"][name];
    let (round, forgotten) = (
        mark["round"].as_u64(),
        source["forgotten"].as_u64().unwrap_or(0),
    );
    let round = round.unwrap_or(0);
    let mut log = Log::default();
    let changes: Vec<(&String, u64)> = source["last"]
        .as_object()
        .map(|last| {
            last.iter()
                .map(|(tag, at)| (tag, at.as_u64().unwrap()))
                .collect()
        })
        .unwrap_or_default();
    let replay = |log: &mut Log, after: bool| {
        for (tag, _) in changes.iter().filter(|(_, at)| (*at > round) == after) {
            log.record([tag.as_str()]);
        }
    };
    replay(&mut log, false);
    let began = log.token();
    replay(&mut log, true);
    if forgotten > round {
        log.flush_all();
    }
    if source["generation"] != mark["generation"] {
        log.flush(name);
    }
    let made_from = named(&given["tags"]);
    let own: Vec<&str> = made_from
        .into_iter()
        .filter(|tag| tag.split('/').next() == Some(name))
        .collect();
    let leased = source["lease_end"].as_f64() > given["now"].as_f64();
    leased && log.permits(began, tags(&own).iter())
}

#[test]
fn the_model_and_the_edge_agree_on_what_is_stored_and_delivered() {
    for decision in ["store", "deliver"] {
        for (given, verdict) in golden(decision) {
            let fits = match given["tags"].is_null() {
                true => false,
                false => {
                    let mut sources: Vec<&str> = named(&given["tags"])
                        .into_iter()
                        .filter_map(mergepoint_edge_core::cache::tags::source)
                        .collect();
                    sources.sort_unstable();
                    sources.dedup();
                    sources
                        .into_iter()
                        .all(|name| one_source_permits(name, &given))
                }
            };
            let good = matches!(verdict.as_str(), Some("stored" | "deliver"));
            assert_eq!(fits, good, "{decision}: {given} {verdict}");
        }
    }
}

#[test]
fn the_model_and_the_edge_agree_on_when_a_lease_ends() {
    for (given, verdict) in golden("lease_end") {
        let time = |name: &str| given[name].as_f64().unwrap();
        let lease = Duration::from_secs_f64(time("lease_s"));
        let end = lease_end(
            Duration::from_secs_f64(time("sent")),
            lease,
            time("lease_left_s"),
        );
        assert_eq!(Some(end.as_secs_f64()), verdict.as_f64(), "{given}");
    }
}

/// A source that lived until it had this epoch, generation and count.
fn lived(epoch: Option<&str>, generation: u64, at: u64) -> Source {
    let mut source = Source::default();
    let Some(epoch) = epoch else { return source };
    for n in 0..generation {
        source.hub_changed();
        source.told(&Pulled {
            flush: true,
            ..pulled(epoch, n + 1)
        });
    }
    source.hub_changed();
    source.told(&pulled(epoch, at.max(1)));
    source
}

#[test]
fn the_model_and_the_edge_agree_on_which_readings_are_applied() {
    for (given, verdict) in golden("receive") {
        if given["connection"] != given["source"]["connection"] {
            // A connection's lines are read by its own session alone.
            assert_eq!(verdict, "other-connection");
            continue;
        }
        let now = &given["source"];
        let (epoch, at) = (now["epoch"].as_str(), now["at"].as_u64().unwrap_or(0));
        let generation = now["generation"].as_u64().unwrap();
        let mut source = lived(epoch, generation, at);
        let said = &given["pulled"];
        let reading = Pulled {
            flush: said["flush"].as_bool().unwrap(),
            ..pulled(
                said["epoch"].as_str().unwrap(),
                said["at"].as_u64().unwrap(),
            )
        };
        let asked = &given["asked"];
        let outcome = if asked.is_null() {
            source.told(&reading)
        } else {
            let then = lived(
                asked["epoch"].as_str(),
                asked["generation"].as_u64().unwrap(),
                1,
            );
            source.answered(&then.asked(s(1)), &reading, LEASE)
        };
        let expected = match verdict.as_str().unwrap() {
            "apply" => Outcome::Changed,
            "flush" => Outcome::Flush,
            _ => Outcome::Dropped,
        };
        assert_eq!(outcome, expected, "{given}");
    }
}

proptest! {
    #[test]
    fn positions_never_move_back(answers in proptest::collection::vec((0u64..20, any::<bool>()), 1..40)) {
        let mut source = Source::default();
        let mut generation = 0;
        for (at, flush) in answers {
            let before = source.at();
            let asked = source.asked(s(1));
            source.answered(&asked, &Pulled { flush, ..pulled("e", at) }, LEASE);
            prop_assert!(source.at() >= before);
            prop_assert!(source.generation() >= generation);
            generation = source.generation();
        }
    }

    #[test]
    fn no_line_brings_the_reader_down(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Line::parse(&line);
    }
}
