//! Bytes in which nothing repeats, so that no layer makes them smaller.

/// This many of them, always the same.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |()| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_n((), bytes).map(next).collect()
}
