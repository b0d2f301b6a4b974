//! The signed cookie that keeps a visitor on one slot.
//!
//! Place: read before `choose`, written into the answer when the slot changed.
//! Rule: a cookie counts only for the app it was made for; a visitor can neither forge nor carry it over.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use hmac::{Hmac, Mac};
use http::header::HeaderMap;
use http::HeaderValue;
use sha2::Sha256;

use crate::cookie;
use crate::forwarded::Scheme;
use crate::snapshot::Secret;

/// Bytes of the MAC that are kept: 128 bits.
const MAC_BYTES: usize = 16;
/// Longest value worth checking: ten digits, a dot, 22 characters of MAC.
const VALUE_BYTES_MAX: usize = 33;

/// Name of the cookie of an app.
pub fn cookie_name(app: &str) -> String {
    format!("__mp_{app}")
}

/// The value that binds a visitor to a slot of an app.
pub fn value(secret: &Secret, app: &str, slot: u32) -> String {
    let mac = mac(secret, app, slot).map(|mac| mac.finalize().into_bytes());
    let kept = mac.as_ref().map_or(&[][..], |bytes| &bytes[..MAC_BYTES]);
    format!("{slot}.{}", URL_SAFE_NO_PAD.encode(kept))
}

/// The slot of a value, if it is ours and for this app. Takes the same time for every wrong MAC.
pub fn verify(secret: &Secret, app: &str, value: &str) -> Option<u32> {
    if value.len() > VALUE_BYTES_MAX {
        return None;
    }
    let (digits, encoded) = value.split_once('.')?;
    let slot: u32 = digits.parse().ok()?;
    let given = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    // `verify_truncated_left` takes any length; a short MAC would be easy to guess.
    if given.len() != MAC_BYTES || slot.to_string() != digits {
        return None;
    }
    mac(secret, app, slot)?.verify_truncated_left(&given).ok()?;
    Some(slot)
}

/// The slot that a request is bound to.
pub fn from_request(secret: &Secret, app: &str, headers: &HeaderMap) -> Option<u32> {
    verify(secret, app, cookie::get(headers, &cookie_name(app))?)
}

/// The Set-Cookie field: for the session of the browser, for the mount of the app, hidden from scripts.
pub fn set_cookie(
    secret: &Secret,
    app: &str,
    slot: u32,
    mount: &str,
    scheme: Scheme,
) -> Option<HeaderValue> {
    let secure = match scheme {
        Scheme::Https => "; Secure",
        Scheme::Http => "",
    };
    let mount = if mount.is_empty() { "/" } else { mount };
    let value = value(secret, app, slot);
    HeaderValue::from_str(&format!(
        "{}={value}; Path={mount}; HttpOnly; SameSite=Lax{secure}",
        cookie_name(app)
    ))
    .ok()
}

fn mac(secret: &Secret, app: &str, slot: u32) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length, so this is never `None`.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).ok()?;
    mac.update(b"mergepoint sticky 1\0");
    mac.update(app.as_bytes());
    mac.update(b"\0");
    mac.update(&slot.to_be_bytes());
    Some(mac)
}
