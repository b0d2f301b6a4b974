//! A token that was refused is good as soon as what refused it has changed.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{json, Value};

use super::accounts::sign;
use super::{claims, now_s, Accounts, Site};
use crate::stand::{eventually, Worker};

fn cookie(token: &str) -> String {
    format!("mergepoint-session={token}")
}

fn refused(site: &Site, reason: &str) -> u64 {
    let counted = &site.stats()["refused"][reason];
    counted.as_u64().unwrap_or_default()
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims("ada", &[]);
    claims[name] = value;
    claims
}

#[test]
fn every_refusal_is_counted_under_its_reason_remembered_or_not() {
    let site = Site::start();
    let other = cookie(&site.accounts.token(&with("aud", json!("elsewhere"))));
    let mut long_ago = claims("ada", &[]);
    long_ago["iat"] = json!(now_s() - 2000.0);
    long_ago["exp"] = json!(now_s() - 1400.0);
    let ended = cookie(&site.accounts.token(&long_ago));
    for _ in 0..3 {
        assert_eq!(site.get_as("/", &other).status, 401);
        assert_eq!(site.get_as("/", &ended).status, 401);
    }
    let counted = (refused(&site, "audience"), refused(&site, "ended"));
    assert_eq!(counted, (3, 3), "{}", site.stats());
}

#[test]
fn a_token_that_one_key_refused_is_good_under_the_key_that_takes_its_name() {
    let accounts = Accounts::start();
    let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(other.public_key().as_ref());
    accounts.with(|known| known.told_key = Some(x));
    let site = Site::beside(Worker::saying("hello"), accounts, |_| {});
    let early = cookie(&site.accounts.token(&claims("ada", &[])));
    let late = cookie(&sign(&other, "mps+jwt", &claims("ada", &[])));
    for _ in 0..2 {
        assert_eq!(site.get_as("/", &early).status, 401);
    }
    assert_eq!(refused(&site, "signature"), 2);
    assert_eq!(site.get_as("/", &late).status, 200);

    site.accounts.with(|known| known.told_key = None);
    eventually("the edge has read the new key", || {
        site.get_as("/", &early).status == 200
    });
    assert_eq!(site.get_as("/", &late).status, 401, "its key is gone");
}

#[test]
fn a_token_of_another_site_is_good_when_the_site_takes_that_name() {
    let site = Site::start();
    let token = cookie(&site.accounts.token(&with("aud", json!("renamed"))));
    for _ in 0..2 {
        assert_eq!(site.get_as("/", &token).status, 401);
    }
    let applied = site
        .stand
        .apply(|snapshot| snapshot["site"] = json!("renamed"));
    assert_eq!(applied["ok"], true, "{applied}");
    assert_eq!(site.get_as("/", &token).status, 200);
}

#[test]
fn a_token_from_the_future_is_good_as_soon_as_its_time_has_come() {
    let site = Site::with(Worker::saying("hello"), |snapshot| {
        snapshot["identity"]["skew_s"] = json!(0.0);
    });
    // So far ahead that the first question comes before its time on a busy machine, too.
    let token = cookie(&site.accounts.token(&with("iat", json!(now_s() + 2.0))));
    assert_eq!(site.get_as("/", &token).status, 401);
    assert_eq!(refused(&site, "future"), 1);
    eventually("its time comes", || site.get_as("/", &token).status == 200);
}

#[test]
fn a_session_that_was_ended_stays_ended_however_often_it_is_brought() {
    let site = Site::start();
    let ada = cookie(&site.accounts.token(&claims("ada", &[])));
    assert_eq!(site.get_as("/", &ada).status, 200);
    site.accounts.revoke("session", "sid-ada");
    eventually("the edge has read of it", || site.stats()["position"] == 1);
    for _ in 0..3 {
        assert_eq!(site.get_as("/", &ada).status, 401);
    }
    assert_eq!(refused(&site, "revoked"), 3);
    let bob = cookie(&site.accounts.token(&claims("bob", &[])));
    assert_eq!(site.get_as("/", &bob).status, 200);
}
