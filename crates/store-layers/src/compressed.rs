//! Bodies are compressed where that makes them smaller.

use std::cell::RefCell;

use bytes::{BufMut, Bytes, BytesMut};
use zstd::bulk::{Compressor, Decompressor};

use crate::body_layer::{BodyLayer, BodyPlace, LayerError, LayerTags, TaggedBody};

/// A compressed body: this tag, the length of the body (4 bytes, big endian), and a frame of Zstandard (RFC 8878).
const TAGS: LayerTags = LayerTags {
    changed: 0xc1,
    plain: 0xc0,
};
const HEAD_BYTES: usize = 1 + 4;
/// A smaller body stays as it is: a frame alone has a dozen bytes, and a store's page holds several of them.
const MIN_BYTES: usize = 256;
/// A larger body stays as it is, and what claims to become larger is refused: entries and states are below.
const MAX_BYTES: usize = 2 << 20;
/// The fastest of the ordinary levels. GitHub's published examples of issues, pull requests and milestones (10 KiB on
/// average) become 15 % of their size, and level 6 makes that 14 %.
const LEVEL: i32 = 1;

/// Compresses bodies with Zstandard, where that makes them smaller.
///
/// A body that was compressed is read whether or not this layer compresses what it writes.
#[derive(Clone, Copy, Debug)]
pub struct Compressed {
    compresses: bool,
}

impl Compressed {
    /// Compresses what is written.
    #[must_use]
    pub const fn on() -> Self {
        Self { compresses: true }
    }

    /// Only reads what was compressed.
    #[must_use]
    pub const fn reading() -> Self {
        Self { compresses: false }
    }
}

thread_local! {
    // Contexts are a few hundred KiB, and cost more to make than a body to compress. One per thread that meets a
    // body; none where memory for it is lacking.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(LEVEL).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::new().ok());
}

impl BodyLayer for Compressed {
    fn added_bytes(&self) -> usize {
        LayerTags::BYTES
    }

    fn write(&self, _: BodyPlace<'_>, body: Bytes) -> Result<Bytes, LayerError> {
        let fits = self.compresses && (MIN_BYTES..=MAX_BYTES).contains(&body.len());
        let smaller = fits.then(|| compressed(&body)).flatten();
        Ok(smaller.unwrap_or_else(|| TAGS.unchanged(body)))
    }

    fn read(&self, _: BodyPlace<'_>, stored: Bytes) -> Result<Bytes, LayerError> {
        match TAGS.read(stored) {
            TaggedBody::Plain(body) => Ok(body),
            TaggedBody::Changed(stored) => inflated(&stored),
        }
    }
}

/// The compressed form of a body; `None` if it is not smaller.
fn compressed(body: &[u8]) -> Option<Bytes> {
    let length = u32::try_from(body.len()).ok()?;
    let frame = COMPRESSOR.with_borrow_mut(|context| {
        let context = context.as_mut()?;
        context.compress(body).ok()
    })?;
    if HEAD_BYTES + frame.len() >= body.len() {
        return None;
    }
    let mut stored = BytesMut::with_capacity(HEAD_BYTES + frame.len());
    stored.put_u8(TAGS.changed);
    stored.put_u32(length);
    stored.put_slice(&frame);
    Some(stored.freeze())
}

/// The body in a compressed one; never takes more memory than its head says, nor than [`MAX_BYTES`].
fn inflated(stored: &[u8]) -> Result<Bytes, LayerError> {
    let head = stored
        .get(1..HEAD_BYTES)
        .and_then(|length| length.try_into().ok());
    let head = head.ok_or_else(|| LayerError::new("a compressed body ends within its head"))?;
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > MAX_BYTES {
        let reason = format!("a compressed body claims {length} bytes, more than {MAX_BYTES}");
        return Err(LayerError::new(reason));
    }
    let body = DECOMPRESSOR.with_borrow_mut(|context| match context {
        Some(context) => context.decompress(&stored[HEAD_BYTES..], length),
        None => Err(std::io::ErrorKind::OutOfMemory.into()),
    });
    let body = body.map_err(|error| {
        LayerError::caused(
            "a compressed body is damaged, or larger than it claims",
            error,
        )
    })?;
    if body.len() != length {
        return Err(LayerError::new(
            "a compressed body is shorter than it claims",
        ));
    }
    Ok(body.into())
}
