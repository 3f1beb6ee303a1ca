//! Times as GitHub writes them.

use model::Timestamp;

/// GitHub writes times in whole seconds.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}
