//! Text of others in lines of the log: of a bounded length, and without control characters.

/// Longest text of others in a line of the log, in characters.
const MAX_QUOTED_CHARS: usize = 200;

/// The beginning of a text, on one line.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = |c: char| match c.is_control() {
        true => ' ',
        false => c,
    };
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(MAX_QUOTED_CHARS).map(plain).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_others_is_short_and_stays_on_its_line() {
        assert_eq!(quoted("a\n\u{1b}[31mb"), "a  [31mb");
        let long = quoted(&"é".repeat(10_000));
        assert_eq!(long.chars().count(), MAX_QUOTED_CHARS + 1);
    }
}
