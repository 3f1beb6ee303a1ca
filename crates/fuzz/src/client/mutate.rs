//! A request from a seed and its number.

use super::{body, head, request::FuzzRequest};
use crate::random::XorShift;

/// Changes of one request, at most.
const MAX_CHANGES: usize = 4;
/// One request in so many stays as it is.
const UNCHANGED: usize = 24;

/// The request with this number: one of `valid`, changed.
#[must_use]
pub fn mutated(valid: &[FuzzRequest], seed: u64, number: u64) -> FuzzRequest {
    let mut chance = XorShift::new(mixed(mixed(seed).wrapping_add(number)));
    let mut request = chance.of(valid).clone();
    if chance.once_in(UNCHANGED) {
        return request;
    }
    for _ in 0..=chance.below(MAX_CHANGES) {
        // Most faults are where a request is nearly right, so bodies are changed as JSON most of the time.
        match chance.below(10) {
            0..5 if !request.body.is_empty() => body::change(&mut request, &mut chance),
            0..9 => head::change(&mut request, &mut chance),
            _ => cut(&mut request, &mut chance),
        }
    }
    if chance.once_in(4) {
        request.is_signed = false;
    }
    request
}

/// SplitMix64: neighbouring values give unrelated ones.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Ends the sending direction early.
fn cut(request: &mut FuzzRequest, chance: &mut XorShift) {
    let all = request.bytes().len();
    request.cut = Some(chance.below(all));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::seeds::{GivenOut, valid_requests};

    #[test]
    fn a_request_is_repeated_by_its_seed_and_number() {
        let valid = valid_requests(&GivenOut::default());
        let bytes = |seed, number| mutated(&valid, seed, number).bytes();
        let mut different = std::collections::BTreeSet::new();
        for number in 0..200 {
            assert_eq!(bytes(7, number), bytes(7, number));
            different.insert(bytes(7, number));
            different.insert(bytes(8, number));
        }
        assert!(
            different.len() > 300,
            "{} different requests",
            different.len()
        );
    }

    #[test]
    fn most_requests_stay_http_and_some_are_cut() {
        let valid = valid_requests(&GivenOut::default());
        let all: Vec<_> = (0..2000).map(|number| mutated(&valid, 1, number)).collect();
        let count = |is: fn(&FuzzRequest) -> bool| all.iter().filter(|one| is(one)).count();
        let (whole, cut) = (count(FuzzRequest::is_whole), count(|one| one.cut.is_some()));
        assert!(whole > 1000 && cut > 100, "{whole} whole, {cut} cut");
    }
}
