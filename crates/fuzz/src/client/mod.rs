//! The mutating client: valid requests of every surface, changed in head, body and framing, and the rules that
//! every answer has to keep.
//!
//! | module | content |
//! | --- | --- |
//! | `request` | a request as it is changed, and its bytes |
//! | `seeds` | the valid requests |
//! | `mutate`, `head`, `body` | the changes |
//! | `judge` | the rules for answers |
//!
//! All of it is pure: a request is a function of a seed, its number, and what the server gave out (a session, a
//! cursor). So a failure is repeated by its seed and number.

mod body;
mod head;
mod judge;
mod mutate;
mod request;
mod seeds;

pub use judge::{FuzzAnswer, judge};
pub use mutate::mutated;
pub use request::{BodyFraming, FuzzListener, FuzzRequest};
pub use seeds::{GivenOut, valid_requests};
