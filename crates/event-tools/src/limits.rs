//! Every bound of these tools, with its unit and reason.

/// Maximum JSON of the events in one result, in bytes; what does not fit follows on the next page. A result
/// carries it twice, as structured content and as text, and with that still fits into a task and a mailbox
/// (1 MiB each). An agent reads it into its context, where 256 KiB are some 80,000 tokens already.
pub(crate) const MAX_RESULT_BYTES: usize = 256 << 10;
