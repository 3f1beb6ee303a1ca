//! The word of those who know it about the sender of a request.

use std::{fmt, hash::Hash, sync::Arc};

use super::{sender::SenderKey, state::ConnectionState};

/// The connection of a request, to say who has sent it. It is in each request's extensions. Without a word the sender
/// is the address of the other end, which may be a proxy's.
#[derive(Clone)]
pub struct RequestSender(pub(super) Arc<ConnectionState>);

impl RequestSender {
    /// Names the sender of the request, until its answer is written: at the bound of the listener, the connections of
    /// the sender that has most of those which can end do so first.
    pub fn name(&self, sender: &impl Hash) {
        self.0.set_sender(SenderKey::of(sender));
    }
}

impl fmt::Debug for RequestSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestSender")
    }
}
