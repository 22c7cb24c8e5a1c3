//! A generator per thread for choices (xoshiro256++), the operating system for secrets.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<[u64; 4]> = Cell::new(seed());
}

fn seed() -> [u64; 4] {
    let mut bytes = [0; 32];
    secret(&mut bytes);
    let mut words = bytes.chunks_exact(8).map(|c| c.iter().fold(0, |w, b| w << 8 | u64::from(*b)));
    // The all-zero state is the one that never leaves itself.
    std::array::from_fn(|_| words.next().unwrap_or(0) | 1)
}

pub(crate) fn u64() -> u64 {
    STATE.with(|state| {
        let [mut a, mut b, mut c, mut d] = state.get();
        let out = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let t = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= t;
        d = d.rotate_left(45);
        state.set([a, b, c, d]);
        out
    })
}

pub(crate) fn secret(buf: &mut [u8]) {
    getrandom::fill(buf).expect("the operating system gives random bytes");
}
