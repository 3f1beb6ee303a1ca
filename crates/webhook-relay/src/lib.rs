//! Brings GitHub's deliveries to an ingest that GitHub cannot reach, for instance on a laptop.
//!
//! Two sources: the list of deliveries that GitHub keeps for a webhook, which is polled with a token, and a channel of
//! server-sent events such as smee.io, to which the webhook points. Each delivery is posted to the ingest as GitHub
//! would, under GitHub's GUID: what is relayed twice, or also comes directly, is one event.
//!
//! Who vouches for a delivery: for those of the list GitHub's API does, and the relay signs them with the ingest's own
//! secret. For those of a channel GitHub's signature does: anybody can post to a channel, so nothing of it is passed on
//! that a secret of the ingest did not sign, and the relay signs nothing of it unless the operator says so.
//!
//! | module | idea |
//! | --- | --- |
//! | `options` | what is relayed from where to where |
//! | `relay` | runs the loop of the source |
//! | `list_relay`, `deliveries`, `listing`, `refusal`, `cursor` | GitHub's list of deliveries: the loop, the API, its pages, its refusals, and the last one that was relayed, in a file |
//! | `channel_relay`, `channel`, `channel_message`, `refusals` | a channel: the loop, the stream, its messages, and the count of those that are not passed on |
//! | `ingest`, `secrets` | signs, checks signatures, and posts |
//! | `attempt` | the pause after a failure, and the line about a delivery |
//! | `client`, `pace`, `limits` | requests and pauses, with their bounds |
//!
//! Deliberately absent: everything that makes events of deliveries, which is the ingest's.

mod attempt;
mod channel;
mod channel_message;
mod channel_relay;
mod client;
mod cursor;
mod deliveries;
mod error;
mod ingest;
mod limits;
mod list_relay;
mod listing;
mod number_spelling;
mod options;
mod pace;
mod refusal;
mod refusals;
mod relay;
mod secrets;

pub use cursor::CursorPlace;
pub use error::RelayError;
pub use options::{DeliveryList, RelayChannel, RelayOptions, RelaySource};
pub use pace::RelayPace;
pub use relay::run;
