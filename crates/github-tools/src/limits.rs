//! Every bound of these tools, with its unit and reason.

/// Maximum JSON of an item of a list, in bytes: an answer of the default size has room for some forty.
pub(crate) const MAX_ITEM_BYTES: usize = 1024;
/// Maximum JSON of a title or a name of a run or a release, in bytes.
pub(crate) const TITLE_BYTES: usize = 240;
/// Maximum JSON of the beginning of a description, in bytes.
pub(crate) const DESCRIPTION_BYTES: usize = 240;
/// Maximum JSON of the names of labels, or of accounts, in bytes.
pub(crate) const NAMES_BYTES: usize = 200;
/// Maximum JSON of one name, in bytes: branches may be longer, and are cut.
pub(crate) const NAME_BYTES: usize = 100;
/// Maximum JSON of a link, in bytes. A link that was cut would lead nowhere, so a longer one is left out.
pub(crate) const LINK_BYTES: usize = 300;

/// Written where a text was cut, or names were left out.
pub(crate) const CUT: &str = "…";

/// Items of a page of a list whose caller asks for no other number, as GitHub's own server has them.
pub(crate) const DEFAULT_ITEMS: usize = 30;
/// Reads of the mirror for one page of an answer. Each has up to 100 resources, so a list is looked through by 1,600 for
/// what a caller may see and what the mirror cannot select itself.
pub(crate) const MAX_READS: usize = 16;
/// Reads of the mirror for the items of a sprint, or the fields of a project. GitHub's lists are those of an owner, so 10,000
/// items of its projects are looked through: GitHub had a limit of 1,200 items per project, and now has one of 50,000.
pub(crate) const MAX_ITEM_READS: usize = 100;
/// Owners of whom a resource shows something: others have their own tools.
pub(crate) const MAX_OWNERS: usize = 20;
/// Reads of the mirror for what a resource shows of one owner, of up to 100 projects or milestones each.
pub(crate) const MAX_OWNER_READS: usize = 4;
/// Statuses that are counted one by one, so that an answer of the smallest size has room for them; the others are one.
pub(crate) const MAX_STATUSES: usize = 20;
/// Maximum JSON of the name of a status or a sprint, in bytes.
pub(crate) const WORD_BYTES: usize = 80;
/// Sprints of a list: three years of weeks. In an answer of the smallest size there is room for a dozen.
pub(crate) const MAX_SPRINTS: usize = 160;
/// Sprints that a refusal names, the newest.
pub(crate) const NAMED_SPRINTS: usize = 8;
/// Room that an answer keeps beside its items: times, a cursor of up to 600 bytes, and notes. In bytes.
pub(crate) const FRAME_BYTES: usize = 1500;
/// Room for the numbers of an answer whose other parts were measured, in bytes.
pub(crate) const COUNT_BYTES: usize = 40;
/// Maximum length of a search query, in bytes; GitHub takes 256 characters.
pub(crate) const MAX_QUERY_BYTES: usize = 1024;
/// Maximum length of a name that is compared with names, in bytes: GitHub's longest, a branch, has 255.
pub(crate) const MAX_NAME_BYTES: usize = 300;
/// Maximum number of labels of a list or of a query: GitHub allows 100 per issue.
pub(crate) const MAX_LABELS: usize = 100;
/// Days within which a milestone is "upcoming", if the caller asks for no other number.
pub(crate) const UPCOMING_DAYS: u64 = 30;

const _: () = assert!(FRAME_BYTES + MAX_ITEM_BYTES < mcp_server::answer_size::MIN_RESULT_BYTES);
