//! The ways in which programs may read one path.
//!
//! Place: part of `guard`.
//! Rule: works on bytes, for what an escape stands for need not be UTF-8; takes any text, a usual path without a copy.

use std::borrow::Cow;

/// A path decoded once, and decoded twice where that is something else. Each is normal: it begins with a slash and
/// does not end with one (`/` itself excepted), repeated slashes are one, a backslash is a slash, parameters (`;x`) are gone,
/// dot segments are resolved and cannot climb above the mount.
#[derive(Debug, PartialEq, Eq)]
pub struct Readings<'a> {
    once: Cow<'a, [u8]>,
    twice: Option<Vec<u8>>,
}

impl<'a> Readings<'a> {
    /// The readings of an encoded path below a mount; an empty one is `/`.
    pub fn of(rest: &'a str) -> Readings<'a> {
        let rest = rest.as_bytes();
        if is_plain(rest) {
            let kept = rest.strip_suffix(b"/").unwrap_or(rest);
            let once = if kept.is_empty() { b"/" } else { kept };
            return Readings {
                once: Cow::Borrowed(once),
                twice: None,
            };
        }
        let decoded = decode(rest);
        let once = normal(&decoded);
        let twice = normal(&decode(&decoded));
        let twice = (twice != once).then_some(twice);
        Readings {
            once: Cow::Owned(once),
            twice,
        }
    }

    /// One or two of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&*self.once).chain(self.twice.as_deref())
    }
}

/// Whether a guard can stand at this path: it is its own only reading.
pub fn is_guard_path(path: &str) -> bool {
    let escaped = path
        .as_bytes()
        .windows(3)
        .any(|w| w[0] == b'%' && escape(&w[1..]).is_some());
    !escaped && path.starts_with('/') && normal(path.as_bytes()) == path.as_bytes()
}

/// Nothing in it can be read in another way, but for a final slash.
fn is_plain(path: &[u8]) -> bool {
    let special = |b: &u8| matches!(b, b'%' | b';' | b'\\');
    let double = |w: &[u8]| w[0] == b'/' && matches!(w[1], b'/' | b'.');
    path.first().is_none_or(|b| *b == b'/')
        && !path.iter().any(special)
        && !path.windows(2).any(double)
}

/// Escapes replaced by what they stand for; a percent sign without two digits stands for itself.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut left = path;
    while let Some((&byte, rest)) = left.split_first() {
        match escape(rest).filter(|_| byte == b'%') {
            Some(code) => {
                out.push(code);
                left = rest.get(2..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                left = rest;
            }
        }
    }
    out
}

fn escape(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn normal(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|b| matches!(b, b'/' | b'\\')) {
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        match name {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(name),
        }
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    for name in &kept {
        out.push(b'/');
        out.extend_from_slice(name);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}
