//! Which Authorization is ours.

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use base64::Engine as _;
use mergepoint_edge_core::identity::credentials::{
    authorization, is_api_token, AuthScheme, Credential, Given,
};
use proptest::prelude::*;

use super::head;

const TOKEN: &str = "mpt_abcdefGHI-.2_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

fn given(value: &str) -> Given {
    authorization(&head(&[("authorization", value)]))
}

fn ours(scheme: AuthScheme, user: &str) -> Given {
    Given::Ours(Credential {
        scheme,
        user: user.to_owned(),
        secret: TOKEN.to_owned(),
    })
}

fn basic(pair: impl AsRef<[u8]>) -> Given {
    given(&format!("Basic {}", STANDARD.encode(pair)))
}

#[test]
fn a_token_of_ours_is_found_however_it_is_given() {
    assert_eq!(authorization(&head(&[])), Given::Nothing);
    assert_eq!(
        given(&format!("Bearer {TOKEN}")),
        ours(AuthScheme::Bearer, "")
    );
    assert_eq!(
        given(&format!("bearer   {TOKEN}")),
        ours(AuthScheme::Bearer, "")
    );
    assert_eq!(
        basic(format!("ann:{TOKEN}")),
        ours(AuthScheme::Basic, "ann")
    );
    assert_eq!(
        basic(format!("__token__:{TOKEN}")),
        ours(AuthScheme::Basic, "__token__")
    );
    assert_eq!(basic(format!(":{TOKEN}")), ours(AuthScheme::Basic, ""));
    assert_eq!(
        basic(format!("jörg:{TOKEN}")),
        ours(AuthScheme::Basic, "jörg")
    );
    let bare = STANDARD_NO_PAD.encode(format!("a:{TOKEN}"));
    assert_eq!(
        given(&format!("BASIC {bare}")),
        ours(AuthScheme::Basic, "a")
    );
}

#[test]
fn what_does_not_begin_like_ours_belongs_to_the_app() {
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
        "Basic",
        "Basic !!!",
        "Basic YQ==",
        "Basic YTpi",
        "Digest username=\"mpt_x\"",
        "Negotiate YII",
        "mpt_abc",
        "AWS4-HMAC-SHA256 Credential=x",
    ] {
        assert_eq!(given(value), Given::Foreign, "{value}");
    }
    assert_eq!(basic(format!("{TOKEN}:")), Given::Foreign);
    assert_eq!(basic(b"ann:\xff\xfe"), Given::Foreign);
    assert_eq!(basic(format!("ann: {TOKEN}")), Given::Foreign);
}

#[test]
fn what_begins_like_ours_and_is_wrong_is_refused_without_asking() {
    for secret in [
        "mpt_".to_owned(),
        TOKEN[..TOKEN.len() - 1].to_owned(),
        format!("{TOKEN}x"),
        TOKEN.replace("2_0", "2-0"),
        TOKEN.replace("GHI", "G_I"),
        TOKEN.replace('0', "~"),
        format!("{TOKEN}, Basic YTpi"),
    ] {
        assert!(!is_api_token(&secret), "{secret}");
        assert_eq!(
            given(&format!("Bearer {secret}")),
            Given::Malformed,
            "{secret}"
        );
        assert_eq!(basic(format!("ann:{secret}")), Given::Malformed, "{secret}");
    }
    assert_eq!(basic(b"ann:mpt_\xff"), Given::Malformed);
    assert_eq!(basic(format!("an\u{0}n:{TOKEN}")), Given::Malformed);
    assert_eq!(basic(format!("an\u{85}n:{TOKEN}")), Given::Malformed);
    assert_eq!(
        basic(format!("{}:{TOKEN}", "a".repeat(129))),
        Given::Malformed
    );
}

#[test]
fn one_of_ours_among_several_is_refused() {
    let bearer = format!("Bearer {TOKEN}");
    for fields in [
        [bearer.as_str(), "Basic YTpi"],
        ["Basic YTpi", bearer.as_str()],
        [bearer.as_str(), bearer.as_str()],
    ] {
        let headers = head(&fields.map(|value| ("authorization", value)));
        assert_eq!(authorization(&headers), Given::Malformed, "{fields:?}");
    }
    let foreign = head(&[
        ("authorization", "Basic YTpi"),
        ("authorization", "Digest x"),
    ]);
    assert_eq!(authorization(&foreign), Given::Foreign);
}

#[test]
fn a_credential_shows_its_id_and_hides_its_secret() {
    let Given::Ours(credential) = basic(format!("ann:{TOKEN}")) else {
        panic!("not ours");
    };
    assert_eq!(credential.id(), "abcdefGHI-.2");
    assert_eq!(
        format!("{credential:?}"),
        r#"Credential(basic "abcdefGHI-.2")"#
    );
}

proptest! {
    #[test]
    fn any_field_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
            let mut headers = http::HeaderMap::new();
            headers.insert("authorization", value);
            if let Given::Ours(credential) = authorization(&headers) {
                prop_assert!(is_api_token(&credential.secret));
            }
        }
    }

    #[test]
    fn any_pair_of_basic_is_read_without_harm(pair in prop::collection::vec(any::<u8>(), 0..120)) {
        match basic(&pair) {
            Given::Ours(credential) => {
                prop_assert!(is_api_token(&credential.secret));
                prop_assert!(!credential.user.chars().any(char::is_control));
            }
            Given::Malformed => prop_assert!(pair.windows(5).any(|w| w == b":mpt_")),
            Given::Foreign => {}
            Given::Nothing => prop_assert!(false),
        }
    }
}
