//! Text of strangers, without what a terminal or a reader does not see as itself: control characters, line breaks,
//! changes of the direction of writing, characters without a width.

use std::fmt::Write as _;

/// Whether a character breaks a line or controls a terminal.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character is not seen, or changes how others are seen: formats, fillers, tags (which spell ASCII without
/// being seen), variation selectors. The two joiners and the two selectors of emoji are not among them: scripts
/// and emoji need them.
pub(crate) const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// The visible text on one line: hidden characters are left out, and white space and controls are single spaces.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !is_hidden(*c)) {
        if !is_control(c) && !c.is_whitespace() {
            visible.push(c);
        } else if !visible.is_empty() && !visible.ends_with(' ') {
            visible.push(' ');
        }
    }
    visible.truncate(visible.trim_end().len());
    visible
}

/// The length of a text in UTF-16 units.
pub(crate) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The visible text, cut to a length in UTF-16 units; `…` says that something is missing.
#[must_use]
pub fn visible_within(text: &str, max_units: usize) -> String {
    let text = visible(text);
    if units(&text) <= max_units {
        return text;
    }
    let room = max_units.saturating_sub(1);
    let mut used = 0;
    let fitting = text.chars().take_while(|c| {
        used += c.len_utf16();
        used <= room
    });
    let mut cut: String = fitting.collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// JSON on one line, with the same value: what a terminal would not show as itself is escaped.
#[must_use]
pub fn one_line_json(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for c in json.trim().chars() {
        if matches!(c, '\n' | '\r' | '\t') {
            // In JSON these are only between values.
            line.push(' ');
        } else if is_control(c) || is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_not_seen_is_left_out_and_what_scripts_need_stays() {
        for (text, seen) in [
            ("a\r\n\tb\u{85}c\u{2028}d", "a b c d"),
            ("\u{1b}[31mred\u{7}\u{9b}0m", "[31mred 0m"),
            ("safe\u{202e}txt.exe\u{2066}", "safetxt.exe"),
            ("t\u{e0041}\u{e0042}ag\u{fe01}\u{200b}", "tag"),
            (
                "👩\u{200d}🚀 ❤\u{fe0f} نمی\u{200c}شود",
                "👩\u{200d}🚀 ❤\u{fe0f} نمی\u{200c}شود",
            ),
            ("  \u{3000} ", ""),
        ] {
            assert_eq!(visible(text), seen, "{text:?}");
        }
        assert_eq!(visible_within("äöü🚀x", 5), "äöü…");
        assert_eq!(visible_within("äöü🚀x", 6), "äöü🚀x");
    }

    fn hostile() -> impl Strategy<Value = String> {
        let bad =
            "[\u{0}-\u{20}\u{7f}-\u{a0}\u{ad}\u{200b}-\u{206f}\u{feff}\u{e0000}-\u{e007f}]{0,4}";
        proptest::collection::vec(prop_oneof![bad, any::<String>()], 0..8)
            .prop_map(|parts| parts.concat())
    }

    fn has_unseen(text: &str) -> bool {
        text.chars().any(|c| is_control(c) || is_hidden(c))
    }

    proptest! {
        #[test]
        fn a_text_fits_and_has_nothing_unseen(text in hostile(), max in 1_usize..60) {
            let cut = visible_within(&text, max);
            prop_assert!(units(&cut) <= max, "{cut:?}");
            prop_assert!(!has_unseen(&cut), "{cut:?}");
        }

        #[test]
        fn json_keeps_its_value_on_one_line(key in hostile(), text in hostile()) {
            let value = serde_json::json!({ key: [text, 1.5, null] });
            for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let line = one_line_json(&json);
                prop_assert!(!has_unseen(&line), "{line:?}");
                prop_assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value.clone());
            }
        }
    }
}
