//! What names things: keys of the world, and GitHub's node ids.

/// A user, a bot or an organization, by its database id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey(pub u64);

/// A repository, by its database id, which survives renames and transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoKey(pub u64);

/// An issue or a pull request: both share the numbers of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketKey {
    /// Its repository.
    pub repo: RepoKey,
    /// Its number there.
    pub number: u64,
}

/// A project (v2), by its database id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectKey(pub u64);

/// An item of a project, by its database id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey(pub u64);

/// What a node id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NodeKey {
    Account(AccountKey),
    Repo(RepoKey),
    Ticket(TicketKey),
    Comment(u64),
    Label(u64),
    Milestone(u64),
    Release(u64),
    Review(u64),
    CheckRun(u64),
    Project(ProjectKey),
    Item(ItemKey),
}

/// GitHub's newer node ids are a prefix and base64 of some numbers; ours hold the database id.
pub(crate) fn node_id(prefix: &str, id: u64) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |at: u32| char::from(DIGITS[usize::from((id >> (6 * at)) as u8 & 63)]);
    let digits: String = (0..8).rev().map(digit).collect();
    format!("{prefix}_kwDO{digits}")
}
