//! The repositories that events are about, the filters of streams over them, and the mark that
//! identifies an event.
//!
//! The events of a repository are numbered from 1 without gaps, and number `n` is about issue `n %
//! 10` of it. So the next number is known for every filter, without a list of events.

use std::fmt;

use model::DeliveryId;
use rand::Rng;
use serde_json::{Value, json};
use testkit::fake_github::{Delivery, FakeGithub, PayloadSize, StoryStep};

/// Repositories that events are about.
pub(crate) const REPOSITORIES: usize = 50;
/// Repositories per owner.
const OF_OWNER: usize = 10;
/// Issues per repository.
const ISSUES: u32 = 10;
/// Percentage of streams that want everything; they are the most expensive, so there are few.
const EVERYTHING_PERCENT: u32 = 1;
/// Percentage that want all repositories of one owner.
const OWNER_PERCENT: u32 = 4;
/// Percentage that want one issue; the rest want one repository.
const ISSUE_PERCENT: u32 = 25;

/// Prefix of the mark in the issue's title.
const MARK: &[u8] = b"soak:";
/// `soak:RR:NNNNNNNN:TTTTTTTTT`
const MARK_BYTES: usize = 5 + 2 + 1 + 8 + 1 + 9;

/// The identity of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// The repository, from 0.
    pub(crate) repository: usize,
    /// Its running number in the repository, from 1.
    pub(crate) number: u32,
    /// Send time, in milliseconds since the run began.
    pub(crate) sent_millis: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "soak:{:02}:{:08}:{:09}",
            self.repository, self.number, self.sent_millis
        )
    }
}

impl Mark {
    /// The first mark in an event's JSON.
    pub(crate) fn find(text: &[u8]) -> Option<Self> {
        let mut rest = text;
        // Comparing a window at each byte would be most of a client's work in a debug build.
        while let Some(at) = rest.iter().position(|byte| *byte == b's') {
            rest = &rest[at..];
            if rest.starts_with(MARK) {
                return Self::parse(rest.get(..MARK_BYTES)?);
            }
            rest = &rest[1..];
        }
        None
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let field = |from: usize, to: usize| std::str::from_utf8(text.get(from..to)?).ok();
        let repository = field(5, 7)?.parse().ok()?;
        (repository < REPOSITORIES).then_some(Self {
            repository,
            number: field(8, 16)?.parse().ok()?,
            sent_millis: field(17, 26)?.parse().ok()?,
        })
    }
}

/// The events that a stream wants: those of a range of repositories, or of one issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SoakFilter {
    first: usize,
    count: usize,
    issue: Option<u32>,
}

impl SoakFilter {
    /// Every event.
    pub(crate) const EVERYTHING: Self = Self {
        first: 0,
        count: REPOSITORIES,
        issue: None,
    };

    /// All repositories of an owner.
    pub(crate) fn owner(owner: usize) -> Self {
        Self {
            first: owner * OF_OWNER,
            count: OF_OWNER,
            issue: None,
        }
    }

    /// One repository.
    pub(crate) fn repository(repository: usize) -> Self {
        Self {
            first: repository,
            count: 1,
            issue: None,
        }
    }

    /// One issue of a repository.
    pub(crate) fn issue(repository: usize, issue: u32) -> Self {
        Self {
            issue: Some(issue % ISSUES),
            ..Self::repository(repository)
        }
    }

    /// A random filter for the next stream.
    pub(crate) fn pick(rng: &mut impl Rng) -> Self {
        let repository = rng.random_range(0..REPOSITORIES);
        let percent = rng.random_range(0..100);
        if percent < EVERYTHING_PERCENT {
            Self::EVERYTHING
        } else if percent < EVERYTHING_PERCENT + OWNER_PERCENT {
            Self::owner(repository / OF_OWNER)
        } else if percent < EVERYTHING_PERCENT + OWNER_PERCENT + ISSUE_PERCENT {
            Self::issue(repository, rng.random_range(0..ISSUES))
        } else {
            Self::repository(repository)
        }
    }

    /// The repositories of which it wants events.
    pub(crate) fn repositories(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }

    /// Whether it wants this event.
    pub(crate) fn matches(&self, mark: Mark) -> bool {
        self.repositories().contains(&mark.repository)
            && self.issue.is_none_or(|issue| mark.number % ISSUES == issue)
    }

    /// The distance from one wanted number of a repository to the next.
    pub(crate) fn step(&self) -> u32 {
        if self.issue.is_some() { ISSUES } else { 1 }
    }

    /// The largest wanted number that is not above `number`; 0 if there is none.
    pub(crate) fn newest(&self, number: u32) -> u32 {
        match self.issue {
            None => number,
            Some(issue) => number.saturating_sub((number + ISSUES - issue) % ISSUES),
        }
    }

    /// The count of wanted numbers of one repository, up to `number`.
    pub(crate) fn count(&self, number: u32) -> u32 {
        self.newest(number).div_ceil(self.step())
    }

    /// The query of `GET /events/stream`.
    pub(crate) fn query(&self) -> String {
        let (owner, repo) = names(self.first);
        match (self.count, self.issue) {
            (REPOSITORIES, _) => String::new(),
            (OF_OWNER, _) => format!("?owner={owner}"),
            (_, None) => format!("?owner={owner}&repo={repo}"),
            (_, Some(issue)) => {
                let id = issue_id(self.first, issue);
                format!("?owner={owner}&repo={repo}&resourceId={id}")
            }
        }
    }

