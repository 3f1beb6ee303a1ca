//! The bridge between two fakes that follow the test: a client that speaks in lines, and a server
//! over a real socket that breaks connections, loses sessions and postpones requests. The
//! whole-system scenarios cover the behaviour of a real edge.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod ends;
mod handshake;
mod limits;
mod stateless;
