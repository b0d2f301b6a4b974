//! How a body ends, and what it becomes.

use http::HeaderValue;
use mergepoint_edge_core::strict::Framing;

use crate::request::{accepted, refused, request, BODY};

#[test]
fn a_body_ends_in_one_way_only() {
    let host = ("host", "a.example");
    let length = |text| {
        request("POST / 1.1", &[host, ("content-length", text)])
            .check()
            .map(|accepted| accepted.framing)
    };
    assert_eq!(length("0").unwrap(), Framing::None);
    assert_eq!(length("007").unwrap(), Framing::Length(7));
    assert_eq!(
        length("9999999999999999999").unwrap(),
        Framing::Length(9_999_999_999_999_999_999)
    );
    for text in [
        "",
        "+5",
        "-5",
        "5, 5",
        "5,",
        "0x5",
        "5 5",
        "5.0",
        "99999999999999999999",
        "\u{665}",
    ] {
        assert_eq!(
            length(text).unwrap_err().code,
            "edge.content_length",
            "{text:?}"
        );
    }
    assert_eq!(
        refused("POST / 1.1", &[host, BODY[1], BODY[1]]).1,
        "edge.content_length"
    );
    let chunked = ("transfer-encoding", "Chunked");
    assert_eq!(
        accepted("POST / 1.1", &[host, chunked]).framing,
        Framing::Chunked
    );
    assert_eq!(
        refused("POST / 1.1", &[host, chunked, BODY[1]]),
        (400, "edge.framing_double")
    );
    assert_eq!(
        refused("POST / 1.0", &[host, chunked]).1,
        "edge.transfer_encoding"
    );
    assert_eq!(
        refused("POST / 1.1", &[host, chunked, chunked]).1,
        "edge.transfer_encoding"
    );
    for text in [
        "chunked, chunked",
        "gzip, chunked",
        "xchunked",
        "identity",
        "",
        "chunked;q=1",
        "\u{b}chunked",
    ] {
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            let mut request = request("POST / 1.1", &[host]);
            request.headers.insert("transfer-encoding", value);
            assert_eq!(
                request.check().unwrap_err().code,
                "edge.transfer_encoding",
                "{text:?}"
            );
        }
    }
    assert_eq!(
        accepted("POST https://a.example/ 2", &[]).framing,
        Framing::Stream
    );
    assert_eq!(
        accepted("POST https://a.example/ 2", &[BODY[1]])
            .framing
            .length(),
        Some(5)
    );
}

#[test]
fn every_doubt_about_framing_closes_the_connection() {
    for fields in [
        &[
            ("host", "a"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
        ][..],
        &[("host", "a"), ("transfer-encoding", "xchunked")],
        &[("host", "a"), ("content-length", "+5")],
        &[("host", "a"), ("host", "b")],
    ] {
        assert!(
            request("POST / 1.1", fields).check().unwrap_err().close,
            "{fields:?}"
        );
    }
}

#[test]
fn only_a_complete_offer_becomes_a_websocket() {
    let complete = [
        ("host", "a"),
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert!(accepted("GET /ws 1.1", &complete).websocket);
    assert!(!accepted("GET /ws 1.0", &complete).websocket);
    assert!(!accepted("GET /ws 1.1", &[complete[0], complete[2], complete[3]]).websocket);
    assert!(
        !accepted(
            "GET / 1.1",
            &[
                complete[0],
                ("connection", "upgrade, http2-settings"),
                ("upgrade", "h2c")
            ]
        )
        .websocket
    );
    assert_eq!(
        refused("POST /ws 1.1", &complete).1,
        "edge.websocket_invalid"
    );
    let without = |skipped: usize| -> Vec<_> {
        (0..4)
            .filter(|n| *n != skipped)
            .map(|n| complete[n])
            .collect()
    };
    assert_eq!(
        refused("GET /ws 1.1", &without(3)).1,
        "edge.websocket_invalid"
    );
    for extra in [
        ("upgrade", "h2c"),
        ("sec-websocket-key", "x"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
    ] {
        let mut fields = complete.to_vec();
        fields.push(extra);
        assert_eq!(
            refused("GET /ws 1.1", &fields).1,
            "edge.websocket_invalid",
            "{extra:?}"
        );
    }
    let both: Vec<_> = complete
        .iter()
        .map(|f| {
            if f.0 == "upgrade" {
                ("upgrade", "websocket, h2c")
            } else {
                *f
            }
        })
        .collect();
    assert_eq!(refused("GET /ws 1.1", &both).1, "edge.websocket_invalid");
}

#[test]
fn the_only_expectation_is_100_continue() {
    assert!(
        accepted(
            "POST / 1.1",
            &[BODY[0], BODY[1], ("expect", "100-Continue")]
        )
        .expects_continue
    );
    assert!(
        !accepted(
            "POST / 1.0",
            &[BODY[0], BODY[1], ("expect", "100-continue")]
        )
        .expects_continue
    );
    for value in ["200-ok", "100-continue, x", "", "100-continue;a=b"] {
        assert_eq!(
            refused("POST / 1.1", &[BODY[0], ("expect", value)]),
            (417, "edge.expectation"),
            "{value}"
        );
    }
}
