//! A stamp: `1.<key>.<time>.<nonce>.<digest>`.
//!
//! The key's id has 8 hexadecimal digits, the time is in milliseconds since 1970, the nonce has 16
//! hexadecimal digits, and the digest is base64url. The digest covers time and nonce, and each part of
//! what is stamped with its length, so that no two lists of parts look the same.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use model::Timestamp;
use subtle::ConstantTimeEq;

use crate::{
    channel::StampedChannel,
    keys::{KeyedDigest, RoleKey, RoleKeys},
    limits::MAX_STAMP_BYTES,
    refusal::StampRefusal,
};

/// The format that this build writes, and the only one that it reads.
const FORMAT: &str = "1";
const DIGEST_BYTES: usize = 32;

/// The readable part of a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StampClaims {
    pub(crate) at: Timestamp,
    pub(crate) nonce: u64,
}

impl StampClaims {
    fn digest(self, mut digest: KeyedDigest, parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
        digest.update(&self.at.unix_millis().to_be_bytes());
        digest.update(&self.nonce.to_be_bytes());
        for part in parts {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into_bytes().into()
    }

    /// The stamp's text.
    pub(crate) fn stamp(self, key: &RoleKey, channel: StampedChannel, parts: &[&[u8]]) -> String {
        let digest = URL_SAFE_NO_PAD.encode(self.digest(key.digest(channel), parts));
        let (id, millis, nonce) = (key.id, self.at.unix_millis(), self.nonce);
        format!("{FORMAT}.{id:08x}.{millis}.{nonce:016x}.{digest}")
    }

    /// Checks that one of the keys made a stamp for these parts; the time is not judged here.
    pub(crate) fn verify(
        keys: &RoleKeys,
        channel: StampedChannel,
        parts: &[&[u8]],
        stamp: &str,
    ) -> Result<Self, StampRefusal> {
        let (id, claims, given) = parse(stamp).ok_or(StampRefusal::Malformed)?;
        let key = keys.find(id).ok_or(StampRefusal::UnknownKey)?;
        let computed = claims.digest(key.digest(channel), parts);
        if bool::from(computed.ct_eq(&given)) {
            Ok(claims)
        } else {
            Err(StampRefusal::Wrong)
        }
    }
}

fn parse(stamp: &str) -> Option<(u32, StampClaims, [u8; DIGEST_BYTES])> {
    if stamp.len() > MAX_STAMP_BYTES {
        return None;
    }
    let mut fields = stamp.split('.');
    if fields.next()? != FORMAT {
        return None;
    }
    let id = u32::from_str_radix(fields.next()?, 16).ok()?;
    let at = Timestamp::from_unix_millis(fields.next()?.parse().ok()?);
    let nonce = u64::from_str_radix(fields.next()?, 16).ok()?;
    let digest = URL_SAFE_NO_PAD.decode(fields.next()?).ok()?;
    let claims = StampClaims { at, nonce };
    fields
        .next()
        .is_none()
        .then_some((id, claims, digest.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> RoleKeys {
        let text = "a key that is as long as a key has to be";
        RoleKeys::read([text], &[]).unwrap().unwrap()
    }

    const CLAIMS: StampClaims = StampClaims {
        at: Timestamp::from_unix_millis(1_795_000_000_000),
        nonce: 7,
    };

    #[test]
    fn a_stamp_belongs_to_its_parts_and_to_its_channel() {
        let keys = keys();
        let stamp = CLAIMS.stamp(keys.first(), StampedChannel::Bus, &[b"ab", b"c"]);
        let verify = |channel, parts: &[&[u8]]| StampClaims::verify(&keys, channel, parts, &stamp);
        assert_eq!(verify(StampedChannel::Bus, &[b"ab", b"c"]), Ok(CLAIMS));
        let wrong = Err(StampRefusal::Wrong);
        assert_eq!(verify(StampedChannel::Grpc, &[b"ab", b"c"]), wrong);
        assert_eq!(verify(StampedChannel::Bus, &[b"a", b"bc"]), wrong);
        assert_eq!(verify(StampedChannel::Bus, &[b"abc"]), wrong);
        assert_eq!(verify(StampedChannel::Bus, &[b"ab", b"c", b""]), wrong);
    }

    #[test]
    fn a_stamp_fits_the_bound_and_no_other_text_is_one() {
        let keys = keys();
        let latest = StampClaims {
            at: Timestamp::MAX,
            nonce: u64::MAX,
        };
        let stamp = latest.stamp(keys.first(), StampedChannel::Log, &[]);
        assert!(stamp.len() <= 92, "{stamp}");
        let verify = |text: &str| StampClaims::verify(&keys, StampedChannel::Log, &[], text);
        assert_eq!(verify(&stamp), Ok(latest));
        for text in [
            String::new(),
            stamp.replacen('1', "2", 1),
            format!("{stamp}."),
            format!("{stamp}A"),
            stamp[..stamp.len() - 1].to_owned(),
            "1.2.3".to_owned(),
            "x".repeat(MAX_STAMP_BYTES + 1),
        ] {
            assert_eq!(verify(&text), Err(StampRefusal::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,140}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_stamp_of_another_time_or_nonce_is_wrong(millis in 0..4_000_000_000_000_i64, nonce: u64) {
            let keys = keys();
            let at = Timestamp::from_unix_millis(millis);
            let claims = StampClaims { at, nonce };
            let stamp = claims.stamp(keys.first(), StampedChannel::Bus, &[b"x"]);
            let said = StampClaims::verify(&keys, StampedChannel::Bus, &[b"x"], &stamp);
            prop_assert_eq!(said, Ok(claims));
            let moved = stamp.replace(&format!(".{millis}."), &format!(".{}.", millis + 1));
            let said = StampClaims::verify(&keys, StampedChannel::Bus, &[b"x"], &moved);
            prop_assert_eq!(said, Err(StampRefusal::Wrong));
        }
    }
}
