//! The one body type that answers have, whoever made them.
//!
//! Place: every part of the server that answers -> [body] -> hyper
//! Rule:  nothing here collects a body; streams stay streams.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// Why a body ended early.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer: an upstream stream, a file, a page or nothing.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is already whole.
pub fn full(data: impl Into<Bytes>) -> Body {
    Full::new(data.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body of no bytes.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;

    #[test]
    fn a_whole_body_knows_its_length() {
        assert_eq!(full("four").size_hint().exact(), Some(4));
        assert_eq!(empty().size_hint().exact(), Some(0));
    }
}
