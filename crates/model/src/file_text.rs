//! Text that came from a file or a pipe, as editors and shells of every system write it.

use crate::{Classified, ErrorClass};

/// U+FEFF in UTF-8. Editors and shells on Windows put it before a text; it is never a part of one.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes without the byte order mark before them, if there is one.
#[must_use]
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// The reason why a file is not text. It never repeats the content, which may be a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FileTextError {
    /// UTF-16 with its byte order mark: older PowerShells write it with `>`.
    #[error("the file is UTF-16: save it as UTF-8")]
    Utf16,
    /// Anything else that is not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotUtf8,
}

impl Classified for FileTextError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// The text of a file of configuration or secrets: UTF-8, without a byte order mark.
///
/// # Errors
/// The bytes are not UTF-8; the text names the fix.
pub fn file_text(bytes: &[u8]) -> Result<&str, FileTextError> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(FileTextError::Utf16),
        _ => {
            std::str::from_utf8(without_byte_order_mark(bytes)).map_err(|_| FileTextError::NotUtf8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_before_the_text_is_no_part_of_it() {
        assert_eq!(file_text(b"\xef\xbb\xbfa\r\n"), Ok("a\r\n"));
        assert_eq!(file_text("é".as_bytes()), Ok("é"));
        assert_eq!(file_text(b""), Ok(""));
        assert_eq!(without_byte_order_mark(b"\xef\xbb"), b"\xef\xbb");
        assert_eq!(without_byte_order_mark(b"a\xef\xbb\xbf"), b"a\xef\xbb\xbf");
    }

    #[test]
    fn what_is_not_utf_8_is_refused_with_the_fix() {
        for utf_16 in [b"\xff\xfea\0".as_slice(), b"\xfe\xff\0a"] {
            let refused = file_text(utf_16).unwrap_err();
            assert!(refused.to_string().contains("save it as UTF-8"));
        }
        assert_eq!(file_text(b"\xe9"), Err(FileTextError::NotUtf8));
    }
}
