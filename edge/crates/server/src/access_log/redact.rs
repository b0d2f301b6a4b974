//! Queries without the secrets that people put into them.
//!
//! Place:  line -> [redact]
//! Rule:   pure; only values go, so that the log still shows what was asked.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What stands for a value that was taken out.
const HIDDEN: &str = "***";
/// Names whose values are taken out, also as the last word of a longer name (`reset_token`).
const SECRET_NAMES: [&str; 10] = [
    "token",
    "key",
    "password",
    "secret",
    "passwd",
    "pwd",
    "apikey",
    "signature",
    "jwt",
    "session",
];

/// The query with every secret value replaced by `***`; unchanged when it has none.
pub(super) fn query(text: &str) -> Cow<'_, str> {
    if !text.split(['&', ';']).any(is_secret) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for part in text.split_inclusive(['&', ';']) {
        let (pair, end) = match part.strip_suffix(['&', ';']) {
            Some(pair) => (pair, &part[pair.len()..]),
            None => (part, ""),
        };
        match pair.split_once('=') {
            Some((name, _)) if is_secret(pair) => {
                clean.push_str(name);
                clean.push('=');
                clean.push_str(HIDDEN);
            }
            _ => clean.push_str(pair),
        }
        clean.push_str(end);
    }
    Cow::Owned(clean)
}

/// A URL with the secrets of its query, its fragment and its user information taken out.
pub(super) fn url(text: &str) -> Cow<'_, str> {
    let (text, fragment) = match text.split_once('#') {
        Some((text, fragment)) => (text, Some(fragment)),
        None => (text, None),
    };
    let (place, asked) = match text.split_once('?') {
        Some((place, asked)) => (place, Some(asked)),
        None => (text, None),
    };
    let mut clean = without_user(place).into_owned();
    for (mark, part) in [('?', asked), ('#', fragment)] {
        if let Some(part) = part {
            clean.push(mark);
            clean.push_str(&query(part));
        }
    }
    Cow::Owned(clean)
}

/// A path of the accounts app with nothing below its page: links and provider answers are as good as a password.
pub(crate) fn confidential(path: &str, mount: &str) -> String {
    let below = path.strip_prefix(mount).unwrap_or_default();
    let page = below.trim_start_matches('/').split('/').next();
    let page = page.unwrap_or_default();
    match below.trim_matches('/').len() > page.len() {
        true => format!("{mount}/{page}/{HIDDEN}"),
        false => format!("{mount}/{page}"),
    }
}

fn without_user(place: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = place.split_once("://") else {
        return Cow::Borrowed(place);
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((user, _)) => Cow::Owned(format!("{scheme}://{HIDDEN}{}", &rest[user.len()..])),
        None => Cow::Borrowed(place),
    }
}

fn is_secret(pair: &str) -> bool {
    let Some((name, value)) = pair.split_once('=') else {
        return false;
    };
    if value.is_empty() {
        return false;
    }
    // `%74oken` is `token` to every framework.
    let name = percent_decode_str(name)
        .decode_utf8_lossy()
        .to_ascii_lowercase();
    let name = name.trim_end_matches(['[', ']', '+', ' ']);
    SECRET_NAMES
        .iter()
        .any(|secret| match name.strip_suffix(secret) {
            Some("") => true,
            Some(before) => before.ends_with(['_', '-', '.', '[']),
            None => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (given, wanted) in [
            ("a=1&token=abc&b=2", "a=1&token=***&b=2"),
            ("access_token=x", "access_token=***"),
            ("TOKEN=x;Password=y", "TOKEN=***;Password=***"),
            ("%74oken=x", "%74oken=***"),
            ("user[password]=x&k=v", "user[password]=***&k=v"),
            ("api-key=x=y=z", "api-key=***"),
            ("client_secret=%26&x", "client_secret=***&x"),
        ] {
            assert_eq!(query(given), wanted);
        }
    }

    #[test]
    fn what_only_looks_like_a_secret_stays() {
        for given in [
            "",
            "monkey=1",
            "keyboard=1",
            "token",
            "token=",
            "q=token",
            "&&=&;",
        ] {
            assert_eq!(query(given), given);
        }
    }

    #[test]
    fn of_the_accounts_app_only_the_page_is_told() {
        for (path, told) in [
            ("/-/accounts/link/abc", "/-/accounts/link/***"),
            ("/-/accounts/link/abc/d", "/-/accounts/link/***"),
            ("/-/accounts//link/abc", "/-/accounts/link/***"),
            ("/-/accounts/login", "/-/accounts/login"),
            ("/-/accounts/", "/-/accounts/"),
            ("/-/accounts", "/-/accounts/"),
        ] {
            assert_eq!(confidential(path, "/-/accounts"), told);
        }
    }

    #[test]
    fn referring_pages_tell_no_secret_either() {
        let given = "https://me:pw@example.org/a?key=1&b=2#access_token=x&c";
        assert_eq!(
            url(given),
            "https://***@example.org/a?key=***&b=2#access_token=***&c"
        );
        assert_eq!(url("https://example.org/@me"), "https://example.org/@me");
        assert_eq!(url("plain"), "plain");
    }
}
