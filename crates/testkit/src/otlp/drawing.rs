//! A trace as text.

use std::fmt::Write;

use super::ReceivedSpan;

/// The spans of a trace as a tree, in the order of their starts; each line has role, name and kind. A span whose
/// parent was not received is a root.
#[must_use]
pub fn draw_trace(spans: &[ReceivedSpan], trace_id: &str) -> String {
    let mut of_trace: Vec<_> = spans
        .iter()
        .filter(|span| span.trace_id == trace_id)
        .collect();
    of_trace.sort_by_key(|span| (span.started_nanos, span.span_id.clone()));
    let mut text = String::new();
    let is_known = |id: &str| of_trace.iter().any(|span| span.span_id == id);
    let roots = of_trace.iter().filter(|span| !is_known(&span.parent_id));
    for root in roots {
        draw(&mut text, root, &of_trace, 0);
    }
    text
}

fn draw(text: &mut String, span: &ReceivedSpan, all: &[&ReceivedSpan], depth: usize) {
    let (role, name, kind) = (span.roles(), &span.name, span.kind);
    let indent = "  ".repeat(depth);
    writeln!(text, "{indent}{role}: {name} ({kind})").expect("text grows without an error");
    // Ids come from outside; a span that names itself would have no end.
    let children = all
        .iter()
        .filter(|child| child.parent_id == span.span_id && child.span_id != span.span_id);
    for child in children {
        draw(text, child, all, depth + 1);
    }
}
