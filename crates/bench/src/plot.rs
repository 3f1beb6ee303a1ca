//! The plot of `growth`: three small panels as SVG, for docs/performance.md.

use std::fmt::Write as _;

use serde_json::Value;

use crate::table::Row;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 300.0;
const PANEL: f64 = WIDTH / 3.0;
/// Margins around the axes of a panel: left, right, top, bottom.
const ROOM: [f64; 4] = [58.0, 14.0, 44.0, 46.0];
const COLORS: [&str; 2] = ["#1f6feb", "#d4602a"];

/// A named line of points.
struct Series {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// The axes and series of one panel. Both axes are logarithmic, or y begins at 0.
struct Panel {
    title: &'static str,
    x: &'static str,
    log_y: bool,
    series: Vec<Series>,
}

/// The plot, if the rows contain any of `growth`.
pub(crate) fn growth(rows: &[Row]) -> Option<String> {
    let of = |group: &str, x: &str, y: &str| {
        let points = rows
            .iter()
            .filter_map(|row| point(&row.values[group], x, y));
        points.collect::<Vec<_>>()
    };
    let sizes = |y| of("growth", "streams", y);
    let panels = [
        Panel {
            title: "KiB per idle stream",
            x: "streams",
            log_y: false,
            series: vec![
                Series {
                    name: "edge (RSS)",
                    points: sizes("user_kib"),
                },
                Series {
                    name: "kernel, both ends",
                    points: sizes("kernel_kib_both_ends"),
                },
            ],
        },
        Panel {
            title: "µs CPU per delivered event",
            x: "streams",
            log_y: false,
            series: vec![Series {
                name: "edge",
                points: sizes("micros_per_event"),
            }],
        },
        Panel {
            title: "µs CPU per event",
            x: "streams that want it",
            log_y: true,
            series: vec![Series {
                name: "edge",
                points: of("matching", "matching", "micros_per_event"),
            }],
        },
    ];
    let is_empty = |panel: &Panel| panel.series.iter().all(|series| series.points.is_empty());
    (!panels.iter().all(is_empty)).then(|| draw(&panels))
}

fn point(values: &Value, x: &str, y: &str) -> Option<(f64, f64)> {
    Some((values[x].as_f64()?, values[y].as_f64()?)).filter(|(x, _)| *x > 0.0)
}

fn draw(panels: &[Panel]) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    for (index, panel) in (0_u32..).zip(panels) {
        panel.draw(f64::from(index) * PANEL, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

/// Maps a value to a coordinate.
struct Axis {
    from: f64,
    to: f64,
    log: bool,
    /// Coordinates of the two ends.
    places: (f64, f64),
}

impl Axis {
    fn of(values: &[f64], log: bool, places: (f64, f64)) -> Self {
        let largest = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let smallest = values.iter().copied().fold(largest, f64::min);
        let (from, to) = if log {
            let floor = smallest.max(1e-3).log10().floor();
            (floor, largest.max(1e-3).log10().ceil().max(floor + 1.0))
        } else {
            (0.0, round_up(largest))
        };
        Self {
            from,
            to,
            log,
            places,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.log {
            value.max(1e-3).log10()
        } else {
            value
        };
        let part = (value - self.from) / (self.to - self.from);
        self.places.0 + part * (self.places.1 - self.places.0)
    }

    /// The values at which grid lines are drawn.
    fn ticks(&self) -> Vec<f64> {
        let count = if self.log { self.to - self.from } else { 4.0 };
        let at = |step: f64| self.from + (self.to - self.from) * step / count;
        let steps = std::iter::successors(Some(0.0), |step| Some(step + 1.0));
        let steps = steps.take_while(|step| *step <= count + 1e-9);
        steps
            .map(|step| {
                if self.log {
                    10_f64.powf(at(step))
                } else {
                    at(step)
                }
            })
            .collect()
    }
}

/// 1, 2, 4 or 8 times a power of ten, at least `value`: quarters of it are round too.
fn round_up(value: f64) -> f64 {
    let ten = 10_f64.powf(value.log10().floor());
    let fits = [1.0, 2.0, 4.0, 8.0, 10.0].map(|times| times * ten);
    fits.into_iter().find(|fit| *fit >= value).unwrap_or(value)
}

impl Panel {
    fn draw(&self, left: f64, out: &mut String) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let [room_left, room_right, top, bottom] = ROOM;
        let across = (left + room_left, left + PANEL - room_right);
        let up = (HEIGHT - bottom, top);
        let xs: Vec<f64> = points().map(|(x, _)| *x).collect();
        let ys: Vec<f64> = points().map(|(_, y)| *y).collect();
        let (x, y) = (Axis::of(&xs, true, across), Axis::of(&ys, self.log_y, up));
        let middle = f64::midpoint(across.0, across.1);
        text(out, middle, top - 28.0, "middle", "#111111", self.title);
        text(out, middle, HEIGHT - 10.0, "middle", "#444444", self.x);
        for tick in y.ticks() {
            let at = y.place(tick);
            line(out, (across.0, at), (across.1, at));
            text(
                out,
                across.0 - 6.0,
                at + 4.0,
                "end",
                "#444444",
                &short(tick),
            );
        }
        for tick in x.ticks() {
            let at = x.place(tick);
            line(out, (at, up.0), (at, up.1));
            text(out, at, up.0 + 16.0, "middle", "#444444", &short(tick));
        }
        let mut name_at = across.0 + 4.0;
        for (series, color) in self.series.iter().zip(COLORS) {
            series.draw(&x, &y, color, out);
            if self.series.len() > 1 {
                text(out, name_at, top - 10.0, "start", color, series.name);
                name_at += 110.0;
            }
        }
    }
}

impl Series {
    fn draw(&self, x: &Axis, y: &Axis, color: &str, out: &mut String) {
        let mut places: Vec<(f64, f64)> = self
            .points
            .iter()
            .map(|(at, value)| (x.place(*at), y.place(*value)))
            .collect();
        places.sort_by(|one, other| one.0.total_cmp(&other.0));
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (x, y) in places {
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>"
            );
        }
    }
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#e2e2e2\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, color: &str, text: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{color}\">{text}</text>"
    );
}

/// A number in its shortest form.
fn short(value: f64) -> String {
    if value >= 1e6 {
        format!("{}M", value / 1e6)
    } else if value >= 1e4 {
        format!("{}k", value / 1e3)
    } else {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(values: Value) -> Row {
        Row {
            what: String::new(),
            figure: String::new(),
            floor: None,
            ratio: None,
            target: None,
            met: None,
            values,
        }
    }

    #[test]
    fn every_point_is_drawn_between_the_axes() {
        let size = |streams: u64, kib: f64| {
            let point = json!({
                "streams": streams, "user_kib": kib, "kernel_kib_both_ends": 6.5,
                "micros_per_event": 11.0,
            });
            row(json!({ "growth": point }))
        };
        let matching = json!({ "matching": 100, "micros_per_event": 1100.0 });
        let rows = [
            size(1000, 1.9),
            size(30_000, 1.6),
            row(json!({ "matching": matching })),
            row(json!({ "other": 1 })),
        ];
        let svg = growth(&rows).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        let circles: Vec<_> = svg
            .lines()
            .filter(|line| line.starts_with("<circle"))
            .collect();
        assert_eq!(circles.len(), 7, "{svg}");
        for circle in circles {
            let number = |name: &str| -> f64 {
                let (_, rest) = circle.split_once(name).unwrap();
                rest.split('"').next().unwrap().parse().unwrap()
            };
            let (x, y) = (number("cx=\""), number("cy=\""));
            assert!((ROOM[0]..=WIDTH).contains(&x) && (ROOM[2]..=HEIGHT - ROOM[3]).contains(&y));
        }
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn there_is_no_plot_of_nothing() {
        assert!(growth(&[row(json!({ "other": 1 }))]).is_none());
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.7, 1.0, 11.0, 30.0].map(round_up), [0.8, 1.0, 20.0, 40.0]);
        assert_eq!([0.5, 10.0, 10_000.0].map(short), ["0.5", "10", "10k"]);
    }
}
