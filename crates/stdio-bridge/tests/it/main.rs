//! The bridge between two ends that do what the test says: a client that speaks in lines, and a
//! server over a real socket that breaks off, loses sessions and puts off. What a real edge does is
//! in the whole-system scenarios.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod ends;
mod handshake;
mod limits;
mod stateless;
