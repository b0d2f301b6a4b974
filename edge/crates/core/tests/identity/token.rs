//! Which tokens prove somebody: one form, one algorithm, keys by name.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use mergepoint_edge_core::identity::token::{is_kid, Expected, SESSION_TYPE, TOKEN_BYTES_MAX};
use mergepoint_edge_core::identity::{Keys, TokenError};
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{json, Value};

use super::payload;

const EXPECTED: Expected<'static> = Expected {
    typ: SESSION_TYPE,
    issuer: "mergepoint:acme",
    audience: "acme",
    now_s: 1100.0,
    skew_s: 30.0,
    stale_s: 900.0,
};

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> [u8; 32] {
    pair(seed).public_key().as_ref().try_into().unwrap()
}

/// `k1` counts for ever, `k2` until 1,050.
fn keys() -> Keys {
    Keys::new([("k1", public(1), f64::MAX), ("k2", public(2), 1050.0)])
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "mps+jwt", "kid": "k1"})
}

fn signed(header: &str, payload: &str, seed: u8) -> String {
    let start = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let signature = pair(seed).sign(start.as_bytes());
    format!("{start}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn token(other: Value) -> String {
    signed(&header().to_string(), &payload(other).to_string(), 1)
}

fn refused(token: &str) -> TokenError {
    keys().verify(token, &EXPECTED).expect_err(token)
}

#[test]
fn a_right_token_tells_who_it_proves() {
    let claims = keys().verify(&token(json!({})), &EXPECTED).unwrap();
    assert_eq!((claims.sub.as_str(), claims.sid.as_str()), ("u1", "s1"));
    assert_eq!((claims.iat, claims.exp), (1000.0, 1600.0));
    assert_eq!(claims.name, "Ann Ä. Other");
    assert_eq!(
        (claims.roles, claims.groups),
        (vec!["developer".to_owned()], vec!["staff".to_owned()])
    );
}

#[test]
fn a_signature_that_another_program_made_holds() {
    // RFC 8037 appendix A: its key, its header, its payload, its signature.
    let x = URL_SAFE_NO_PAD
        .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        .unwrap();
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let (start, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &x);
    assert!(key.verify(start.as_bytes(), &signature).is_ok());
    // As a session token it says neither its type nor its key.
    let keys = Keys::new([("k1", x.try_into().unwrap(), f64::MAX)]);
    assert_eq!(keys.verify(token, &EXPECTED), Err(TokenError::Header));
}

#[test]
fn times_may_have_fractions_and_names_may_be_null() {
    let token =
        token(json!({"iat": 1000.25, "exp": 1600.25, "name": null, "email": null, "lang": null}));
    let claims = keys().verify(&token, &EXPECTED).unwrap();
    assert_eq!((claims.iat, claims.name.as_str()), (1000.25, ""));
}

#[test]
fn what_is_not_known_in_a_payload_is_passed_over() {
    assert!(keys()
        .verify(
            &token(json!({"nonce": {"a": [1]}, "crit": ["x"]})),
            &EXPECTED
        )
        .is_ok());
}

#[test]
fn a_header_that_is_not_exactly_ours_is_refused() {
    let with = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        refused(&signed(
            &header.to_string(),
            &payload(json!({})).to_string(),
            1,
        ))
    };
    for (name, value, error) in [
        ("alg", json!("none"), TokenError::Algorithm),
        ("alg", json!("HS256"), TokenError::Algorithm),
        ("alg", json!("Ed25519"), TokenError::Algorithm),
        ("alg", json!("eddsa"), TokenError::Algorithm),
        ("alg", json!(["EdDSA"]), TokenError::Header),
        ("typ", json!("JWT"), TokenError::Type),
        ("typ", json!("mpi+jwt"), TokenError::Type),
        ("typ", json!("MPS+JWT"), TokenError::Type),
        ("typ", json!("application/mps+jwt"), TokenError::Type),
        ("typ", Value::Null, TokenError::Header),
        ("kid", json!("k9"), TokenError::Key),
        ("kid", json!(""), TokenError::Key),
        ("kid", json!(1), TokenError::Header),
        ("crit", json!(["exp"]), TokenError::Header),
        ("b64", json!(false), TokenError::Header),
        ("zip", json!("DEF"), TokenError::Header),
        ("jwk", json!({"kty": "OKP"}), TokenError::Header),
        ("jku", json!("https://example.org"), TokenError::Header),
        ("x5u", json!("https://example.org"), TokenError::Header),
        ("x5c", json!([]), TokenError::Header),
        ("cty", json!("JWT"), TokenError::Header),
    ] {
        assert_eq!(with(name, value.clone()), error, "{name}: {value}");
    }
    for header in [
        r#"{"alg":"EdDSA","typ":"mps+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"k1"}"#,
        r#"{"alg":"none","alg":"EdDSA","typ":"mps+jwt","kid":"k1"}"#,
        r#"{"alg":"EdDSA","typ":"mps+jwt","kid":"k9","kid":"k1"}"#,
        r#"{"alg":"EdDSA","typ":"mps+jwt","kid":"k1"}{}"#,
        "[]",
        "",
        "\u{feff}{}",
    ] {
        let error = refused(&signed(header, &payload(json!({})).to_string(), 1));
        assert_eq!(error, TokenError::Header, "{header}");
    }
}

