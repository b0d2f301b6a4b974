//! Numbers and addresses as text, for the lines that every request writes.
//!
//! Place: called by `forwarded`, `trace` and the server's access log.
//! Rule: the same text as `format!`, without its machinery: a request writes some thirty numbers, and formatting them
//!       was a third of what it cost.

use std::io::Write as _;
use std::net::IpAddr;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The text that `push` writes, of about `bytes` bytes; whatever is not UTF-8 makes it empty.
pub fn ascii(bytes: usize, push: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::with_capacity(bytes);
    push(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends `number` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    push_padded(out, number, 1);
}

/// Appends `number` in decimal with zeros in front, up to `width` digits; more digits are never cut.
pub fn push_padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    // The largest number has 20 digits.
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while number > 0 {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[first.min(digits.len().saturating_sub(width))..]);
}

/// Appends the last `width` hex digits of `number`, at most 32, in lower case with zeros in front.
pub fn push_hex(out: &mut Vec<u8>, number: u128, width: usize) {
    let mut digits = [b'0'; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    out.extend_from_slice(&digits[digits.len().saturating_sub(width)..]);
}

/// Appends an address.
pub fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        // Writing to memory cannot fail.
        let _ = write!(out, "{address}");
        return;
    };
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        push_decimal(out, octet.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before ".to_vec();
        push(&mut out);
        String::from_utf8(out.split_off(b"before ".len())).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_the_library_writes_them(number: u64, id: u128, small in 0u64..1000) {
            for number in [number, small, 0, u64::MAX] {
                prop_assert_eq!(written(|out| push_decimal(out, number)), number.to_string());
                prop_assert_eq!(written(|out| push_padded(out, number, 4)), format!("{number:04}"));
            }
            prop_assert_eq!(written(|out| push_hex(out, id, 32)), format!("{id:032x}"));
            prop_assert_eq!(written(|out| push_hex(out, id, 2)), format!("{:02x}", id & 0xff));
        }

        #[test]
        fn addresses_are_written_as_the_library_writes_them(address: IpAddr) {
            prop_assert_eq!(written(|out| push_address(out, address)), address.to_string());
        }
    }
}
