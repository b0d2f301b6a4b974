//! API tokens in Authorization: which credentials are ours, and whether they can be asked about at all.
//!
//! Place: before `edge/check` is asked; `known_credentials` remembers its answers.
//! Rule: what begins like a token of ours is ours, right or wrong, so that no app receives half of one; anything else
//! belongs to the app (RFC 6750, RFC 7617).

use std::fmt;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine as _;
use http::header::{self, HeaderMap};

/// Every API token begins so.
pub const PREFIX: &str = "mpt_";
/// Characters of the id of an API token.
pub const ID_CHARACTERS: usize = 12;
/// Characters of the secret of an API token.
pub const SECRET_CHARACTERS: usize = 43;
/// Longest user name beside a token; what accounts knows is shorter.
const USER_BYTES_MAX: usize = 128;

/// Some programs leave the padding out; the text means the same.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a credential was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthScheme {
    /// RFC 6750.
    Bearer,
    /// RFC 7617.
    Basic,
}

impl AuthScheme {
    /// `bearer` or `basic`, as `edge/check` wants it.
    pub fn as_str(self) -> &'static str {
        match self {
            AuthScheme::Bearer => "bearer",
            AuthScheme::Basic => "basic",
        }
    }
}

/// A well-formed credential of ours, not yet checked; its secret is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// How it was given.
    pub scheme: AuthScheme,
    /// The name beside it; empty for `Bearer`.
    pub user: String,
    /// The whole token, `mpt_<id>_<secret>`.
    pub secret: String,
}

impl Credential {
    /// The id of the token, which is no secret.
    pub fn id(&self) -> &str {
        let from = PREFIX.len();
        self.secret.get(from..from + ID_CHARACTERS).unwrap_or("")
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} {:?})", self.scheme.as_str(), self.id())
    }
}

/// What the Authorization of a request is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// There is none.
    Nothing,
    /// It is meant for the app.
    Foreign,
    /// It is ours, and worth asking about.
    Ours(Credential),
    /// It is ours, and wrong without asking; or one of ours among several, which two readers would take differently.
    Malformed,
}

/// What the Authorization of a request is to us.
pub fn authorization(headers: &HeaderMap) -> Given {
    let mut given = Given::Nothing;
    for value in headers.get_all(header::AUTHORIZATION) {
        let next = one(value.as_bytes());
        given = match (given, next) {
            (Given::Nothing, next) => next,
            (Given::Foreign, Given::Foreign) => Given::Foreign,
            _ => Given::Malformed,
        };
    }
    given
}

/// Whether a text is `mpt_<id>_<secret>`.
pub fn is_api_token(text: &str) -> bool {
    let plain = |part: &str, characters: usize| {
        part.len() == characters
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
    };
    text.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(id, secret)| plain(id, ID_CHARACTERS) && plain(secret, SECRET_CHARACTERS))
}

fn one(value: &[u8]) -> Given {
    let end = value.iter().position(|b| *b == b' ');
    let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        judge(AuthScheme::Bearer, b"", rest)
    } else if scheme.eq_ignore_ascii_case(b"basic") {
        basic(rest)
    } else {
        Given::Foreign
    }
}

fn basic(encoded: &[u8]) -> Given {
    let Ok(pair) = BASIC.decode(encoded) else {
        return Given::Foreign;
    };
    let Some(colon) = pair.iter().position(|b| *b == b':') else {
        return Given::Foreign;
    };
    let (user, password) = pair.split_at(colon);
    judge(
        AuthScheme::Basic,
        user,
        password.get(1..).unwrap_or_default(),
    )
}

fn judge(scheme: AuthScheme, user: &[u8], secret: &[u8]) -> Given {
    if !secret.starts_with(PREFIX.as_bytes()) {
        return Given::Foreign;
    }
    let (Ok(user), Ok(secret)) = (std::str::from_utf8(user), std::str::from_utf8(secret)) else {
        return Given::Malformed;
    };
    let user_fits = user.len() <= USER_BYTES_MAX && !user.chars().any(char::is_control);
    if !user_fits || !is_api_token(secret) {
        return Given::Malformed;
    }
    Given::Ours(Credential {
        scheme,
        user: user.to_owned(),
        secret: secret.to_owned(),
    })
}
