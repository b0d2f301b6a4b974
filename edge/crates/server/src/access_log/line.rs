//! One request as one line, in either format.
//!
//! Place:  access_log -> [line] -> writer
//! Rule:   pure; whatever a client sent, the line stays one line and holds no control byte.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use mergepoint_edge_core::digits::{push_address, push_decimal, push_hex, push_padded};

use super::{clock, redact, Entry, Format};

/// Longest text of a client in a line, in bytes; the rest is cut off and marked.
const TEXT_BYTES_MAX: usize = 2048;
const CUT: &str = "[cut]";

/// The line with its newline.
pub(super) fn format(format: Format, entry: &Entry<'_>) -> Vec<u8> {
    let mut line = match format {
        Format::Json => json(entry),
        Format::Combined => combined(entry),
    };
    line.push(b'\n');
    line
}

fn json(entry: &Entry<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(512);
    line.extend_from_slice(b"{\"at\":\"");
    clock::push_iso(&mut line, entry.at);
    line.push(b'"');
    let mut fields = Fields { line: &mut line };
    fields.value(",\"peer\":", entry.peer, |line, ip| {
        line.push(b'"');
        push_address(line, ip);
        line.push(b'"');
    });
    fields.text(",\"user\":", entry.user);
    fields.text(",\"method\":", Some(entry.method));
    fields.text(",\"host\":", Some(entry.host));
    fields.text(",\"path\":", Some(entry.path));
    fields.text(",\"query\":", entry.query.map(redact::query));
    fields.text(",\"protocol\":", Some(entry.protocol));
    fields.number(",\"status\":", Some(entry.status.into()));
    fields.number(",\"sent_bytes\":", Some(entry.sent_bytes));
    fields.number(",\"received_bytes\":", Some(entry.received_bytes));
    fields.text(",\"app\":", entry.app);
    fields.number(",\"slot\":", entry.slot.map(u64::from));
    fields.text(",\"request_id\":", Some(entry.request_id));
    fields.value(",\"trace_id\":", entry.trace_id, |line, id| {
        line.push(b'"');
        push_hex(line, id, 32);
        line.push(b'"');
    });
    fields.value(",\"duration_ms\":", Some(entry.duration), push_millis);
    fields.value(",\"upstream_ms\":", entry.upstream, push_millis);
    let agent = entry.user_agent.map(String::from_utf8_lossy);
    fields.text(",\"user_agent\":", agent);
    fields.text(",\"referer\":", entry.referer.map(referer));
    line.push(b'}');
    line
}

struct Fields<'a> {
    line: &'a mut Vec<u8>,
}

impl Fields<'_> {
    /// `name` comes with its comma, quotes and colon.
    fn value<T>(&mut self, name: &str, value: Option<T>, push: impl FnOnce(&mut Vec<u8>, T)) {
        self.line.extend_from_slice(name.as_bytes());
        match value {
            None => self.line.extend_from_slice(b"null"),
            Some(value) => push(self.line, value),
        }
    }

    fn text(&mut self, name: &str, text: Option<impl AsRef<str>>) {
        self.value(name, text, |line, text| {
            line.push(b'"');
            let (kept, cut) = shortened(text.as_ref());
            if kept.bytes().all(is_plain) {
                line.extend_from_slice(kept.as_bytes());
            } else {
                let mut escaped = String::with_capacity(kept.len() + 16);
                kept.chars().for_each(|char| json_char(&mut escaped, char));
                line.extend_from_slice(escaped.as_bytes());
            }
            line.extend_from_slice(cut.as_bytes());
            line.push(b'"');
        });
    }

    fn number(&mut self, name: &str, number: Option<u64>) {
        self.value(name, number, push_decimal);
    }
}

/// Stands in JSON as it is: nearly every byte of nearly every line.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn json_char(line: &mut String, char: char) {
    match char {
        '"' => line.push_str("\\\""),
        '\\' => line.push_str("\\\\"),
        // Also the second block of controls, which terminals obey, and the separators that end a
        // line for some readers.
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        }
        c => line.push(c),
    }
}

/// The combined format; then app, slot, request id, trace id, duration and upstream time.
fn combined(entry: &Entry<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(384);
    or_dash(&mut line, entry.peer, push_address);
    line.extend_from_slice(b" - ");
    // A name holds no space: `is_user` of the core would not have let it in.
    or_dash(&mut line, entry.user, quoted);
    line.extend_from_slice(b" [");
    clock::push_combined(&mut line, entry.at);
    line.extend_from_slice(b"] \"");
    quoted(&mut line, entry.method);
    line.push(b' ');
    quoted(&mut line, entry.path);
    if let Some(query) = entry.query {
        line.push(b'?');
        quoted(&mut line, &redact::query(query));
    }
    line.push(b' ');
    quoted(&mut line, entry.protocol);
    line.extend_from_slice(b"\" ");
    push_decimal(&mut line, entry.status.into());
    line.push(b' ');
    push_decimal(&mut line, entry.sent_bytes);
    line.extend_from_slice(b" \"");
    let referer = entry.referer.map(referer);
    or_dash(&mut line, referer, |line, text| quoted(line, &text));
    line.extend_from_slice(b"\" \"");
    let agent = entry.user_agent.map(String::from_utf8_lossy);
    or_dash(&mut line, agent, |line, text| quoted(line, &text));
    line.extend_from_slice(b"\" \"");
    or_dash(&mut line, entry.app, quoted);
    line.extend_from_slice(b"\" ");
    or_dash(&mut line, entry.slot.map(u64::from), push_decimal);
    line.extend_from_slice(b" \"");
    quoted(&mut line, entry.request_id);
    line.extend_from_slice(b"\" \"");
    or_dash(&mut line, entry.trace_id, |line, id| push_hex(line, id, 32));
    line.extend_from_slice(b"\" ");
    push_millis(&mut line, entry.duration);
    line.extend_from_slice(b"ms ");
    or_dash(&mut line, entry.upstream, |line, time| {
        push_millis(line, time);
        line.extend_from_slice(b"ms");
    });
    line
}

fn or_dash<T>(line: &mut Vec<u8>, value: Option<T>, push: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        None => line.push(b'-'),
        Some(value) => push(line, value),
    }
}

/// Escape as the servers people know do: everything that is no printable ASCII becomes `\xHH`.
fn quoted(line: &mut Vec<u8>, text: &str) {
    let (kept, cut) = shortened(text);
    for byte in kept.bytes() {
        match byte {
            b'"' | b'\\' | 0x7f.. | ..=0x1f => {
                line.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
            }
            plain => line.push(plain),
        }
    }
    line.extend_from_slice(cut.as_bytes());
}

fn referer(bytes: &[u8]) -> Cow<'_, str> {
    Cow::Owned(redact::url(&String::from_utf8_lossy(bytes)).into_owned())
}

fn shortened(text: &str) -> (&str, &'static str) {
    if text.len() <= TEXT_BYTES_MAX {
        return (text, "");
    }
    let end = (0..=TEXT_BYTES_MAX)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    (&text[..end], CUT)
}

/// Milliseconds with three places, rounded.
fn push_millis(line: &mut Vec<u8>, time: Duration) {
    let nanos = time.subsec_nanos() + 500;
    let whole = time.as_secs().saturating_mul(1_000_000);
    let micros = whole.saturating_add(u64::from(nanos / 1_000));
    push_decimal(line, micros / 1_000);
    line.push(b'.');
    push_padded(line, micros % 1_000, 3);
}
