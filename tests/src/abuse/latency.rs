//! Percentiles of times.

use serde::Serialize;

/// Times, summed up.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct LatencyFigures {
    /// Number of times.
    pub(crate) count: u64,
    /// The median, in milliseconds.
    pub(crate) p50_millis: f64,
    /// 99 of 100 are not longer, in milliseconds.
    pub(crate) p99_millis: f64,
    /// The longest, in milliseconds.
    pub(crate) longest_millis: f64,
}

impl LatencyFigures {
    /// Sums up times in microseconds.
    pub(crate) fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        let at = |per_cent: usize| {
            let place = (micros.len() * per_cent / 100).min(micros.len().saturating_sub(1));
            micros
                .get(place)
                .map_or(0.0, |micros| *micros as f64 / 1000.0)
        };
        Self {
            count: micros.len() as u64,
            p50_millis: at(50),
            p99_millis: at(99),
            longest_millis: at(100),
        }
    }

    /// The one of the two with the longer 99th percentile.
    pub(crate) fn slower(&self, other: &Self) -> Self {
        match self.p99_millis >= other.p99_millis {
            true => *self,
            false => *other,
        }
    }

    /// The factor by which its 99th percentile is longer than that of `calm`.
    pub(crate) fn ratio(&self, calm: &Self) -> f64 {
        if calm.p99_millis > 0.0 {
            self.p99_millis / calm.p99_millis
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let figures = LatencyFigures::of((1..=1000).rev().map(|n| n * 1000).collect());
        let (p50, p99, longest) = (
            figures.p50_millis,
            figures.p99_millis,
            figures.longest_millis,
        );
        assert_eq!(
            (figures.count, p50, p99, longest),
            (1000, 501.0, 991.0, 1000.0)
        );
        assert!((figures.ratio(&LatencyFigures::of(vec![99_100])) - 10.0).abs() < 1e-9);
        assert_eq!(LatencyFigures::of(Vec::new()).p99_millis, 0.0);
    }
}
