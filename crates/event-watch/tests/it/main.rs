//! The watch in front of a fake edge that follows a script: it breaks connections, refuses, says gaps. The whole-system
//! scenarios cover the behaviour of a real edge.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod commands;
mod edge;
mod lines;
mod refusals;