#[test]
fn a_payload_that_no_token_of_ours_has_is_refused() {
    for (other, error) in [
        (json!({"iss": "mergepoint:other"}), TokenError::Issuer),
        (json!({"iss": ["mergepoint:acme"]}), TokenError::Claims),
        (json!({"aud": "other"}), TokenError::Audience),
        (json!({"aud": ["acme"]}), TokenError::Claims),
        (json!({"sub": ""}), TokenError::Claims),
        (json!({"sub": 7}), TokenError::Claims),
        (json!({"sid": ""}), TokenError::Claims),
        (json!({"iat": "1000"}), TokenError::Claims),
        (json!({"iat": -1}), TokenError::Claims),
        (json!({"exp": null}), TokenError::Claims),
        (json!({"exp": true}), TokenError::Claims),
        (json!({"iat": 1600, "exp": 1000}), TokenError::Claims),
        (json!({"exp": 1e300}), TokenError::Claims),
        (json!({"exp": 2800.5}), TokenError::Claims),
        (json!({"auth_time": "x"}), TokenError::Claims),
        (json!({"kind": "Person"}), TokenError::Claims),
        (json!({"kind": null}), TokenError::Claims),
        (json!({"user": ""}), TokenError::Claims),
        (json!({"user": "Ann"}), TokenError::Claims),
        (json!({"user": "-ann"}), TokenError::Claims),
        (json!({"user": "ann\n"}), TokenError::Claims),
        (json!({"user": "a".repeat(65)}), TokenError::Claims),
        (json!({"roles": "admin"}), TokenError::Claims),
        (json!({"roles": [1]}), TokenError::Claims),
        (json!({"groups": null}), TokenError::Claims),
        (json!({"iat": 1131, "exp": 1600}), TokenError::Future),
        (json!({"iat": 100, "exp": 200}), TokenError::Ended),
    ] {
        assert_eq!(refused(&token(other.clone())), error, "{other}");
    }
}

