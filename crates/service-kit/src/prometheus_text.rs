//! Prometheus' text format (0.0.4), from OpenMetrics text.

use std::fmt::Write;

/// The same metrics in Prometheus' text format: counters are described under the name of their samples, and
/// there are no exemplars and no end mark. A parser of the old format refuses all three.
pub(crate) fn without_open_metrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(comment) = line.strip_prefix("# ") else {
            let sample = line.split_once(" # {").map_or(line, |(sample, _)| sample);
            let _ = writeln!(out, "{sample}");
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (Some(keyword @ ("HELP" | "TYPE")), Some(name), Some(rest)) =
            (words.next(), words.next(), words.next())
        else {
            continue;
        };
        // The help comes first, and the type in the next line says whether it is a counter.
        let is_counter = match keyword {
            "TYPE" => rest == "counter",
            _ => lines.peek().is_some_and(|next| {
                next.strip_prefix("# TYPE ")
                    .and_then(|next| next.strip_prefix(name))
                    == Some(" counter")
            }),
        };
        let suffix = if is_counter { "_total" } else { "" };
        let rest = match (keyword, rest) {
            ("TYPE", "unknown") => "untyped",
            _ => rest,
        };
        let _ = writeln!(out, "# {keyword} {name}{suffix} {rest}");
    }
    out
}
