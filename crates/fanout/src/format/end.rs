//! Why the edge ends a stream, and what its client reads of it.

/// The reason for which the edge ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamEnd {
    /// The edge drains: the client can reconnect to any edge.
    Drain,
    /// A newer stream of the session took its place.
    TakenOver,
    /// The session ended.
    SessionEnded,
    /// The log was replaced by a new one.
    LogReplaced,
    /// The token that opened the stream is no longer valid.
    Revoked,
    /// The token that opened the stream has other rights now: the client reconnects under them.
    RightsChanged,
    /// The stream has reached its maximum age: the client can reconnect to any edge.
    MaxAge,
    /// The session's filters need more comparisons than this edge has room for.
    TooManyFilters,
    /// The subscription that the stream follows has reached its end.
    SubscriptionExpired,
    /// The subscription that the stream follows was deleted.
    SubscriptionDeleted,
    /// The store has lost the subscription that the stream follows.
    SubscriptionLost,
}

impl StreamEnd {
    /// The comment with which a stream of events or of a session ends.
    #[must_use]
    pub const fn farewell_text(self) -> &'static str {
        match self {
            Self::Drain => "this edge is draining, any other resumes from your last id",
            Self::TakenOver => "a newer stream of this session took its place",
            Self::SessionEnded => "the session ended",
            Self::LogReplaced => "the event log was replaced",
            Self::Revoked => "the token is no longer valid",
            Self::RightsChanged => {
                "the rights of the token have changed; reconnect now, any edge resumes from your last id under them"
            }
            Self::MaxAge => "reconnect now; any edge resumes from your last id",
            Self::TooManyFilters => {
                "the filters of your streams here are too many; end a subscription, or try another edge"
            }
            Self::SubscriptionExpired => "the subscription has expired",
            Self::SubscriptionDeleted => "the subscription was deleted",
            Self::SubscriptionLost => {
                "the store has lost the subscription; subscribe again, since the last event that you have"
            }
        }
    }

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Drain,
        Self::TakenOver,
        Self::SessionEnded,
        Self::LogReplaced,
        Self::Revoked,
        Self::RightsChanged,
        Self::MaxAge,
        Self::TooManyFilters,
        Self::SubscriptionExpired,
        Self::SubscriptionDeleted,
        Self::SubscriptionLost,
    ];

    /// Whether the stream does not go on elsewhere: its client is told in an event, because a page can read no
    /// comment, and would only come back.
    pub(crate) const fn is_final(self) -> bool {
        matches!(
            self,
            Self::SubscriptionExpired | Self::SubscriptionDeleted | Self::SubscriptionLost
        )
    }

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::TakenOver => "taken_over",
            Self::SessionEnded => "session_ended",
            Self::LogReplaced => "log_replaced",
            Self::Revoked => "revoked",
            Self::RightsChanged => "rights_changed",
            Self::MaxAge => "max_age",
            Self::TooManyFilters => "too_many_filters",
            Self::SubscriptionExpired => "subscription_expired",
            Self::SubscriptionDeleted => "subscription_deleted",
            Self::SubscriptionLost => "subscription_lost",
        }
    }
}
