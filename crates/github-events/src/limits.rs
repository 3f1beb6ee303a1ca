//! Every limit of an event, with its unit and the reason for its value.

/// Maximum size of an encoded event in bytes. The bus and every log carry it: NATS refuses messages above
/// 1 MiB by default, and envelope and headers need room. A larger event is encoded without `data`, see
/// [`crate::encode`].
pub const MAX_EVENT_BYTES: usize = 512 * 1024;
/// Maximum size in bytes of an event without `data`, `related` and `changes`: 100 labels of 256 bytes (51 KiB), nine
/// texts of 1 KiB (18 KiB) and three ids of 256 bytes (1.5 KiB), each byte of which JSON may write as two, and 3 KiB
/// of names, numbers, times and header texts.
pub const MAX_BARE_EVENT_BYTES: usize = 80 * 1024;
/// Maximum length in bytes of a text field that is read from a payload (name, title, URL); a longer one
/// counts as absent, and so does one with control characters that JSON writes as six bytes. Of a title, which names
/// nothing, what fits is kept. GitHub's longest is a title of 256 characters, which is up to 1 KiB.
pub const MAX_TEXT_BYTES: usize = 1024;
/// Bytes of a long title that are looked at for what is kept of it.
pub(crate) const READ_TITLE_BYTES: usize = 4 * MAX_TEXT_BYTES;
// An action that an event has can be filtered.
const _: () = assert!(MAX_TEXT_BYTES <= model::limits::MAX_ACTION_BYTES);
/// Maximum number of labels that become tags: GitHub allows 100 per issue.
pub const MAX_TAGS: usize = 100;
/// Maximum length in bytes of a label that becomes a tag; GitHub allows 50 characters, which is up to 200
/// bytes.
pub const MAX_TAG_BYTES: usize = 256;
/// Maximum size of the summary of an event in bytes. Forty of them fit into an answer that an agent reads.
pub const MAX_SUMMARY_BYTES: usize = 1024;
/// Maximum length in bytes of a text in an event that is shown with its texts cut: a paragraph.
pub const MAX_CUT_TEXT_BYTES: usize = 1024;
/// Longest line of an event, in UTF-16 units, so at most as many characters: Claude Code cuts lines near 500.
pub const MAX_LINE_UNITS: usize = 450;
/// Longest place (`owner/repo#number`), action, label or other word in a line, in UTF-16 units.
pub(crate) const MAX_WORD_UNITS: usize = 80;
/// A title of less than this is left out of a line, in UTF-16 units.
pub(crate) const MIN_TITLE_UNITS: usize = 12;
/// Longest beginning of a comment or description in a channel's content, in UTF-16 units: enough to see what it is
/// about, and a fraction of what a session has room for.
pub(crate) const MAX_EXCERPT_UNITS: usize = 400;
/// Longest value in a channel's `meta`, in UTF-16 units.
pub(crate) const MAX_META_UNITS: usize = 200;
