//! Whether a request asks for a WebSocket.
//!
//! Place: part of `strict`.
//! Rule: only a request that says so completely becomes a tunnel. Other protocols are ignored, as RFC 9110 section
//! 7.8 allows, because common clients offer `h2c` on every request; `headers` removes the field.

use http::header;
use http::{Method, Version};

use super::{names_token, Framing, Head, Refusal};

pub(super) fn websocket(head: Head<'_>, framing: &Framing) -> Result<bool, Refusal> {
    let offered = names_token(head.headers, &header::UPGRADE, "websocket");
    if head.version != Version::HTTP_11
        || !offered
        || !names_token(head.headers, &header::CONNECTION, "upgrade")
    {
        return Ok(false);
    }
    let mut values = head.headers.get_all(header::UPGRADE).iter();
    let alone = values
        .next()
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let complete = alone
        && values.next().is_none()
        && head.method == Method::GET
        && *framing == Framing::None
        && head
            .headers
            .get_all(header::SEC_WEBSOCKET_KEY)
            .iter()
            .count()
            == 1;
    if complete {
        Ok(true)
    } else {
        Err(Refusal::bad(
            "edge.websocket_invalid",
            "A WebSocket starts with a GET without a body, one Sec-WebSocket-Key, and no other protocol in Upgrade.",
        ))
    }
}
