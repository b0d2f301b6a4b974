//! Random numbers for request ids and ties: fast, seeded by the operating system, never for secrets.
//!
//! Place: exchange.rs, pool -> [random]
//! Rule:  one generator per thread, no lock, no system call after the first number.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

thread_local! {
    static STATE: Cell<[u64; 2]> = Cell::new([seed(), seed()]);
}

fn seed() -> u64 {
    // `RandomState` draws its keys from the operating system; 0 in both words would stay 0.
    RandomState::new().build_hasher().finish() | 1
}

/// 64 random bits (xoroshiro128++).
pub fn bits64() -> u64 {
    STATE.with(|state| {
        let [a, b] = state.get();
        let result = a.wrapping_add(b).rotate_left(17).wrapping_add(a);
        let mixed = a ^ b;
        state.set([
            a.rotate_left(49) ^ mixed ^ (mixed << 21),
            mixed.rotate_left(28),
        ]);
        result
    })
}

/// 128 random bits.
pub fn bits128() -> u128 {
    (u128::from(bits64()) << 64) | u128::from(bits64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_repeat() {
        let drawn: std::collections::HashSet<u128> = (0..10_000).map(|_| bits128()).collect();
        assert_eq!(drawn.len(), 10_000);
    }
}
