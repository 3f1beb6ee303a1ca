//! The stamp of the roles on messages and entries (`role-keys`, ADR 001).

/// Header with the stamp.
pub(crate) const STAMP_HEADER: &str = "Forgewire-Stamp";
