//! The floats of advisories and alerts, as GitHub's Ruby writes them: `7.0` and `4.5e-05`, which JavaScript writes as `7`
//! and `0.000045`.

/// The members whose values are floats (`cvss`, `cvss_severities`, `epss`).
const SCORES: [&str; 3] = ["score", "percentage", "percentile"];

/// Compact JSON with the values of these members as floats.
pub(crate) fn scores_as_floats(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 16);
    let mut rest = json;
    while let Some(begin) = rest.find('"') {
        let (before, string) = rest.split_at(begin);
        let end = string_length(string);
        let (string, after) = string.split_at(end);
        text.push_str(before);
        text.push_str(string);
        rest = after;
        let is_score = SCORES.contains(&string.trim_matches('"'));
        if let Some(value) = rest.strip_prefix(':').filter(|_| is_score) {
            let is_end = |c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
            let number = &value[..value.find(is_end).unwrap_or(value.len())];
            text.push(':');
            match number.parse::<f64>() {
                Ok(float) => text.push_str(&as_ruby_writes(float)),
                Err(_) => text.push_str(number),
            }
            rest = &value[number.len()..];
        }
    }
    text.push_str(rest);
    text
}

/// The length of a string at the beginning of a text, with its quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !is_escaped => return at + 1,
            _ => is_escaped = !is_escaped && byte == b'\\',
        }
    }
    text.len()
}

/// `Float#to_s`: with an exponent of two digits below 0.0001 and from 1e16 on.
fn as_ruby_writes(float: f64) -> String {
    let size = float.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{float:?}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = match digits.contains('.') {
            true => digits.to_owned(),
            false => format!("{digits}.0"),
        };
        return match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        };
    }
    // With `.0` where there is no fraction.
    format!("{float:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_floats_and_nothing_else_changes() {
        for (script, ruby) in [
            (r#"{"score":0}"#, r#"{"score":0.0}"#),
            (r#"{"score":7,"n":7}"#, r#"{"score":7.0,"n":7}"#),
            (r#"{"score":7.5}"#, r#"{"score":7.5}"#),
            (r#"{"score":null}"#, r#"{"score":null}"#),
            (
                r#"{"epss":{"percentage":0.000045,"percentile":0.00001}}"#,
                r#"{"epss":{"percentage":4.5e-05,"percentile":1.0e-05}}"#,
            ),
            (r#"{"percentage":0.0001}"#, r#"{"percentage":0.0001}"#),
            (
                r#"{"t":"\\\"score\":7","score":[7]}"#,
                r#"{"t":"\\\"score\":7","score":[7]}"#,
            ),
            (r#"{"t":"score:7","u":"ü"}"#, r#"{"t":"score:7","u":"ü"}"#),
        ] {
            assert_eq!(scores_as_floats(script), ruby);
        }
    }
}
