//! The version of the REST API that is asked for.

use http::HeaderValue;

/// A version of the REST API (header `X-GitHub-Api-Version`). A version is served for at least two years after the
/// next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GithubApiVersion {
    /// The one that every GitHub knows, Enterprise Server among them.
    #[default]
    V2022_11_28,
    /// Without fields that were deprecated, for instance `assignee` of an issue.
    V2026_03_10,
}

impl GithubApiVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V2022_11_28, Self::V2026_03_10];

    /// The date that names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2022_11_28 => "2022-11-28",
            Self::V2026_03_10 => "2026-03-10",
        }
    }

    pub(crate) const fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}