#[test]
fn a_claim_given_twice_is_refused() {
    for (twice, error) in [
        (r#""iss":"mergepoint:acme","#, TokenError::Claims),
        (r#""aud":"acme","#, TokenError::Claims),
        (r#""roles":["admin"],"#, TokenError::Claims),
        (r#""exp":1600,"#, TokenError::Claims),
        (r#""user":"root","#, TokenError::Claims),
    ] {
        let text = payload(json!({}))
            .to_string()
            .replacen('{', &format!("{{{twice}"), 1);
        assert_eq!(
            refused(&signed(&header().to_string(), &text, 1)),
            error,
            "{twice}"
        );
    }
}

#[test]
fn a_token_is_read_a_little_before_its_time_and_a_while_after_its_end() {
    for (iat, exp, expected) in [
        (1130.0, 1600.0, Ok(())),
        (1130.5, 1600.0, Err(TokenError::Future)),
        (100.0, 200.5, Ok(())),
        (100.0, 200.0, Err(TokenError::Ended)),
    ] {
        let told = keys().verify(&token(json!({"iat": iat, "exp": exp})), &EXPECTED);
        assert_eq!(told.map(drop), expected, "{iat} to {exp}");
    }
}

#[test]
fn only_the_key_of_that_name_counts_and_only_in_its_time() {
    let text = payload(json!({})).to_string();
    assert_eq!(
        refused(&signed(&header().to_string(), &text, 2)),
        TokenError::Signature
    );
    let mut second = header();
    second["kid"] = "k2".into();
    let token = signed(&second.to_string(), &text, 2);
    assert_eq!(refused(&token), TokenError::Key);
    let earlier = Expected {
        now_s: 1050.0,
        ..EXPECTED
    };
    assert!(keys().verify(&token, &earlier).is_ok());
    assert_eq!(
        Keys::default().verify(&token, &earlier),
        Err(TokenError::Key)
    );
}

#[test]
fn a_token_in_another_spelling_is_refused() {
    let token = token(json!({}));
    let parts: Vec<&str> = token.split('.').collect();
    for (other, error) in [
        (String::new(), TokenError::Form),
        ("..".into(), TokenError::Form),
        (format!("{token}."), TokenError::Form),
        (format!(".{token}"), TokenError::Form),
        (format!("{token}=="), TokenError::Form),
        (format!(" {token}"), TokenError::Form),
        (format!("{token} "), TokenError::Form),
        (format!("{}.{}", parts[0], parts[1]), TokenError::Form),
        (format!("{}.{}.", parts[0], parts[1]), TokenError::Form),
        (format!("{}..{}", parts[0], parts[2]), TokenError::Signature),
        (
            format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
            TokenError::Form,
        ),
        (
            format!("{}.{}\n.{}", parts[0], parts[1], parts[2]),
            TokenError::Signature,
        ),
        (
            format!("{}.{}=.{}", parts[0], parts[1], parts[2]),
            TokenError::Signature,
        ),
    ] {
        assert_eq!(refused(&other), error, "{other}");
    }
}

#[test]
fn a_part_in_another_spelling_is_refused_even_with_a_right_signature() {
    let header = URL_SAFE_NO_PAD.encode(header().to_string());
    // Two characters beyond a multiple of four, the last of which leaves bits over.
    let name = ["", "x", "xx"]
        .into_iter()
        .find(|name| payload(json!({"name": name})).to_string().len() % 3 == 1);
    let text = payload(json!({"name": name.unwrap()})).to_string();
    let right = URL_SAFE_NO_PAD.encode(&text);
    let over = format!("{}R", &right[..right.len() - 1]);
    for (body, expected) in [
        (right.clone(), Ok(())),
        (over, Err(TokenError::Form)),
        (format!("{right}=="), Err(TokenError::Form)),
        (format!("{right}\n"), Err(TokenError::Form)),
        (format!("+{right}"), Err(TokenError::Form)),
    ] {
        let start = format!("{header}.{body}");
        let signature = URL_SAFE_NO_PAD.encode(pair(1).sign(start.as_bytes()));
        let told = keys().verify(&format!("{start}.{signature}"), &EXPECTED);
        assert_eq!(told.map(drop), expected, "{body}");
    }
}

#[test]
fn the_last_letter_of_a_signature_has_one_spelling() {
    let token = token(json!({}));
    let (start, last) = token.split_at(token.len() - 1);
    let accepted: Vec<char> = ('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .chain(['-', '_'])
        .filter(|c| keys().verify(&format!("{start}{c}"), &EXPECTED).is_ok())
        .collect();
    assert_eq!(accepted, last.chars().collect::<Vec<_>>());
}

#[test]
fn a_token_that_is_too_long_is_not_read() {
    let long = token(json!({"name": "x".repeat(3 * TOKEN_BYTES_MAX / 4)}));
    assert_eq!(refused(&long), TokenError::TooLong);
}

#[test]
fn names_of_keys_are_plain() {
    for good in ["k1", "2026-11.a_B", &"k".repeat(64)] {
        assert!(is_kid(good), "{good}");
    }
    for bad in ["", "k 1", "k/1", "kö", &"k".repeat(65)] {
        assert!(!is_kid(bad), "{bad}");
        assert!(Keys::new([(bad, public(1), f64::MAX)]).is_empty());
    }
}

#[test]
fn of_two_keys_with_one_name_the_first_counts() {
    let keys = Keys::new([("k1", public(1), f64::MAX), ("k1", public(2), f64::MAX)]);
    assert_eq!(keys.len(), 1);
    assert!(keys.verify(&token(json!({})), &EXPECTED).is_ok());
}

#[test]
fn no_debug_output_shows_a_key() {
    assert_eq!(
        format!("{:?}", Keys::new([("k1", public(1), 0.0)])),
        r#"{"k1"}"#
    );
}

proptest! {
    #[test]
    fn any_text_is_refused_without_harm(text in ".{0,300}") {
        prop_assert!(keys().verify(&text, &EXPECTED).is_err());
    }

    #[test]
    fn any_three_parts_are_refused_without_harm(text in "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{86}") {
        prop_assert!(keys().verify(&text, &EXPECTED).is_err());
    }

    #[test]
    fn a_token_with_any_byte_changed_proves_nobody(at in any::<prop::sample::Index>(), byte in 0x20..0x7f_u8) {
        let mut bytes = token(json!({})).into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        prop_assert!(keys().verify(&text, &EXPECTED).is_err());
    }

    #[test]
    fn whatever_a_key_holder_signs_is_taken_or_refused(text in ".{0,200}", known in any::<bool>()) {
        let header = if known { header().to_string() } else { text.clone() };
        let _ = keys().verify(&signed(&header, &text, 1), &EXPECTED);
    }
}
