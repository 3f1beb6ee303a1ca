//! The results: an aligned table for people, JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// One line of the result.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Name of the measurement.
    pub(crate) what: String,
    /// The figure, with its unit.
    pub(crate) figure: String,
    /// The floor in the same run, with its unit.
    pub(crate) floor: Option<String>,
    /// Figure divided by floor.
    pub(crate) ratio: Option<f64>,
    /// The target for the figure.
    pub(crate) target: Option<String>,
    /// Whether the target is met.
    pub(crate) met: Option<bool>,
    /// The numbers behind the figure.
    pub(crate) values: Value,
}

const TITLES: [&str; 5] = ["what", "figure", "floor", "ratio", "target"];

/// Aligned columns; the first is left-aligned, the others right-aligned.
pub(crate) fn render(rows: &[Row]) -> String {
    let cells: Vec<[String; 5]> = rows.iter().map(cells).collect();
    let mut widths = TITLES.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    line(&mut out, &TITLES.map(str::to_owned), widths);
    line(&mut out, &widths.map(|width| "-".repeat(width)), widths);
    for row in &cells {
        line(&mut out, row, widths);
    }
    out
}

fn cells(row: &Row) -> [String; 5] {
    let dash = || "-".to_owned();
    let mark = match row.met {
        Some(true) => " ok",
        Some(false) => " MISSED",
        None => "",
    };
    [
        row.what.clone(),
        row.figure.clone(),
        row.floor.clone().unwrap_or_else(dash),
        row.ratio.map_or_else(dash, |ratio| format!("{ratio:.2}")),
        row.target
            .as_ref()
            .map_or_else(dash, |target| format!("{target}{mark}")),
    ]
}

fn line(out: &mut String, cells: &[String; 5], widths: [usize; 5]) {
    let mut text = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        // Writing into a String cannot fail.
        let _ = match index {
            0 => write!(text, "{cell:<width$}"),
            _ => write!(text, "  {cell:>width$}"),
        };
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let row = |what: &str, ratio| Row {
            what: what.to_owned(),
            figure: "9.30 µs".to_owned(),
            floor: None,
            ratio,
            target: Some("≤ 1.6".to_owned()),
            met: Some(true),
            values: Value::Null,
        };
        let text = render(&[row("a", Some(1.234)), row("longer", None)]);
        let lines: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert_eq!(lines[2], lines[3], "{text}");
        assert!(text.contains("1.23"), "{text}");
        assert!(text.contains("≤ 1.6 ok"), "{text}");
    }
}
