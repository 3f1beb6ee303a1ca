//! Texts by the bytes that JSON takes for them.

/// The bytes of a text as JSON, with its quotes.
#[must_use]
pub fn json_bytes(text: &str) -> usize {
    2 + text.chars().map(character_bytes).sum::<usize>()
}

/// The bytes of a character in a text of JSON, as `serde_json` writes it.
fn character_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        character if character < ' ' => 6,
        character => character.len_utf8(),
    }
}

/// The text, or as much of its beginning as takes up to `max_bytes` as JSON with `end` after it.
#[must_use]
pub fn shortened(text: &str, max_bytes: usize, end: &str) -> String {
    // A character takes a byte at least, so a longer text is not looked at to its end.
    if text.len() + 2 <= max_bytes && json_bytes(text) <= max_bytes {
        return text.to_owned();
    }
    let mut left = max_bytes.saturating_sub(json_bytes(end));
    let fits = |character: &char| {
        let rest = left.checked_sub(character_bytes(*character));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push_str(end);
    kept
}
