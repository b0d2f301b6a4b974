//! API tokens, as Bearer and as the password of Basic: checked once, remembered, withdrawn.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use serde_json::{json, Value};

use super::{access, claims, code, Site};
use crate::stand::{eventually, Answer, Worker};

const TOKEN: &str = "mpt_AbCdEfGhIjKl_abcdefghijklmnopqrstuvwxyz0123456789-.-ABCD";

fn bearer(site: &Site, token: &str) -> Answer {
    site.ask("GET", "/", &[&format!("Authorization: Bearer {token}")])
}

fn basic(site: &Site, user: &str, token: &str) -> Answer {
    let text = STANDARD.encode(format!("{user}:{token}"));
    site.ask("GET", "/", &[&format!("Authorization: Basic {text}")])
}

/// Claims of a program of `user`.
fn of_token(user: &str) -> Value {
    let mut claims = claims(user, &["reader"]);
    claims.as_object_mut().unwrap().remove("sid");
    claims["kind"] = json!("service");
    claims["token"] = json!("AbCdEfGhIjKl");
    claims
}

fn site() -> Site {
    let site = Site::start();
    site.accounts
        .with(|known| known.tokens.push((TOKEN.to_owned(), of_token("ada"))));
    site
}

fn checks(site: &Site) -> usize {
    site.accounts.with(|known| known.checks.len())
}

#[test]
fn a_credential_is_checked_once_and_then_remembered() {
    let site = site();
    for _ in 0..3 {
        assert_eq!(bearer(&site, TOKEN).status, 200);
    }
    assert_eq!(checks(&site), 1);
    let seen = site.worker.last();
    assert_eq!(seen.field("remote-user"), Some("ada"));
    assert_eq!(seen.field("authorization"), None, "it was ours");
    for _ in 0..2 {
        assert_eq!(basic(&site, "ada", TOKEN).status, 200);
    }
    assert_eq!(checks(&site), 2);
    let asked = site.accounts.with(|known| known.checks[1].clone());
    assert_eq!(
        (&asked["scheme"], &asked["user"]),
        (&json!("basic"), &json!("ada"))
    );
    assert_eq!(site.stats()["checks"], 2);
}

#[test]
fn a_wrong_credential_is_refused_and_the_refusal_remembered() {
    let site = site();
    let wrong = TOKEN.replace("abc", "xyz");
    for _ in 0..3 {
        let answer = bearer(&site, &wrong);
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (401, "identity.credential")
        );
        assert!(answer.head.to_lowercase().contains("www-authenticate"));
    }
    assert_eq!(checks(&site), 1);
    assert_eq!(site.worker.count(), 0);
    assert!(!site.stats().to_string().contains("xyz"));
}

#[test]
fn a_wrong_credential_is_refused_on_a_public_path_too() {
    let site = site();
    let wrong = format!("Authorization: Bearer {}", TOKEN.replace("abc", "xyz"));
    assert_eq!(site.ask("GET", "/open", &[&wrong]).status, 401);
}

#[test]
fn who_tries_too_often_is_told_when_to_come_back() {
    let site = site();
    site.accounts.with(|known| known.busy = true);
    let answer = bearer(&site, TOKEN);
    assert_eq!(
        (answer.status, answer.field("retry-after")),
        (429, Some("7"))
    );
}

#[test]
fn a_revoked_api_token_is_asked_about_again() {
    let site = site();
    assert_eq!(bearer(&site, TOKEN).status, 200);
    site.accounts.with(|known| known.tokens.clear());
    site.accounts.revoke("token", "AbCdEfGhIjKl");
    eventually("the edge has read of it", || site.stats()["position"] == 1);
    assert_eq!(bearer(&site, TOKEN).status, 401);
    assert_eq!(checks(&site), 2);
}

#[test]
fn an_authorization_that_is_not_ours_passes_untouched() {
    let site = site();
    for text in [
        "Bearer eyJhbGciOi.x.y",
        "Digest username=\"a\"",
        "Bearer ghp_abc",
    ] {
        let answer = site.ask("GET", "/open", &[&format!("Authorization: {text}")]);
        assert_eq!(answer.status, 200, "{text}");
        assert_eq!(site.worker.last().field("authorization"), Some(text));
    }
    assert_eq!(checks(&site), 0);
}

#[test]
fn an_app_may_see_an_authorization_that_was_ours_if_it_says_so() {
    let site = Site::with(Worker::saying("hello"), |snapshot| {
        let mut access = access();
        access["authorization"] = json!("pass");
        snapshot["apps"]["app"]["access"] = access;
    });
    site.accounts
        .with(|known| known.tokens.push((TOKEN.to_owned(), of_token("ada"))));
    assert_eq!(bearer(&site, TOKEN).status, 200);
    let passed = format!("Bearer {TOKEN}");
    assert_eq!(
        site.worker.last().field("authorization"),
        Some(passed.as_str())
    );
}

#[test]
fn many_who_bring_one_credential_at_once_cause_one_check() {
    let site = site();
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| bearer(&site, TOKEN).status))
            .collect();
        assert!(asking.into_iter().all(|asked| asked.join().unwrap() == 200));
    });
    assert_eq!(checks(&site), 1);
}
