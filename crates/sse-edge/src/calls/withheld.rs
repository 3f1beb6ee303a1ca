//! What takes the place of messages that show more than their reader may see.

use access::Visibility;
use bytes::Bytes;
use mcp::{
    Incoming,
    envelope::{self, MessageBody},
};

use crate::error::rights_changed;

/// A message as a reader with these rights may see it, if it was made under `made_for`: an error takes the
/// place of a result, and `None` that of a notification or a question.
pub(crate) fn shown_to(
    reader: &Visibility,
    made_for: &Visibility,
    message: &Bytes,
) -> Option<Bytes> {
    if reader.covers(made_for) {
        return Some(message.clone());
    }
    match envelope::parse(message) {
        Ok(MessageBody::One(Incoming::Response(response))) => {
            Some(match response.outcome.is_ok() {
                true => envelope::error(response.id.as_ref(), &rights_changed()),
                // An error shows nothing.
                false => message.clone(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_with_narrower_rights_gets_an_error_for_a_result_and_no_messages() {
        let narrow = Visibility::only([], ["octo/cat"]).unwrap();
        let seen = |reader: &Visibility, message: &'static str| {
            let shown = shown_to(
                reader,
                &Visibility::all(),
                &Bytes::from_static(message.as_bytes()),
            );
            shown.map(|shown| String::from_utf8(shown.to_vec()).unwrap())
        };
        let result = r#"{"jsonrpc":"2.0","id":7,"result":{"secret":1}}"#;
        let withheld = seen(&narrow, result).unwrap();
        assert!(withheld.contains("rights-changed") && withheld.contains("\"id\":7"));
        let error = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}"#;
        assert_eq!(seen(&narrow, error).as_deref(), Some(error));
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
        let question = r#"{"jsonrpc":"2.0","id":"ask-1","method":"elicitation/create"}"#;
        for message in [progress, question, "nothing that we know"] {
            assert_eq!(seen(&narrow, message), None, "{message}");
            assert_eq!(seen(&Visibility::all(), message).as_deref(), Some(message));
        }
        assert_eq!(seen(&Visibility::all(), result).as_deref(), Some(result));
    }
}
