//! Refusals that an operator watches for, as lines of the log under one target and with stable fields.
//!
//! Strangers cause them, so their number is bounded: of each kind, the first ones of an interval have a line each,
//! and the rest are one number, in a line of its own at the end of the interval.

use std::{fmt, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    limits::{AUDIT_INTERVAL, AUDIT_LINES},
    metrics::{MetricsRegistry, counters},
};

/// The target of the lines.
pub const AUDIT_TARGET: &str = "forgewire::audit";

/// `kind`: one of the kinds of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindOfRefusalLabel {
    kind: &'static str,
}

/// A refusal, as its line shows it.
#[derive(Clone, Copy)]
pub struct SecurityRefusal<'a> {
    /// One of the kinds of the log.
    pub kind: &'static str,
    /// The stable code of the answer.
    pub code: &'static str,
    /// The address of the client, if it is known.
    pub source: Option<IpAddr>,
    /// What the request was about, if its headers say so in the right form. It is not verified.
    pub about: Option<&'a dyn fmt::Display>,
    /// The trace of the request.
    pub trace: Option<&'a dyn fmt::Display>,
}

/// The audit log of one listener.
#[derive(Debug)]
pub struct AuditLog {
    listener: &'static str,
    windows: Mutex<Vec<KindWindow>>,
    refusals: Family<KindOfRefusalLabel, Counter>,
    left_out: Counter,
}

/// The lines about one kind in the current interval.
#[derive(Debug)]
struct KindWindow {
    kind: &'static str,
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl AuditLog {
    /// The log of a listener, with its counters.
    #[must_use]
    pub fn new(
        registry: &mut MetricsRegistry,
        listener: &'static str,
        kinds: &'static [&'static str],
    ) -> Self {
        let window = |kind: &&'static str| KindWindow {
            kind,
            began: None,
            lines: 0,
            left_out: 0,
        };
        let log = Self {
            listener,
            windows: Mutex::new(kinds.iter().map(window).collect()),
            refusals: counters(kinds.iter().map(|&kind| KindOfRefusalLabel { kind })),
            left_out: Counter::default(),
        };
        registry.register(
            format!("forgewire_{listener}_security_refusals"),
            "Requests that were refused for reasons of security, by kind",
            log.refusals.clone(),
        );
        registry.register(
            format!("forgewire_{listener}_audit_lines_left_out"),
            "Refusals without a line of their own in the audit log, because there were too many of their kind",
            log.left_out.clone(),
        );
        log
    }

    /// Counts a refusal, and writes its line if there is room for it. A kind that the log does not have is a
    /// mistake of ours, and counts as a refusal without a line.
    pub fn refuse(&self, refusal: &SecurityRefusal<'_>) {
        let kind = refusal.kind;
        self.refusals
            .get_or_create(&KindOfRefusalLabel { kind })
            .inc();
        let mut windows = self.windows.lock();
        let Some(window) = windows.iter_mut().find(|window| window.kind == kind) else {
            self.left_out.inc();
            return;
        };
        let before = window.roll(Instant::now());
        let has_room = window.lines < AUDIT_LINES;
        match has_room {
            true => window.lines += 1,
            false => window.left_out += 1,
        }
        drop(windows);
        self.summarise(kind, before);
        if has_room {
            warn!(
                target: AUDIT_TARGET,
                listener = self.listener,
                kind,
                code = refusal.code,
                source = refusal.source.map(tracing::field::display),
                about = refusal.about.map(tracing::field::display),
                trace_id = refusal.trace.map(tracing::field::display),
                "security refusal"
            );
        } else {
            self.left_out.inc();
        }
    }

    /// Writes what was left out in intervals that are over.
    pub fn write_summaries(&self) {
        let now = Instant::now();
        let mut windows = self.windows.lock();
        let over = windows
            .iter_mut()
            .map(|window| (window.kind, window.roll(now)));
        let over: Vec<_> = over.collect();
        drop(windows);
        for (kind, left_out) in over {
            self.summarise(kind, left_out);
        }
    }

    /// Writes summaries until `stop`, and then what is still left.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while stop
            .run_until_cancelled(sleep(AUDIT_INTERVAL))
            .await
            .is_some()
        {
            self.write_summaries();
        }
        let left: Vec<_> = self
            .windows
            .lock()
            .iter_mut()
            .map(|window| (window.kind, std::mem::take(&mut window.left_out)))
            .collect();
        for (kind, left_out) in left {
            self.summarise(kind, left_out);
        }
    }

    fn summarise(&self, kind: &'static str, left_out: u64) {
        if left_out > 0 {
            warn!(
                target: AUDIT_TARGET,
                listener = self.listener,
                kind,
                left_out,
                seconds = AUDIT_INTERVAL.as_secs(),
                "security refusals without a line of their own"
            );
        }
    }
}

impl KindWindow {
    /// Begins a new interval if the last one is over; returns what was left out of that.
    fn roll(&mut self, now: Instant) -> u64 {
        let age = |began| now.saturating_duration_since(began);
        if self.began.is_some_and(|began| age(began) < AUDIT_INTERVAL) {
            return 0;
        }
        self.began = Some(now);
        self.lines = 0;
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::encode;

    const KINDS: &[&str] = &["signature", "rate"];

    fn refusal(kind: &'static str) -> SecurityRefusal<'static> {
        SecurityRefusal {
            kind,
            code: "signature_invalid",
            source: None,
            about: None,
            trace: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_has_a_bounded_number_of_lines_and_the_rest_is_a_number() {
        let mut registry = MetricsRegistry::default();
        let log = AuditLog::new(&mut registry, "test", KINDS);
        let flood = 10_000;
        for _ in 0..flood {
            log.refuse(&refusal("signature"));
        }
        log.refuse(&refusal("rate"));
        let lines = |log: &AuditLog| {
            let windows = log.windows.lock();
            let lines: Vec<_> = windows.iter().map(|w| (w.lines, w.left_out)).collect();
            lines
        };
        let left = flood - u64::from(AUDIT_LINES);
        assert_eq!(lines(&log), [(AUDIT_LINES, left), (1, 0)]);
        log.write_summaries();
        assert_eq!(lines(&log)[0], (AUDIT_LINES, left), "the interval goes on");
        tokio::time::advance(AUDIT_INTERVAL).await;
        log.write_summaries();
        assert_eq!(lines(&log), [(0, 0), (0, 0)]);
        let text = encode(&registry).unwrap();
        for expected in [
            format!("forgewire_test_security_refusals_total{{kind=\"signature\"}} {flood}\n"),
            "forgewire_test_security_refusals_total{kind=\"rate\"} 1\n".to_owned(),
            format!("forgewire_test_audit_lines_left_out_total {left}\n"),
        ] {
            assert!(text.contains(&expected), "{expected}: {text}");
        }
    }
}
