//! One file per target.

pub(crate) mod bus;
pub(crate) mod cursor;
pub(crate) mod dispatch;
pub(crate) mod envelope;
pub(crate) mod filter;
pub(crate) mod header;
pub(crate) mod lines;
pub(crate) mod payload;
pub(crate) mod rest;
pub(crate) mod sse;
pub(crate) mod state;
pub(crate) mod uri;

/// Separates the parts of an input if each of them must be able to hold text: 0xff never occurs in
/// UTF-8.
const SEPARATOR: u8 = 0xff;

/// The first `N` parts of an input; the last part holds all the rest.
fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut parts = data.splitn(N, |byte| *byte == SEPARATOR);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
