//! A GitHub that tells a plausible story, as signed webhook deliveries over real HTTP.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use testkit::fake_github::{FakeGithub, StoryStep, WebhookSender};
//!
//! let mut github = FakeGithub::new(7, "the hook's secret");
//! let opened = github.delivery_of(StoryStep::IssueOpened);
//! let ingest = "http://127.0.0.1:3001".parse()?;
//! let outcome = WebhookSender::new().send(&ingest, &opened).await?;
//! assert!(outcome.is_accepted());
//! # Ok(())
//! # }
//! ```
//!
//! The same seed gives the same deliveries byte for byte, GUIDs included. A demo that restarts on
//! the same data must use another seed; otherwise every delivery is a redelivery.

mod delivery;
mod payload;
mod sender;
mod step;
mod story;
mod world;
pub mod written;

use bytes::Bytes;
use model::{Clock, DeliveryId, SystemClock, Timestamp};
use rand::Rng;
use serde_json::{Value, json};

pub use delivery::{Delivery, ExpectedEvent, SignedPrefix, signature};
pub use sender::{ReceiverAnswer, SendDeliveryError, WEBHOOK_PATH, WebhookSender};
pub use step::StoryStep;

use payload::{PayloadDetail, PayloadRenderer};
use world::{Focus, GithubWorld};

/// Default start time of a story: 2026-11-20T10:00:00Z.
const STORY_START: Timestamp = Timestamp::from_unix_millis(1_795_168_800_000);

/// Size of the payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadSize {
    /// Objects with only the members that a reader needs: the resulting resource event is about 1
    /// KiB. For benchmarks whose figures are per event of about 1 KiB.
    OneKib,
    /// All members that GitHub documents: 6 to 20 KiB.
    #[default]
    Typical,
    /// Like `Typical`, with bodies and descriptions of at least this many bytes. Project items have
    /// no free text and keep their size.
    WithText(usize),
}

/// The clock of the story.
#[derive(Debug, Clone, Copy)]
enum StoryTime {
    /// Some seconds pass with every step; deterministic.
    Simulated(Timestamp),
    /// The machine's clock.
    Wall,
}

/// A fake GitHub: one organization with repositories, people and a hook.
#[derive(Debug)]
pub struct FakeGithub {
    world: GithubWorld,
    secret: HookSecret,
    hook_id: u64,
    size: PayloadSize,
    time: StoryTime,
}

/// Kept out of `Debug`.
struct HookSecret(String);

impl std::fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HookSecret(…)")
    }
}

impl FakeGithub {
    /// A GitHub whose story and ids depend only on `seed`, signing with `secret`.
    #[must_use]
    pub fn new(seed: u64, secret: impl Into<String>) -> Self {
        let mut world = GithubWorld::new(seed);
        Self {
            hook_id: world.rng.random_range(400_000_000..500_000_000),
            world,
            secret: HookSecret(secret.into()),
            size: PayloadSize::default(),
            time: StoryTime::Simulated(STORY_START),
        }
    }

    /// Sets the size of the payloads.
    #[must_use]
    pub fn with_payload_size(mut self, size: PayloadSize) -> Self {
        self.size = size;
        self
    }

    /// Starts the story at `start` instead of 2026-11-20T10:00:00Z.
    #[must_use]
    pub fn with_start(mut self, start: Timestamp) -> Self {
        self.time = StoryTime::Simulated(start);
        self
    }

    /// Takes the story's time from the machine's clock: for demos. Payloads are then no longer
    /// deterministic.
    #[must_use]
    pub fn with_wall_clock(mut self) -> Self {
        self.time = StoryTime::Wall;
        self
    }

    /// Signs all further deliveries with another secret: rotation.
    pub fn rotate_secret(&mut self, secret: impl Into<String>) {
        self.secret = HookSecret(secret.into());
    }

