//! A moment as the two formats write it, in UTC.
//!
//! Place:  line -> [clock]
//! Rule:   pure; no time zone but UTC and no locale.

use std::time::{SystemTime, UNIX_EPOCH};

use mergepoint_edge_core::digits::push_padded;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A moment as a calendar reads it.
#[derive(Debug, PartialEq)]
struct Calendar {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millisecond: u32,
}

/// `2026-11-21T10:04:05.678Z`
pub(super) fn push_iso(out: &mut Vec<u8>, at: SystemTime) {
    let at = calendar(at);
    let parts = [
        ("", at.year, 4),
        ("-", at.month, 2),
        ("-", at.day, 2),
        ("T", at.hour, 2),
        (":", at.minute, 2),
        (":", at.second, 2),
        (".", at.millisecond.into(), 3),
    ];
    push_parts(out, &parts);
    out.push(b'Z');
}

/// `21/Nov/2026:10:04:05 +0000`
pub(super) fn push_combined(out: &mut Vec<u8>, at: SystemTime) {
    let at = calendar(at);
    let month = MONTHS
        .get(usize::try_from(at.month - 1).unwrap_or(0))
        .unwrap_or(&"Jan");
    push_padded(out, at.day, 2);
    out.push(b'/');
    out.extend_from_slice(month.as_bytes());
    let parts = [
        ("/", at.year, 4),
        (":", at.hour, 2),
        (":", at.minute, 2),
        (":", at.second, 2),
    ];
    push_parts(out, &parts);
    out.extend_from_slice(b" +0000");
}

fn push_parts(out: &mut Vec<u8>, parts: &[(&str, u64, usize)]) {
    for (before, number, width) in parts {
        out.extend_from_slice(before.as_bytes());
        push_padded(out, *number, *width);
    }
}

fn calendar(at: SystemTime) -> Calendar {
    // A clock before 1970 is broken; the log says 1970 and goes on.
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    Calendar {
        year,
        month,
        day,
        hour: seconds / 3600 % 24,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        millisecond: since.subsec_millis(),
    }
}

/// Days since 1970 as year, month, day. Years begin in March, so that the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn iso(at: SystemTime) -> String {
        let mut out = Vec::new();
        push_iso(&mut out, at);
        String::from_utf8(out).unwrap()
    }

    fn combined(at: SystemTime) -> String {
        let mut out = Vec::new();
        push_combined(&mut out, at);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments_are_written_as_known() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso(UNIX_EPOCH + Duration::from_secs(seconds)), wanted);
        }
        let at = UNIX_EPOCH + Duration::from_millis(971_211_336_789);
        assert_eq!(combined(at), "10/Oct/2000:20:55:36 +0000");
        assert_eq!(iso(at), "2000-10-10T20:55:36.789Z");
    }

    proptest::proptest! {
        #[test]
        fn every_day_agrees_with_the_http_date(seconds in 0u64..250_000_000_000) {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            let date = httpdate::fmt_http_date(at); // Sun, 06 Nov 1994 08:49:37 GMT
            let words: Vec<&str> = date.split([' ', ':']).collect();
            let wanted = format!("{}/{}/{}:{}:{}:{} +0000", words[1], words[2], words[3], words[4], words[5], words[6]);
            proptest::prop_assert_eq!(combined(at), wanted);
        }
    }
}
