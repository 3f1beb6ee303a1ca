//! A layer over the bodies of entries and the states of records.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use model::RecordId;
use ports::{BoxError, Collection, EntryName};

/// Where a body is.
#[derive(Clone, Copy, Debug)]
pub enum BodyPlace<'p> {
    /// The body of an entry of the log.
    Entry(&'p EntryName),
    /// The state of a record.
    Record {
        /// Its collection.
        collection: Collection,
        /// Its id.
        id: &'p RecordId,
    },
}

/// The reason why a layer cannot give back what was written through it. It concerns this body alone.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct LayerError {
    reason: String,
    #[source]
    source: Option<BoxError>,
}

impl LayerError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            source: None,
        }
    }

    pub(crate) fn caused(reason: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            reason: reason.into(),
            source: Some(source.into()),
        }
    }
}

/// Changes bodies on their way to a store, and changes them back.
///
/// A layer begins what it changed with a byte of its own ([`LayerTags`]). A body that begins with none of the
/// layer's bytes was written without it and is given back as it is: so a layer can be switched on over a store
/// that has data.
pub trait BodyLayer: fmt::Debug + Send + Sync + 'static {
    /// Bytes that the layer adds to a body at most.
    fn added_bytes(&self) -> usize;

    /// The body as it is stored.
    ///
    /// # Errors
    /// The layer cannot change it, which is not expected to happen.
    fn write(&self, place: BodyPlace<'_>, body: Bytes) -> Result<Bytes, LayerError>;

    /// The body as it was written.
    ///
    /// # Errors
    /// The layer wrote it, and it was damaged since, or put at another place.
    fn read(&self, place: BodyPlace<'_>, stored: Bytes) -> Result<Bytes, LayerError>;
}

/// Two layers as one, the outer one first: it writes first and reads last.
impl<O: BodyLayer, I: BodyLayer> BodyLayer for (O, I) {
    fn added_bytes(&self) -> usize {
        self.0.added_bytes() + self.1.added_bytes()
    }

    fn write(&self, place: BodyPlace<'_>, body: Bytes) -> Result<Bytes, LayerError> {
        self.1.write(place, self.0.write(place, body)?)
    }

    fn read(&self, place: BodyPlace<'_>, stored: Bytes) -> Result<Bytes, LayerError> {
        self.0.read(place, self.1.read(place, stored)?)
    }
}

/// The first bytes of what a layer writes. Bodies themselves begin with their version, a small number, and those
/// that begin with a byte of the layer are told apart by [`LayerTags::plain`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerTags {
    /// Begins a body that the layer changed.
    pub(crate) changed: u8,
    /// Begins a body that the layer left as it is, where that could be mistaken.
    pub(crate) plain: u8,
}

/// What the first byte of a stored body says.
pub(crate) enum TaggedBody {
    /// The layer changed this.
    Changed(Bytes),
    /// The layer did not change this.
    Plain(Bytes),
}

impl LayerTags {
    /// Bytes before a body that the layer does not change, at most.
    pub(crate) const BYTES: usize = 1;

    /// The stored form of a body that the layer does not change. Copies it only if its first byte is one of the
    /// layer's.
    pub(crate) fn unchanged(self, body: Bytes) -> Bytes {
        if !body.first().is_some_and(|first| self.is_one(*first)) {
            return body;
        }
        let mut tagged = BytesMut::with_capacity(Self::BYTES + body.len());
        tagged.put_u8(self.plain);
        tagged.put_slice(&body);
        tagged.freeze()
    }

    /// Tells what the layer did with a body; `Changed` is with its tag.
    pub(crate) fn read(self, stored: Bytes) -> TaggedBody {
        match stored.first() {
            Some(first) if *first == self.changed => TaggedBody::Changed(stored),
            Some(first) if *first == self.plain => TaggedBody::Plain(stored.slice(Self::BYTES..)),
            _ => TaggedBody::Plain(stored),
        }
    }

    const fn is_one(self, byte: u8) -> bool {
        byte == self.changed || byte == self.plain
    }
}
