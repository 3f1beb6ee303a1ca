//! The revisions of MCP: their negotiation and their features.

use std::fmt;

use crate::envelope::ErrorCode;

/// The two ways in which a client identifies itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Era {
    /// 2024-11-05 … 2025-11-25: `initialize` opens a session, later requests name it.
    Handshake,
    /// 2026-07-28: every request carries everything; no sessions.
    Stateless,
}

/// A supported revision. Ordered by age, so that `version >= V2025_06_18` means "since 2025-06-18".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProtocolVersion {
    /// HTTP+SSE with two paths.
    V2024_11_05,
    /// Streamable HTTP, batches.
    V2025_03_26,
    /// Structured output, titles, elicitation; no batches.
    V2025_06_18,
    /// Priming events and server-initiated close.
    V2025_11_25,
    /// The stateless era.
    V2026_07_28,
}

impl ProtocolVersion {
    /// All revisions, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// The revisions in `server/discover` and -32022: only those that a request can name by itself,
    /// because the older ones are reached through `initialize`. (The spec leaves this open; this is
    /// the safer reading.)
    pub const STATELESS: [Self; 1] = [Self::V2026_07_28];

    /// The newest revision that `initialize` can negotiate.
    pub const NEWEST_HANDSHAKE: Self = Self::V2025_11_25;

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Parses an exact name; `None` for an unsupported revision.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == name)
    }

    /// The era of this revision.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Stateless,
            _ => Era::Handshake,
        }
    }

    /// Answers `initialize`: the requested revision if it is supported and has a handshake,
    /// otherwise the newest one with a handshake (MCP 2025-11-25, Lifecycle, "Version
    /// Negotiation").
    #[must_use]
    pub fn negotiate(requested: &str) -> Self {
        Self::parse(requested)
            .filter(|version| version.era() == Era::Handshake)
            .unwrap_or(Self::NEWEST_HANDSHAKE)
    }

    /// Whether it has JSON-RPC batches: 2025-03-26 only.
    #[must_use]
    pub fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// Whether it has `outputSchema`, `structuredContent` and `resource_link`.
    #[must_use]
    pub fn has_structured_output(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Whether it has `title` beside `name` on tools, resources and the server itself.
    #[must_use]
    pub fn has_titles(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Whether it has tool annotations, audio content and the `completions` capability.
    #[must_use]
    pub fn has_annotations(self) -> bool {
        self >= Self::V2025_03_26
    }

    /// Whether it has a description and a web site in `serverInfo`.
    #[must_use]
    pub fn has_server_description(self) -> bool {
        self >= Self::V2025_11_25
    }

    /// Whether streams of Streamable HTTP have event ids and resume by `Last-Event-ID`. The
    /// stateless era has neither. A client that negotiates 2024-11-05 over Streamable HTTP gets
    /// them too: an `id` line does no harm. (The stream of the separate `/sse` path does not
    /// resume.)
    #[must_use]
    pub fn has_resumption(self) -> bool {
        self.era() == Era::Handshake
    }

    /// Whether it has priming events, `retry` and a close by the server before the response
    /// (SEP-1699). Older clients fail on empty data.
    #[must_use]
    pub fn has_priming(self) -> bool {
        self == Self::V2025_11_25
    }

    /// Whether input that does not fit a tool's schema becomes a tool result with `isError`
    /// (SEP-1303), so that the model can correct itself; before, it is a protocol error.
    #[must_use]
    pub fn input_errors_are_results(self) -> bool {
        self >= Self::V2025_11_25
    }

    /// The error code for a missing resource: -32002 with a handshake, -32602 without.
    #[must_use]
    pub fn resource_not_found(self) -> ErrorCode {
        match self.era() {
            Era::Handshake => ErrorCode::ResourceNotFound,
            Era::Stateless => ErrorCode::InvalidParams,
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supported_handshake_revision_is_echoed_and_anything_else_gets_our_newest() {
        for version in ProtocolVersion::ALL {
            let expected = match version.era() {
                Era::Handshake => version,
                Era::Stateless => ProtocolVersion::V2025_11_25,
            };
            assert_eq!(ProtocolVersion::negotiate(version.as_str()), expected);
        }
        for unknown in ["", "1999-01-01", "2027-01-01", "2025-06-18 ", "latest"] {
            assert_eq!(
                ProtocolVersion::negotiate(unknown),
                ProtocolVersion::V2025_11_25
            );
        }
    }

    #[test]
    fn features_belong_to_the_revisions_that_brought_them() {
        let having = |feature: fn(ProtocolVersion) -> bool| {
            let with = ProtocolVersion::ALL.into_iter().filter(|v| feature(*v));
            with.map(ProtocolVersion::as_str).collect::<Vec<_>>()
        };
        assert_eq!(having(ProtocolVersion::has_batches), ["2025-03-26"]);
        assert_eq!(having(ProtocolVersion::has_priming), ["2025-11-25"]);
        assert_eq!(
            having(ProtocolVersion::has_resumption),
            ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
        );
        assert_eq!(
            having(ProtocolVersion::has_structured_output),
            ["2025-06-18", "2025-11-25", "2026-07-28"]
        );
        assert_eq!(
            having(ProtocolVersion::input_errors_are_results),
            ["2025-11-25", "2026-07-28"]
        );
    }
}
