//! The buckets of an account, and what GitHub says of them.

use std::time::Duration;

use http::{HeaderMap, header};
use model::Timestamp;
use ports::{BucketName, BucketRule, BudgetDemand, BudgetNeed, QuotaReport, SlotRule};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::limits::{
    CONCURRENT_REQUESTS, GRAPHQL_POINTS, LONGEST_ASKED_PAUSE, POINTS_PERIOD, READ_POINTS,
    REST_POINTS, WRITE_POINTS,
};

const CORE: BucketName = BucketName::new("core");
pub(crate) const GRAPHQL: BucketName = BucketName::new("graphql");
const REST_MINUTE: BucketName = BucketName::new("rest_points");
const GRAPHQL_MINUTE: BucketName = BucketName::new("graphql_points");

/// The quota of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestQuota {
    /// The bucket of the primary limit, and its window.
    pub(crate) primary: (BucketName, Duration),
    /// Permits of the primary limit.
    pub(crate) cost: u32,
    /// The bucket of the secondary limit, and its capacity.
    secondary: (BucketName, u32),
    points: u32,
}

impl RequestQuota {
    pub(crate) const fn of_rest(is_read: bool, window: Duration) -> Self {
        Self {
            primary: (CORE, window),
            cost: 1,
            secondary: (REST_MINUTE, REST_POINTS),
            points: if is_read { READ_POINTS } else { WRITE_POINTS },
        }
    }

    /// A query of this estimated cost. What it really costs, its answer says.
    pub(crate) const fn of_query(cost: u32, window: Duration) -> Self {
        Self {
            primary: (GRAPHQL, window),
            cost,
            secondary: (GRAPHQL_MINUTE, GRAPHQL_POINTS),
            points: READ_POINTS,
        }
    }

    /// What is taken before the request is sent.
    pub(crate) fn demand(self, slot_ttl: Duration) -> BudgetDemand {
        let (bucket, period) = self.primary;
        let (minute, capacity) = self.secondary;
        BudgetDemand {
            needs: vec![
                BudgetNeed {
                    bucket,
                    rule: BucketRule::Reported { period },
                    permits: self.cost,
                },
                BudgetNeed {
                    bucket: minute,
                    rule: BucketRule::Paced {
                        capacity,
                        period: POINTS_PERIOD,
                    },
                    permits: self.points,
                },
            ],
            slot: Some(SlotRule {
                slots: CONCURRENT_REQUESTS,
                ttl: slot_ttl,
            }),
        }
    }
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The time of GitHub's clock, so that its reset does not depend on ours.
fn answered_at(headers: &HeaderMap, now: Timestamp) -> i64 {
    let date = headers
        .get(header::DATE)
        .and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
    date.map_or(now.unix_millis() / 1000, OffsetDateTime::unix_timestamp)
}

/// The time until the reset that an answer names.
fn until_reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let resets_at: i64 = number(headers, "x-ratelimit-reset")?;
    let left = resets_at - answered_at(headers, now);
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(LONGEST_ASKED_PAUSE))
}

/// What the headers of an answer say of a limit. An Enterprise Server without limits says nothing.
pub(crate) fn reported(
    headers: &HeaderMap,
    quota: RequestQuota,
    (now, window): (Timestamp, Duration),
) -> Option<QuotaReport> {
    let resource = headers
        .get("x-ratelimit-resource")
        .and_then(|name| name.to_str().ok());
    let (bucket, period) = match resource {
        Some("core") => (CORE, window),
        Some("graphql") => (GRAPHQL, window),
        None => quota.primary,
        // A limit that no route of ours counts for.
        Some(_) => return None,
    };
    Some(QuotaReport {
        bucket,
        period,
        limit: number(headers, "x-ratelimit-limit")?,
        remaining: number(headers, "x-ratelimit-remaining")?,
        resets_in: until_reset(headers, now)?,
    })
}

/// The pause until a used-up primary limit begins anew: a second more, because the reset is in whole seconds.
pub(crate) fn pause_until_reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let is_used_up = number::<u32>(headers, "x-ratelimit-remaining") == Some(0);
    let left = is_used_up.then(|| until_reset(headers, now)).flatten()?;
    Some((left + Duration::from_secs(1)).min(LONGEST_ASKED_PAUSE))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        pairs.collect()
    }

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: Timestamp = Timestamp::from_unix_millis(5_000_000);
    const READ: RequestQuota = RequestQuota::of_rest(true, HOUR);

    #[test]
    fn a_report_counts_from_githubs_clock_and_not_from_ours() {
        let mut pairs = vec![
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "4987"),
            ("x-ratelimit-reset", "1790000060"),
            ("x-ratelimit-resource", "core"),
            ("date", "Mon, 21 Sep 2026 14:13:20 GMT"),
        ];
        let report = reported(&headers(&pairs), READ, (NOW, HOUR)).unwrap();
        assert_eq!(
            (report.bucket, report.limit, report.remaining),
            (CORE, 5000, 4987)
        );
        assert_eq!(report.resets_in, Duration::from_secs(60));
        // Without its clock, by ours; and never for longer than a window.
        pairs.pop();
        assert_eq!(
            reported(&headers(&pairs), READ, (NOW, HOUR))
                .unwrap()
                .resets_in,
            HOUR
        );
        pairs[3].1 = "graphql";
        assert_eq!(
            reported(&headers(&pairs), READ, (NOW, HOUR))
                .unwrap()
                .bucket,
            GRAPHQL
        );
        pairs[3].1 = "code_scanning_upload";
        assert_eq!(reported(&headers(&pairs), READ, (NOW, HOUR)), None);
        assert_eq!(reported(&headers(&[]), READ, (NOW, HOUR)), None);
    }

    #[test]
    fn only_a_used_up_limit_is_waited_for() {
        let pause = |remaining, reset| {
            let headers = headers(&[
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", reset),
            ]);
            pause_until_reset(&headers, NOW)
        };
        assert_eq!(pause("0", "5060"), Some(Duration::from_secs(61)));
        assert_eq!(pause("0", "900"), Some(Duration::from_secs(1)));
        assert_eq!(pause("0", "999999"), Some(LONGEST_ASKED_PAUSE));
        assert_eq!(pause("7", "5060"), None);
    }
}
