//! The error page: one self-contained HTML document.
//!
//! Place:  error_page -> [page]
//! Rule:   no script, no request, no unescaped text; readable on a phone, in the dark and aloud.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use http::HeaderValue;
use mergepoint_edge_core::snapshot::Mode;
use sha2::{Digest, Sha256};

use super::Problem;

const STYLE: &str = include_str!("page.css");

/// A page that says to come back soon reloads itself while somebody develops, within this bound.
const RELOAD_S_MAX: u64 = 30;

static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

/// The policy that lets the page have its own style and nothing else.
pub(super) fn policy() -> HeaderValue {
    POLICY
        .clone()
        .unwrap_or_else(|| HeaderValue::from_static("default-src 'none'"))
}

/// The document for a problem, already reduced to what may be shown.
pub(super) fn html(shown: &Problem<'_>, mode: Mode) -> String {
    let status = shown.status.as_u16();
    let title = escaped(&shown.title);
    let mut page = String::with_capacity(STYLE.len() + 2048);
    let reload = match shown.retry_after_s {
        Some(seconds) if mode == Mode::Development => {
            format!(
                "<meta http-equiv=\"refresh\" content=\"{}\">",
                seconds.clamp(1, RELOAD_S_MAX)
            )
        }
        _ => String::new(),
    };
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"robots\" content=\"noindex\">{reload}\
         <title>{title}</title><style>{STYLE}</style></head><body><main>\
         <p class=\"status\"><span>{status}</span></p><h1>{title}</h1>"
    );
    page.push_str(&lead(shown));
    if mode == Mode::Development {
        page.push_str(&facts(shown));
    }
    page.push_str(&advice(shown));
    let _ = writeln!(page, "{}</main></body></html>", footer(shown, mode));
    page
}

/// The request's id, to be quoted to an operator; the problem's code is for those who can act on it.
fn footer(shown: &Problem<'_>, mode: Mode) -> String {
    let request = escaped(shown.request_id);
    let code = match mode {
        Mode::Development => format!("<span><code>{}</code></span>", escaped(shown.code)),
        Mode::Production => String::new(),
    };
    format!("<footer><span>Request <code>{request}</code></span>{code}</footer>")
}

fn lead(shown: &Problem<'_>) -> String {
    if shown.detail.is_empty() {
        return String::new();
    }
    format!("<p class=\"lead\">{}</p>", escaped(&shown.detail))
}

/// What the developer needs: which app, what happened, where, and the next command.
fn facts(shown: &Problem<'_>) -> String {
    let mut rows = String::new();
    let mut row = |name: &str, value: &str, class: &str| {
        if !value.is_empty() {
            let value = escaped(value);
            let _ = write!(rows, "<dt>{name}</dt><dd class=\"{class}\">{value}</dd>");
        }
    };
    row("App", shown.app.unwrap_or(""), "name");
    if let Some(failure) = shown.failure {
        row("What happened", &failure.reason, "code");
        row("Where", failure.r#where.as_deref().unwrap_or(""), "code");
        row(
            "Do this next",
            failure.next.as_deref().unwrap_or(""),
            "code command",
        );
    }
    if rows.is_empty() {
        return rows;
    }
    format!("<dl>{rows}</dl>")
}

const START: &str =
    "<p class=\"advice\"><a class=\"again\" href=\"/\">Go to the start page</a></p>";

/// What the visitor can do. A link to nowhere in particular loads the same address again.
fn advice(shown: &Problem<'_>) -> String {
    let again = "<a class=\"again\" href=\"\">Try again</a>";
    match (shown.retry_after_s, shown.status.is_server_error()) {
        (Some(seconds), _) => {
            format!("<p class=\"advice\">{again} in {}.</p>", spoken(seconds))
        }
        (None, true) => format!("<p class=\"advice\">{again}</p>"),
        (None, false) => START.to_owned(),
    }
}

fn spoken(seconds: u64) -> String {
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// Text as HTML, safe in content and in quoted attributes. Controls other than line ends are shown
/// as a mark, because HTML has no way to write them.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(char),
            c if c.is_control() => safe.push('\u{fffd}'),
            // Characters that turn the direction of text could make one command look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