    /// The arguments of `subscribe_to_events`.
    pub(crate) fn arguments(&self) -> Value {
        let (owner, repo) = names(self.first);
        match (self.count, self.issue) {
            (REPOSITORIES, _) => json!({}),
            (OF_OWNER, _) => json!({ "filters": [{ "owner": owner }] }),
            (_, None) => json!({ "filters": [{ "owner": owner, "repo": repo }] }),
            (_, Some(issue)) => {
                json!({ "filters": [{ "resourceId": issue_id(self.first, issue) }] })
            }
        }
    }

    /// The resource to listen to.
    pub(crate) fn uri(&self) -> String {
        let (owner, repo) = names(self.first);
        match (self.count, self.issue) {
            (REPOSITORIES, _) => "github://events".to_owned(),
            (OF_OWNER, _) => format!("github://events/{owner}"),
            (_, None) => format!("github://events/{owner}/{repo}"),
            (_, Some(issue)) => format!("github://issues/{owner}/{repo}/{}", issue + 1),
        }
    }
}

/// Owner and name.
fn names(repository: usize) -> (String, String) {
    (
        format!("team-{}", repository / OF_OWNER),
        format!("repo-{repository:02}"),
    )
}

fn issue_id(repository: usize, issue: u32) -> String {
    format!("I_{repository:02}_{issue}")
}

/// Creates deliveries that carry marks.
#[derive(Debug, Clone)]
pub(crate) struct MarkedWebhook {
    template: Delivery,
    secret: String,
    /// Keeps the delivery ids of different runs distinct.
    run: String,
}

impl MarkedWebhook {
    /// A hook that signs with `secret`.
    pub(crate) fn new(seed: u64, secret: &str) -> Self {
        let mut github = FakeGithub::new(seed, secret).with_payload_size(PayloadSize::OneKib);
        Self {
            template: github.delivery_of(StoryStep::IssueOpened),
            secret: secret.to_owned(),
            run: format!("{:08x}", seed & 0xffff_ffff),
        }
    }

    /// The delivery of an event: an issue was edited, and its title is the mark.
    ///
    /// # Panics
    /// Never: the id has letters, digits and dashes only.
    pub(crate) fn delivery(&self, mark: Mark) -> Delivery {
        let (owner, repo) = names(mark.repository);
        let (issue, id) = (mark.number % ISSUES, mark.repository + 1);
        let time = "2026-11-20T10:00:00Z";
        let url = format!("https://github.com/{owner}/{repo}/issues/{}", issue + 1);
        let owner_id = mark.repository / OF_OWNER + 1;
        let organization =
            json!({ "login": owner, "id": owner_id, "node_id": format!("O_{owner_id}") });
        let body = json!({
            "action": "edited",
            "issue": {
                "id": id * 100, "node_id": issue_id(mark.repository, issue), "number": issue + 1,
                "state": "open", "title": mark.to_string(), "labels": [], "html_url": url,
                "created_at": time, "updated_at": time, "body": "Something has changed.",
            },
            "repository": {
                "id": id, "node_id": format!("R_{id}"), "name": repo, "private": false,
                "full_name": format!("{owner}/{repo}"), "owner": organization,
            },
            "organization": organization,
            "sender": { "login": "soaker", "id": 4, "node_id": "U_4" },
        });
        let guid = format!("{}-{:02}-{:08}", self.run, mark.repository, mark.number);
        let mut delivery = self.template.clone();
        delivery.guid = DeliveryId::new(&guid).expect("letters, digits and dashes");
        delivery.event = "issues";
        delivery.expected = None;
        delivery
            .with_body(body.to_string())
            .signed_with(&self.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(repository: usize, number: u32) -> Mark {
        Mark {
            repository,
            number,
            sent_millis: 17,
        }
    }

    #[test]
    fn a_mark_is_found_where_it_stands_and_nowhere_else() {
        let text = format!(r#"{{"s":"so","title":"{}"}}"#, mark(49, 12_345_678));
        assert_eq!(Mark::find(text.as_bytes()), Some(mark(49, 12_345_678)));
        for other in ["soak", "soak:1", "soak:99:00000001:000000001", "", "sss"] {
            assert_eq!(Mark::find(other.as_bytes()), None, "{other}");
        }
    }

    /// The closed formulas agree with a check of each number.
    #[test]
    fn newest_and_count_agree_with_looking_at_each_number() {
        let issues = (0..ISSUES).map(|issue| SoakFilter::issue(3, issue));
        for filter in issues.chain([SoakFilter::repository(3), SoakFilter::EVERYTHING]) {
            let mut all = Vec::new();
            for number in 0..45 {
                if number > 0 && filter.matches(mark(3, number)) {
                    all.push(number);
                }
                let newest = all.last().copied().unwrap_or(0);
                assert_eq!(filter.newest(number), newest, "{filter:?} {number}");
                assert_eq!(
                    filter.count(number) as usize,
                    all.len(),
                    "{filter:?} {number}"
                );
            }
        }
        assert!(
            !SoakFilter::owner(1).matches(mark(9, 1)) && SoakFilter::owner(1).matches(mark(10, 1))
        );
    }

    #[test]
    fn a_delivery_carries_its_mark_and_its_signature() {
        let delivery = MarkedWebhook::new(7, "secret").delivery(mark(12, 34));
        assert_eq!(Mark::find(&delivery.body), Some(mark(12, 34)));
        let signed = testkit::fake_github::signature("secret", &delivery.body);
        assert_eq!(delivery.headers()["x-hub-signature-256"], signed.as_str());
    }
}
