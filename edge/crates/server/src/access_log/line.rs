//! One request as one line, in either format.
//!
//! Place:  access_log -> [line] -> writer
//! Rule:   pure; whatever a client sent, the line stays one line and holds no control byte.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

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
    line.push('\n');
    line.into_bytes()
}

fn json(entry: &Entry<'_>) -> String {
    let mut line = String::with_capacity(512);
    line.push('{');
    let mut fields = Fields { line: &mut line };
    fields.text("at", Some(clock::iso(entry.at)));
    fields.text("peer", entry.peer.map(|ip| ip.to_string()));
    fields.text("user", entry.user);
    fields.text("method", Some(entry.method));
    fields.text("host", Some(entry.host));
    fields.text("path", Some(entry.path));
    fields.text("query", entry.query.map(redact::query));
    fields.text("protocol", Some(entry.protocol));
    fields.number("status", Some(entry.status));
    fields.number("sent_bytes", Some(entry.sent_bytes));
    fields.number("received_bytes", Some(entry.received_bytes));
    fields.text("app", entry.app);
    fields.number("slot", entry.slot);
    fields.text("request_id", Some(entry.request_id));
    fields.text("trace_id", entry.trace_id);
    fields.number("duration_ms", Some(millis(entry.duration)));
    fields.number("upstream_ms", entry.upstream.map(millis));
    fields.text("user_agent", entry.user_agent.map(String::from_utf8_lossy));
    fields.text("referer", entry.referer.map(referer));
    line.push('}');
    line
}

struct Fields<'a> {
    line: &'a mut String,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) {
        let comma = if self.line.len() > 1 { "," } else { "" };
        let _ = write!(self.line, "{comma}\"{name}\":");
    }

    fn text(&mut self, name: &str, text: Option<impl AsRef<str>>) {
        self.name(name);
        match text {
            None => self.line.push_str("null"),
            Some(text) => {
                self.line.push('"');
                let (kept, cut) = shortened(text.as_ref());
                if kept.bytes().all(is_plain) {
                    self.line.push_str(kept);
                } else {
                    kept.chars().for_each(|char| json_char(self.line, char));
                }
                self.line.push_str(cut);
                self.line.push('"');
            }
        }
    }

    fn number(&mut self, name: &str, number: Option<impl std::fmt::Display>) {
        self.name(name);
        let _ = match number {
            Some(number) => write!(self.line, "{number}"),
            None => write!(self.line, "null"),
        };
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
fn combined(entry: &Entry<'_>) -> String {
    let mut line = String::with_capacity(384);
    let dash = || "-".to_owned();
    let peer = entry.peer.map_or_else(dash, |ip| ip.to_string());
    let _ = write!(line, "{peer} - ");
    // A name holds no space: `is_user` of the core would not have let it in.
    quoted(&mut line, entry.user.unwrap_or("-"));
    let _ = write!(line, " [{}] \"", clock::combined(entry.at));
    quoted(&mut line, entry.method);
    line.push(' ');
    quoted(&mut line, entry.path);
    if let Some(query) = entry.query {
        line.push('?');
        quoted(&mut line, &redact::query(query));
    }
    line.push(' ');
    quoted(&mut line, entry.protocol);
    let _ = write!(line, "\" {} {} \"", entry.status, entry.sent_bytes);
    quoted(
        &mut line,
        &entry.referer.map_or(Cow::Borrowed("-"), referer),
    );
    line.push_str("\" \"");
    quoted(
        &mut line,
        &entry
            .user_agent
            .map_or(Cow::Borrowed("-"), String::from_utf8_lossy),
    );
    line.push_str("\" \"");
    quoted(&mut line, entry.app.unwrap_or("-"));
    let slot = entry.slot.map_or_else(dash, |slot| slot.to_string());
    let _ = write!(line, "\" {slot} \"");
    quoted(&mut line, entry.request_id);
    line.push_str("\" \"");
    quoted(&mut line, entry.trace_id.unwrap_or("-"));
    let upstream = entry
        .upstream
        .map_or_else(dash, |time| format!("{}ms", millis(time)));
    let _ = write!(line, "\" {}ms {upstream}", millis(entry.duration));
    line
}

/// Escape as the servers people know do: everything that is no printable ASCII becomes `\xHH`.
fn quoted(line: &mut String, text: &str) {
    let (kept, cut) = shortened(text);
    for byte in kept.bytes() {
        match byte {
            b'"' | b'\\' | 0x7f.. | ..=0x1f => {
                let _ = write!(line, "\\x{byte:02X}");
            }
            plain => line.push(char::from(plain)),
        }
    }
    line.push_str(cut);
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

/// Milliseconds with three places.
fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1000.0)
}
