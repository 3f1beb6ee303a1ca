//! The ways from one role to another.

/// A way from one role to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StampedChannel {
    /// Messages on the bus.
    Bus,
    /// Calls over gRPC.
    Grpc,
    /// Entries of the event log.
    Log,
}

impl StampedChannel {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Bus, Self::Grpc, Self::Log];

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::Grpc => "grpc",
            Self::Log => "log",
        }
    }

    /// The purpose for which the channel's key is derived.
    pub(crate) const fn purpose(self) -> &'static [u8] {
        match self {
            Self::Bus => b"forgewire roles: messages on the bus",
            Self::Grpc => b"forgewire roles: calls over gRPC",
            Self::Log => b"forgewire roles: entries of the log",
        }
    }
}
