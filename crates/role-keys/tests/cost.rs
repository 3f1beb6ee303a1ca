//! The cost of stamps (median), printed and not judged:
//! `cargo test --release -p role-keys --test cost -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on panics")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use model::{RandomIds, SystemClock};
use role_keys::{RoleKeys, RoleTrust, StampMemory, StampedChannel};

const ROUNDS: usize = 20_000;

#[test]
#[ignore = "a measurement"]
fn stamping_and_verifying_a_message() {
    let keys = RoleKeys::read(["a key that is as long as a key has to be"], &[]);
    let keys = keys.unwrap().unwrap();
    let trust = RoleTrust::keyed(keys, None, Arc::new(SystemClock), &RandomIds);
    for bytes in [0_usize, 1024, 4096, 16 * 1024, 512 * 1024] {
        let rounds = if bytes > 100_000 {
            ROUNDS / 100
        } else {
            ROUNDS
        };
        let (memory, body) = (StampMemory::default(), vec![7; bytes]);
        let parts: [&[u8]; 2] = [b"mcp.broadcast", &body];
        let (mut stamping, mut verifying) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let began = Instant::now();
            let stamp = trust.stamp(StampedChannel::Bus, &parts).unwrap();
            let stamped = Instant::now();
            let verified = trust.verify(StampedChannel::Bus, &parts, Some(&stamp), &memory);
            verifying.push(stamped.elapsed());
            stamping.push(stamped - began);
            verified.unwrap();
        }
        let (stamping, verifying) = (median(stamping), median(verifying));
        println!("{bytes} bytes: stamp {stamping:?}, verify {verifying:?}");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
