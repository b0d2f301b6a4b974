//! Encodings, compression and the form of errors.
#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use mergepoint_edge_core::accept::{
    encoding, error_form, is_compressible_type, may_compress, Encoding, ErrorForm, Reply,
};
use proptest::prelude::*;

const OFFERED: [Encoding; 3] = [Encoding::Br, Encoding::Zstd, Encoding::Gzip];

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

#[test]
fn the_client_gets_the_encoding_it_likes_best() {
    for (accept, expected) in [
        ("gzip, deflate, br, zstd", Encoding::Br),
        ("gzip;q=1, br;q=0.5", Encoding::Gzip),
        ("gzip;q=0.5, zstd;q=0.5", Encoding::Zstd),
        ("GZIP", Encoding::Gzip),
        ("x-gzip", Encoding::Gzip),
        ("*", Encoding::Br),
        ("*;q=0.1, gzip;q=0", Encoding::Br),
        ("br;q=0, *;q=0.5", Encoding::Zstd),
        ("deflate", Encoding::Identity),
        ("", Encoding::Identity),
        ("identity", Encoding::Identity),
        ("identity, gzip;q=0.5", Encoding::Identity),
        ("identity;q=0.5, gzip", Encoding::Gzip),
        ("identity, gzip", Encoding::Gzip),
        ("gzip;q=0", Encoding::Identity),
        ("gzip;q=2", Encoding::Identity),
        ("gzip;q=x", Encoding::Identity),
        ("gzip; Q=0.8 ;x=1, br;q=0.700", Encoding::Gzip),
        ("br;q=0.001", Encoding::Br),
        ("br;q=0.0001", Encoding::Identity),
        ("*;q=0", Encoding::Identity),
    ] {
        assert_eq!(
            encoding(&map(&[("accept-encoding", accept)]), &OFFERED),
            expected,
            "{accept}"
        );
    }
    assert_eq!(encoding(&HeaderMap::new(), &OFFERED), Encoding::Identity);
    assert_eq!(
        encoding(&map(&[("accept-encoding", "br")]), &[Encoding::Gzip]),
        Encoding::Identity
    );
    assert_eq!(
        encoding(
            &map(&[("accept-encoding", "gzip"), ("accept-encoding", "br")]),
            &OFFERED
        ),
        Encoding::Br
    );
}

fn compressed(method: &Method, status: u16, fields: &[(&str, &str)], length: Option<u64>) -> bool {
    let headers = map(fields);
    let status = StatusCode::from_u16(status).unwrap();
    may_compress(
        Reply {
            method,
            status,
            headers: &headers,
            length,
        },
        1_024,
    )
}

#[test]
fn only_plain_whole_answers_worth_it_are_compressed() {
    let html = ("content-type", "text/html; charset=utf-8");
    let get = Method::GET;
    assert!(compressed(&get, 200, &[html], Some(1_024)));
    assert!(compressed(&get, 200, &[html], None));
    assert!(compressed(&get, 404, &[html], None));
    assert!(!compressed(&get, 200, &[html], Some(1_023)));
    assert!(!compressed(&Method::HEAD, 200, &[html], None));
    assert!(!compressed(&get, 200, &[], None));
    for status in [101, 204, 205, 206, 304] {
        assert!(!compressed(&get, status, &[html], None), "{status}");
    }
    for field in [
        ("content-encoding", "gzip"),
        ("content-encoding", "identity"),
        ("content-range", "bytes 0-1/5"),
        ("cache-control", "public, No-Transform"),
    ] {
        assert!(!compressed(&get, 200, &[html, field], None), "{field:?}");
    }
}

#[test]
fn text_is_compressible_and_what_is_compressed_already_is_not() {
    for name in [
        "text/css",
        "TEXT/Plain",
        "application/json",
        "application/ld+json",
        "image/svg+xml",
        "application/wasm",
        "font/ttf",
    ] {
        assert!(is_compressible_type(name), "{name}");
    }
    for name in [
        "image/png",
        "video/mp4",
        "font/woff2",
        "application/zip",
        "application/octet-stream",
        "text/event-stream; charset=utf-8",
        "",
    ] {
        assert!(!is_compressible_type(name), "{name}");
    }
}

#[test]
fn errors_speak_the_clients_language() {
    for (accept, form) in [
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            ErrorForm::Html,
        ),
        ("application/json", ErrorForm::Json),
        ("application/problem+json", ErrorForm::Json),
        ("application/json, text/html;q=0.9", ErrorForm::Json),
        ("text/html, application/json", ErrorForm::Html),
        ("*/*", ErrorForm::Text),
        ("text/plain", ErrorForm::Text),
        ("text/html;q=0", ErrorForm::Text),
        ("", ErrorForm::Text),
    ] {
        assert_eq!(error_form(&map(&[("accept", accept)])), form, "{accept}");
    }
    assert_eq!(error_form(&HeaderMap::new()), ErrorForm::Text);
}

proptest! {
    #[test]
    fn an_encoding_is_only_chosen_if_the_client_named_it_or_everything(
        text in "((br|gzip|zstd|identity|\\*|x)(;q=[01](\\.[0-9]{0,4})?)?,? ?){0,5}"
    ) {
        let chosen = encoding(&map(&[("accept-encoding", &text)]), &OFFERED);
        if chosen != Encoding::Identity {
            prop_assert!(text.contains(chosen.as_str()) || text.contains('*'));
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        let mut headers = HeaderMap::new();
        for name in ["accept", "accept-encoding", "content-type", "cache-control"] { headers.insert(name, value.clone()); }
        let _ = (encoding(&headers, &OFFERED), error_form(&headers));
        let _ = may_compress(Reply { method: &Method::GET, status: StatusCode::OK, headers: &headers, length: None }, 0);
    }
}