    /// Login of the organization that owns everything.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.world.organization.login
    }

    /// Performs the given step on the newest resource that it applies to. A resource that the step
    /// needs and that does not exist yet is created without a delivery of its own.
    pub fn delivery_of(&mut self, step: StoryStep) -> Delivery {
        self.perform(step, Focus::Newest)
    }

    /// A story of 24 deliveries that covers all five kinds of webhook, on the same few resources.
    pub fn story(&mut self) -> Vec<Delivery> {
        StoryStep::STORY
            .into_iter()
            .map(|step| self.delivery_of(step))
            .collect()
    }

    /// The next delivery of a busy organization: a random step on a random resource.
    pub fn next_delivery(&mut self) -> Delivery {
        // Deletions are rare: a world that only loses resources makes no story.
        let step = loop {
            let step = StoryStep::ALL[self.world.rng.random_range(0..StoryStep::ALL.len())];
            if step.action() != "deleted" || self.world.rng.random_ratio(1, 8) {
                break step;
            }
        };
        self.perform(step, Focus::Any)
    }

    /// `count` deliveries about one issue, which must arrive in this order: opened, then labels and
    /// edits in turn.
    pub fn about_one_issue(&mut self, count: usize) -> Vec<Delivery> {
        let changes = [
            StoryStep::IssueLabeled,
            StoryStep::IssueEdited,
            StoryStep::IssueUnlabeled,
        ];
        let steps = std::iter::once(StoryStep::IssueOpened).chain(changes.into_iter().cycle());
        steps
            .take(count)
            .map(|step| self.delivery_of(step))
            .collect()
    }

    /// The `ping` that GitHub sends when a hook is created.
    pub fn ping(&mut self) -> Delivery {
        let organization = &self.world.organization;
        let payload = json!({
            "zen": "Keep it logically awesome.",
            "hook_id": self.hook_id,
            "hook": {
                "type": "Organization", "id": self.hook_id, "name": "web", "active": true,
                "events": ["issues", "milestone", "projects_v2", "projects_v2_item",
                "pull_request"],
                "config": {"content_type": "json", "insecure_ssl": "0",
                "url": "https://forgewire.example/webhooks/github"},
            },
            "organization": {"login": organization.login, "id": organization.id,
            "node_id": organization.node_id},
        });
        self.seal("ping", &payload, None, None)
    }

    fn perform(&mut self, step: StoryStep, focus: Focus) -> Delivery {
        let now = self.tick();
        let (payload, expected) = self.apply(step, focus, now);
        self.seal(step.event(), &payload, Some(step), Some(expected))
    }

    fn tick(&mut self) -> Timestamp {
        match &mut self.time {
            StoryTime::Wall => SystemClock.now(),
            StoryTime::Simulated(now) => {
                let seconds = self.world.rng.random_range(1..30);
                *now = now.plus(std::time::Duration::from_secs(seconds));
                *now
            }
        }
    }

    fn renderer(&self, now: Timestamp) -> PayloadRenderer<'_> {
        let (detail, text_bytes) = match self.size {
            PayloadSize::OneKib => (PayloadDetail::Lean, 0),
            PayloadSize::Typical => (PayloadDetail::Full, 200),
            PayloadSize::WithText(bytes) => (PayloadDetail::Full, bytes),
        };
        PayloadRenderer {
            world: &self.world,
            detail,
            now,
            text_bytes,
        }
    }

    fn seal(
        &mut self,
        event: &'static str,
        payload: &Value,
        step: Option<StoryStep>,
        expected: Option<ExpectedEvent>,
    ) -> Delivery {
        let guid = uuid::Builder::from_random_bytes(self.world.rng.random()).into_uuid();
        let body = Bytes::from(payload.to_string());
        Delivery {
            guid: DeliveryId::new(&guid.to_string()).expect("a UUID is letters, digits and '-'"),
            event,
            hook_id: self.hook_id,
            step,
            expected,
            organization_id: self.world.organization.id,
            signature: signature(&self.secret.0, &body),
            body,
        }
    }
}

#[cfg(test)]
mod tests;
