//! mimalloc, which is the allocator of the binary. Where it is not, as in tests, it has nothing to give.

#[expect(unsafe_code, reason = "no safe wrapper has this call")]
pub(crate) fn give_back() {
    // SAFETY: it may be called at any time, by any thread; it touches nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
