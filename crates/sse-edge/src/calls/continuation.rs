//! Going on with a call whose edge is gone.

use access::Visibility;
use mcp_server::repeatable::RepeatableCall;
use model::Sequence;
use ports::LeaseToken;

use super::stream_name::StreamName;

/// A call whose edge is gone, with all that the next edge needs to go on.
#[derive(Debug)]
pub(crate) struct TakenCall {
    pub(crate) call: Box<RepeatableCall>,
    pub(crate) request: mcp::RequestId,
    pub(crate) name: StreamName,
    /// Makes this edge the only one that writes the stream.
    pub(crate) lease: LeaseToken,
    /// The last entry of the stream.
    pub(crate) through: Sequence,
    /// What the entries so far say of the messages after them.
    pub(crate) made_for: Visibility,
}

/// Goes on with calls of a session.
pub(crate) trait GoOn: Send + Sync {
    /// Makes the call again on this edge, which then writes its stream.
    fn go_on(&self, taken: TakenCall);
}
