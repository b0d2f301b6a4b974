//! Answers compressed, flushed, left alone; decoded again by decoders that are not ours.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{channel::Channel, StreamBody};
use tokio::io::AsyncReadExt;

use super::*;
use crate::body::{full, BoxError};

const SETTINGS: Compression = Compression {
    enabled: true,
    bytes_min: 100,
};

fn page(bytes: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n| format!("<p>row {n}</p>\n").into_bytes())
        .take(bytes)
        .collect()
}

fn answer(body: Body) -> Response<Body> {
    Response::builder()
        .header("content-type", "text/html; charset=utf-8")
        .header("etag", "\"v1\"")
        .header("accept-ranges", "bytes")
        .body(body)
        .unwrap()
}

fn accepting(encoding: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT_ENCODING, encoding.parse().unwrap())])
}

fn applied(response: Response<Body>, encoding: &str) -> Response<Body> {
    apply(response, &Method::GET, &accepting(encoding), &SETTINGS)
}

async fn decoded(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // An error after a flushed prefix is the missing end; what came before it counts.
    let _ = match encoding {
        "br" => BrotliDecoder::new(bytes).read_to_end(&mut out).await,
        "zstd" => ZstdDecoder::new(bytes).read_to_end(&mut out).await,
        _ => GzipDecoder::new(bytes).read_to_end(&mut out).await,
    };
    out
}

#[tokio::test]
async fn each_encoding_gives_the_same_bytes_back_in_fewer() {
    let original = page(300_000);
    for encoding in ["br", "zstd", "gzip"] {
        let response = applied(answer(full(original.clone())), encoding);
        let headers = response.headers();
        assert_eq!(headers["content-encoding"], encoding);
        assert_eq!(headers["vary"], "accept-encoding");
        assert_eq!(headers["etag"], "W/\"v1\"");
        assert!(!headers.contains_key("content-length") && !headers.contains_key("accept-ranges"));
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert!(
            bytes.len() < original.len() / 4,
            "{encoding}: {}",
            bytes.len()
        );
        assert_eq!(decoded(encoding, &bytes).await, original, "{encoding}");
    }
}

fn poll(body: &mut Body) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_silent_app_holds_nothing_back() {
    for encoding in ["br", "zstd", "gzip"] {
        let (mut app, body) = Channel::<Bytes, BoxError>::new(4);
        let mut body = applied(answer(body.boxed_unsync()), encoding).into_body();
        let (mut sent, mut seen) = (Vec::new(), Vec::new());
        for number in 0..5 {
            let piece = format!("<li>piece {number}</li>");
            app.send_data(piece.clone().into()).await.unwrap();
            sent.extend_from_slice(piece.as_bytes());
            while let Poll::Ready(frame) = poll(&mut body) {
                seen.extend_from_slice(&frame.unwrap().unwrap().into_data().unwrap());
            }
            assert_eq!(
                decoded(encoding, &seen).await,
                sent,
                "{encoding} piece {number}"
            );
        }
        drop(app);
        seen.extend_from_slice(&body.collect().await.unwrap().to_bytes());
        assert_eq!(decoded(encoding, &seen).await, sent);
    }
}

#[tokio::test]
async fn what_must_not_be_compressed_passes_as_it_is() {
    let cases: [(&str, &str, u16); 8] = [
        ("cache-control", "public, no-transform", 200),
        ("content-encoding", "gzip", 200),
        ("content-type", "text/event-stream", 200),
        ("content-type", "image/png", 200),
        ("content-range", "bytes 0-9/100", 206),
        ("content-digest", "sha-256=:AAAA:", 200),
        ("x-nothing", "1", 204),
        ("x-nothing", "1", 304),
    ];
    for (name, value, status) in cases {
        let mut response = answer(full(page(5000)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
        let response = applied(response, "gzip, br");
        assert_ne!(
            response
                .headers()
                .get("content-encoding")
                .map(|v| v == "br"),
            Some(true)
        );
        assert!(!response.headers().contains_key("vary"), "{name}: {value}");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes, page(5000), "{name}: {value}");
    }
}

#[test]
fn small_answers_and_other_settings_pass_as_they_are() {
    assert!(!applied(answer(full(page(99))), "gzip")
        .headers()
        .contains_key("vary"));
    let off = Compression {
        enabled: false,
        bytes_min: 0,
    };
    let same = apply(
        answer(full(page(5000))),
        &Method::GET,
        &accepting("gzip"),
        &off,
    );
    assert!(!same.headers().contains_key("content-encoding"));
}

#[test]
fn a_cache_is_told_even_when_this_client_takes_nothing() {
    for encoding in ["identity", "gzip;q=0", ""] {
        let response = applied(answer(full(page(5000))), encoding);
        assert_eq!(response.headers()["vary"], "accept-encoding");
        assert_eq!(response.headers()["etag"], "\"v1\"");
        assert!(!response.headers().contains_key("content-encoding"));
    }
    let mut varied = answer(full(page(5000)));
    varied
        .headers_mut()
        .insert("vary", "Cookie, Accept-Encoding".parse().unwrap());
    assert_eq!(
        applied(varied, "gzip")
            .headers()
            .get_all("vary")
            .iter()
            .count(),
        1
    );
}

#[test]
fn a_head_answer_is_never_encoded_but_varies_like_its_get() {
    let mut response = answer(crate::body::empty());
    response
        .headers_mut()
        .insert("content-length", "5000".parse().unwrap());
    let response = apply(response, &Method::HEAD, &accepting("gzip"), &SETTINGS);
    assert!(!response.headers().contains_key("content-encoding"));
    assert_eq!(response.headers()["vary"], "accept-encoding");
}

#[tokio::test]
async fn an_app_that_breaks_off_ends_in_an_error_not_in_a_whole_page() {
    let pieces = [
        Ok(Frame::data(Bytes::from(page(200)))),
        Err(BoxError::from("broken off")),
    ];
    let stream = futures_util::stream::iter(pieces);
    let body = StreamBody::new(stream).boxed_unsync();
    let broken = applied(answer(body), "br").into_body().collect().await;
    assert_eq!(broken.unwrap_err().to_string(), "broken off");
}

#[tokio::test]
async fn trailers_come_after_the_last_byte() {
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
    let pieces: [Result<_, BoxError>; 2] = [
        Ok(Frame::data(Bytes::from(page(200)))),
        Ok(Frame::trailers(trailers.clone())),
    ];
    let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
    let collected = applied(answer(body), "gzip")
        .into_body()
        .collect()
        .await
        .unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(decoded("gzip", &collected.to_bytes()).await, page(200));
}

#[tokio::test]
async fn a_large_piece_is_worked_off_in_steps() {
    let mut random = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random.to_be_bytes()[0]
    })
    .take(2_000_000)
    .collect();
    let mut body = applied(answer(full(noise)), "gzip").into_body();
    let mut largest = 0;
    while let Poll::Ready(Some(frame)) = poll(&mut body) {
        largest = largest.max(frame.unwrap().into_data().unwrap().len());
    }
    assert!(largest <= 2 * 32 * 1024, "{largest}");
}
