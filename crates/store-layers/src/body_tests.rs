//! What layers do with bodies, and what they refuse.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use contract::entry;
use model::{RandomIds, RecordId, SharedKey};
use ports::{Collection, EntryName};
use proptest::prelude::*;

use crate::{BodyLayer, BodyPlace, Compressed, Sealed};

/// A collection.
pub(crate) const THINGS: Collection = Collection::new("things");

pub(crate) fn sealed(keys: &[&str]) -> Sealed {
    let keys = keys.iter().map(|key| SharedKey::of_text(key));
    Sealed::new(keys, Arc::new(RandomIds), true)
}

pub(crate) fn name(n: u64) -> EntryName {
    EntryName::Id(entry(n).id)
}

fn at(name: &EntryName) -> BodyPlace<'_> {
    BodyPlace::Entry(name)
}

/// A body that compresses well.
pub(crate) fn text(bytes: usize) -> Bytes {
    b"{\"resource\":\"issue\"}"
        .iter()
        .copied()
        .cycle()
        .take(bytes)
        .collect()
}

#[test]
fn a_body_is_compressed_where_that_helps() {
    let (layer, name) = (Compressed::on(), name(0));
    let stored = layer.write(at(&name), text(2000)).unwrap();
    assert!(
        stored.len() < 200 && stored[0] == 0xc1,
        "{} bytes",
        stored.len()
    );
    for body in [
        text(255),
        text(0),
        text((2 << 20) + 1),
        Bytes::from_static(b"\x01abc"),
    ] {
        let stored = layer.write(at(&name), body.clone()).unwrap();
        assert_eq!(stored, body, "too small or too large");
        assert_eq!(stored.as_ptr(), body.as_ptr(), "and not copied");
    }
    let noise: Bytes = (0..1000)
        .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let stored = layer.write(at(&name), noise.clone()).unwrap();
    assert_eq!(layer.read(at(&name), stored).unwrap(), noise);
    let off = Compressed::reading();
    let stored = layer.write(at(&name), text(2000)).unwrap();
    assert_eq!(off.read(at(&name), stored).unwrap(), text(2000));
    assert_eq!(off.write(at(&name), text(2000)).unwrap(), text(2000));
}

/// A compressed body that claims another length than it has.
pub(crate) fn claiming(length: u32, frame: &[u8]) -> Bytes {
    let mut stored = BytesMut::new();
    stored.put_u8(0xc1);
    stored.put_u32(length);
    stored.put_slice(frame);
    stored.freeze()
}

#[test]
fn a_bomb_is_refused_before_it_takes_memory() {
    let (layer, name) = (Compressed::on(), name(0));
    // 128 MiB of zeros in some 4 KiB.
    let bomb = {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..128 {
            std::io::Write::write_all(&mut encoder, &zeros).unwrap();
        }
        encoder.finish().unwrap()
    };
    for length in [0, 1, 1000, 2 << 20, (2 << 20) + 1, u32::MAX] {
        let refused = layer.read(at(&name), claiming(length, &bomb));
        assert!(refused.is_err(), "as {length} bytes");
    }
    let small = zstd::bulk::compress(&text(1000), 1).unwrap();
    assert_eq!(
        layer.read(at(&name), claiming(1000, &small)).unwrap(),
        text(1000)
    );
    for length in [999, 1001] {
        assert!(
            layer.read(at(&name), claiming(length, &small)).is_err(),
            "{length}"
        );
    }
    for cut in 0..6 {
        let _ = layer.read(at(&name), claiming(1000, &small).slice(..cut));
    }
}

#[test]
fn keys_are_rotated_and_a_wrong_one_is_named() {
    let name = name(0);
    let [old, new] = ["the old key", "the new key"];
    let by_old = sealed(&[old]).write(at(&name), text(100)).unwrap();
    let by_new = sealed(&[new, old]).write(at(&name), text(100)).unwrap();
    for keys in [&[new, old][..], &[old, new]] {
        for stored in [&by_old, &by_new] {
            assert_eq!(
                sealed(keys).read(at(&name), stored.clone()).unwrap(),
                text(100)
            );
        }
    }
    for keys in [&[new][..], &[]] {
        let refused = sealed(keys).read(at(&name), by_old.clone()).unwrap_err();
        let id = format!("{:08x}", SharedKey::of_text(old).id());
        let text = refused.to_string();
        assert!(
            text.contains(&id) && text.contains("layers.seal_key_files"),
            "{text}"
        );
    }
}

