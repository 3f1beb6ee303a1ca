//! Every limit of an event, with its unit and the reason for its value.

/// Maximum size of an encoded event in bytes. The bus and every log carry it: NATS refuses messages above
/// 1 MiB by default, and envelope and headers need room. A larger event is encoded without `data`, see
/// [`crate::encode`].
pub const MAX_EVENT_BYTES: usize = 512 * 1024;
/// Maximum size in bytes of an event without `data` and `changes`: 100 labels of 256 bytes and a dozen
/// texts of 1 KiB, each byte of which JSON may write as two.
pub const MAX_BARE_EVENT_BYTES: usize = 80 * 1024;
/// Maximum length in bytes of a text field that is read from a payload (name, title, URL); a longer one
/// counts as absent. GitHub's longest is a title of 256 characters, which is up to 1 KiB.
pub const MAX_TEXT_BYTES: usize = 1024;
/// Maximum number of labels that become tags: GitHub allows 100 per issue.
pub const MAX_TAGS: usize = 100;
/// Maximum length in bytes of a label that becomes a tag; GitHub allows 50 characters, which is up to 200
/// bytes.
pub const MAX_TAG_BYTES: usize = 256;
