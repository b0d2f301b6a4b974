//! A request target in one spelling, so that the router and the worker read the same path.
//!
//! Place: called by `strict`; the result is what `router`, `prefix` and `files` work on and what the worker is sent.
//! Rule: whatever two programs could read in two ways is refused, never repaired.

use std::fmt;

/// Why a target is refused. Each maps to 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither `/path` nor an absolute URL.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// Plain or percent-encoded control byte, space, NUL or byte outside ASCII.
    #[error("the target holds a control byte, a space or a byte outside ASCII")]
    ForbiddenByte,
    /// `%` without two hex digits.
    #[error("the target holds a percent sign without two hex digits")]
    BadEscape,
    /// Plain or percent-encoded backslash.
    #[error("the path holds a backslash")]
    Backslash,
    /// `.` or `..` as a segment, in any spelling.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// `#`, which no client may send.
    #[error("the target holds a fragment")]
    Fragment,
}

/// A path in normal form: begins with `/`, holds no dot segment, no backslash, no control byte, only valid escapes in
/// upper case, and no escape of an unreserved character. `%2F` stays encoded, `//` stays double.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NormalPath(String);

impl NormalPath {
    /// The normal form of a raw path without query.
    ///
    /// # Errors
    /// What two programs could read in two ways.
    pub fn parse(raw: &str) -> Result<NormalPath, TargetError> {
        if !raw.starts_with('/') {
            return Err(TargetError::NotAbsolute);
        }
        let path = normal_escapes(raw)?;
        // Nearly every path holds no dot at all.
        if path.contains('.') && path.split('/').any(is_dot_segment) {
            return Err(TargetError::DotSegment);
        }
        Ok(NormalPath(path))
    }

    /// The path as it goes to a worker.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text between the slashes; `/` has one empty segment, `/a/` has `a` and an empty one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0[1..].split('/')
    }
}

impl fmt::Display for NormalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path in normal form and its raw query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NormalTarget {
    /// The path.
    pub path: NormalPath,
    /// What follows `?`, untouched; `None` without a `?`.
    pub query: Option<String>,
}

impl NormalTarget {
    /// The target of `path` or `path?query`.
    ///
    /// # Errors
    /// See `TargetError`.
    pub fn parse(raw: &str) -> Result<NormalTarget, TargetError> {
        let (path, query) = match raw.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (raw, None),
        };
        Ok(NormalTarget {
            path: NormalPath::parse(path)?,
            query: query.map(checked_query).transpose()?,
        })
    }
}

impl fmt::Display for NormalTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.query {
            Some(query) => write!(f, "{}?{query}", self.path),
            None => write!(f, "{}", self.path),
        }
    }
}

fn checked_query(query: &str) -> Result<String, TargetError> {
    for byte in query.bytes() {
        match byte {
            b'#' => return Err(TargetError::Fragment),
            0..=b' ' | 0x7f.. => return Err(TargetError::ForbiddenByte),
            _ => {}
        }
    }
    Ok(query.to_owned())
}

fn normal_escapes(raw: &str) -> Result<String, TargetError> {
    let bytes = raw.as_bytes();
    let mut out = String::with_capacity(raw.len());
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        i += 1;
        if byte == b'%' {
            let code = hex_pair(bytes.get(i), bytes.get(i + 1)).ok_or(TargetError::BadEscape)?;
            i += 2;
            push_escaped(&mut out, code)?;
        } else {
            push_plain(&mut out, byte)?;
        }
    }
    Ok(out)
}

fn push_escaped(out: &mut String, code: u8) -> Result<(), TargetError> {
    match code {
        0..=0x1f | 0x7f => Err(TargetError::ForbiddenByte),
        b'\\' => Err(TargetError::Backslash),
        _ if is_unreserved(code) => {
            out.push(char::from(code));
            Ok(())
        }
        _ => {
            push_hex(out, code);
            Ok(())
        }
    }
}

fn push_plain(out: &mut String, byte: u8) -> Result<(), TargetError> {
    match byte {
        0..=b' ' | 0x7f.. => Err(TargetError::ForbiddenByte),
        b'\\' => Err(TargetError::Backslash),
        b'#' => Err(TargetError::Fragment),
        // No URI may hold these plainly, yet old clients send them; encoded they mean the same everywhere.
        b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => {
            push_hex(out, byte);
            Ok(())
        }
        _ => {
            out.push(char::from(byte));
            Ok(())
        }
    }
}

fn push_hex(out: &mut String, code: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(code >> 4)]));
    out.push(char::from(DIGITS[usize::from(code & 15)]));
}

fn hex_pair(high: Option<&u8>, low: Option<&u8>) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high?)? * 16 + digit(low?)?).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// A worker that decodes `%2F` or cuts path parameters off would see these as dot segments too.
fn is_dot_segment(segment: &str) -> bool {
    let names_dots = |part: &str| {
        let name = part.split([';']).next().unwrap_or(part);
        let name = name.split("%3B").next().unwrap_or(name);
        matches!(name, "." | "..")
    };
    names_dots(segment) || segment.split("%2F").any(names_dots)
}
