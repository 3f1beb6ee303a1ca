//! Entries of the stream of a call that are for edges and not for clients: which request it answers, who may see the
//! messages, how another edge goes on with the call, and which edge runs it.
//!
//! An edge of an earlier version passes over the last two kinds.

use access::Visibility;
use bytes::{BufMut, Bytes, BytesMut};
use mcp::RequestId;
use mcp_server::repeatable::RepeatableCall;
use model::LeaseName;

/// First byte of such an entry, with which no message begins.
const HIDDEN_MARK: u8 = 0;
/// Second byte of an entry about going on with a call; the others have JSON there.
const CONTINUATION_MARK: u8 = 0;
/// Second byte of an entry about the edge that runs the call.
const EDGE_MARK: u8 = 1;

/// Such an entry.
#[derive(Debug)]
pub(super) enum HiddenEntry {
    /// The request that the stream answers: the first entry.
    Request(RequestId),
    /// What could be seen when the messages after this were made.
    Rights(Visibility),
    /// The call can be made again.
    Repeatable(Box<RepeatableCall>),
    /// The edge that ran the call has stopped, and whoever reads this goes on with it.
    HandedOver,
    /// The edge with this lease runs the call from here on.
    RunBy(LeaseName),
    /// Of a later version, or damaged.
    Unknown,
}

impl HiddenEntry {
    /// `None` for a message.
    pub(super) fn of(entry: &[u8]) -> Option<Self> {
        let json = entry.strip_prefix(&[HIDDEN_MARK])?;
        if let Some(name) = json.strip_prefix(&[EDGE_MARK]) {
            let name = std::str::from_utf8(name).ok();
            let name = name.and_then(|name| LeaseName::new(name).ok());
            return Some(name.map_or(Self::Unknown, Self::RunBy));
        }
        let known = match json.strip_prefix(&[CONTINUATION_MARK]) {
            Some([]) => Some(Self::HandedOver),
            Some(call) => serde_json::from_slice(call).ok().map(Self::Repeatable),
            None => {
                let request = serde_json::from_slice(json).ok().map(Self::Request);
                request.or_else(|| serde_json::from_slice(json).ok().map(Self::Rights))
            }
        };
        Some(known.unwrap_or(Self::Unknown))
    }

    pub(super) fn into_rights(self) -> Option<Visibility> {
        match self {
            Self::Rights(rights) => Some(rights),
            _ => None,
        }
    }

    /// The entry that names the request.
    pub(super) fn request(request: &RequestId) -> Bytes {
        entry(&[HIDDEN_MARK], request.to_string().as_bytes())
    }

    /// An entry before messages and the answer: what could be seen when they were made.
    pub(super) fn rights(made_for: &Visibility) -> Bytes {
        let json = serde_json::to_vec(made_for).expect("names are JSON");
        entry(&[HIDDEN_MARK], &json)
    }

    pub(super) fn repeatable(call: &RepeatableCall) -> Bytes {
        let json = serde_json::to_vec(call).expect("names, numbers and JSON are JSON");
        entry(&[HIDDEN_MARK, CONTINUATION_MARK], &json)
    }

    pub(super) fn run_by(edge: &LeaseName) -> Bytes {
        entry(&[HIDDEN_MARK, EDGE_MARK], edge.as_str().as_bytes())
    }

    pub(super) fn handed_over() -> Bytes {
        entry(&[HIDDEN_MARK, CONTINUATION_MARK], &[])
    }
}

fn entry(marks: &[u8], json: &[u8]) -> Bytes {
    let mut entry = BytesMut::with_capacity(marks.len() + json.len());
    entry.put_slice(marks);
    entry.put_slice(json);
    entry.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_it_was_made_as_and_a_message_is_none() {
        let request = HiddenEntry::of(&HiddenEntry::request(&RequestId::Integer(7)));
        assert!(matches!(
            request,
            Some(HiddenEntry::Request(RequestId::Integer(7)))
        ));
        let cats = Visibility::only([], ["octo/cat"]).unwrap();
        let rights = HiddenEntry::of(&HiddenEntry::rights(&cats)).unwrap();
        assert_eq!(rights.into_rights(), Some(cats));
        let handed_over = HiddenEntry::of(&HiddenEntry::handed_over());
        assert!(matches!(handed_over, Some(HiddenEntry::HandedOver)));
        let edge = LeaseName::new("edge-calls:7").unwrap();
        let run_by = HiddenEntry::of(&HiddenEntry::run_by(&edge));
        assert!(matches!(run_by, Some(HiddenEntry::RunBy(name)) if name == edge));
        for other in [&b"\0\0{}"[..], b"\0\x01", b"\0\0?", b"\0?", b"\0"] {
            let entry = HiddenEntry::of(other);
            assert!(matches!(entry, Some(HiddenEntry::Unknown)), "{other:?}");
        }
        for message in [&b"{}"[..], b""] {
            assert!(HiddenEntry::of(message).is_none());
        }
    }
}