#[test]
fn a_sealed_body_belongs_to_its_place() {
    let (layer, zero, one) = (sealed(&["key"]), name(0), name(1));
    let stored = layer.write(at(&zero), text(100)).unwrap();
    let mut windows = stored.windows(20);
    assert!(
        windows.all(|window| window != &text(20)[..]),
        "it is readable"
    );
    // A store that knows the digest of an id alone opens it as well.
    let digest = EntryName::Digest(zero.digest().unwrap());
    assert_eq!(layer.read(at(&digest), stored.clone()).unwrap(), text(100));
    let id = RecordId::new("one").unwrap();
    let record = |collection| BodyPlace::Record {
        collection,
        id: &id,
    };
    for other in [at(&one), at(&EntryName::Unknown), record(THINGS)] {
        assert!(layer.read(other, stored.clone()).is_err(), "{other:?}");
    }
    let state = layer.write(record(THINGS), text(100)).unwrap();
    let others = record(Collection::new("others"));
    assert!(layer.read(others, state.clone()).is_err());
    assert_eq!(layer.read(record(THINGS), state).unwrap(), text(100));
}

#[test]
fn unsealed_bodies_are_read_if_the_operator_says_so() {
    let name = name(0);
    let strict = Sealed::new([SharedKey::of_text("key")], Arc::new(RandomIds), false);
    assert_eq!(sealed(&["key"]).read(at(&name), text(9)).unwrap(), text(9));
    let refused = strict.read(at(&name), text(9)).unwrap_err();
    assert!(
        refused.to_string().contains("layers.accept_unsealed"),
        "{refused}"
    );
    let stored = strict.write(at(&name), text(9)).unwrap();
    assert_eq!(strict.read(at(&name), stored).unwrap(), text(9));
}

proptest! {
    #[test]
    fn every_body_comes_back(body: Vec<u8>, repeat in 1..40_usize, first: u8) {
        let name = name(0);
        let mut body = body.repeat(repeat);
        body.insert(0, first);
        let body = Bytes::from(body);
        let layers: [&dyn BodyLayer; 4] = [
            &Compressed::on(), &Compressed::reading(), &sealed(&["key"]), &sealed(&[]),
        ];
        for layer in layers {
            let stored = layer.write(at(&name), body.clone()).unwrap();
            prop_assert!(stored.len() <= body.len() + layer.added_bytes());
            prop_assert_eq!(&layer.read(at(&name), stored).unwrap(), &body);
        }
    }

    #[test]
    fn no_bytes_make_a_layer_panic(mut stored: Vec<u8>, tag in 0xc0..=0xc3_u8) {
        stored.insert(0, tag);
        let (name, stored) = (name(0), Bytes::from(stored));
        let _ = Compressed::on().read(at(&name), stored.clone());
        let _ = sealed(&["key"]).read(at(&name), stored);
    }
}

proptest! {
    // Each case tries every bit.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_changed_or_cut_body_is_refused(body: Vec<u8>) {
        let (layer, name) = (sealed(&["key"]), name(0));
        let stored = layer.write(at(&name), body.clone().into()).unwrap();
        // The tag alone is not sealed: what has another one is no sealed body.
        let strict = Sealed::new([SharedKey::of_text("key")], Arc::new(RandomIds), false);
        for bit in 0..stored.len() * 8 {
            let mut changed = stored.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(strict.read(at(&name), changed.into()).is_err(), "bit {}", bit);
        }
        for length in 0..stored.len() {
            prop_assert!(strict.read(at(&name), stored.slice(..length)).is_err(), "{}", length);
        }
        let longer = [&stored[..], b"\0"].concat();
        prop_assert!(strict.read(at(&name), longer.into()).is_err());
    }
}
