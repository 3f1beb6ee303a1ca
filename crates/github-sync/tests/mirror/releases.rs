//! Releases, which on older servers have no time of their last change.

use ports::MirroredKind;
use serde_json::Value;

use crate::world::{LONG, MirrorWorld, Replica};

async fn release(replica: &Replica, id: u64) -> Value {
    replica.object(MirroredKind::Release, id).await.unwrap()
}

/// The texts of the releases that events told of, and their sources.
async fn told(world: &MirrorWorld) -> Vec<(String, String)> {
    let events = world.events().await.into_iter();
    events
        .map(|event| {
            let body = event.data["body"].as_str().unwrap_or_default();
            (body.to_owned(), event.source.to_string())
        })
        .collect()
}

#[tokio::test]
async fn every_edit_of_a_release_is_seen_on_new_servers_and_on_old_ones() {
    for is_old in [false, true] {
        let world = MirrorWorld::new().await;
        let id = world.github.change(|github| {
            if is_old {
                github.hide_times_of_releases();
            }
            github.publish_release(world.repo, "v1")
        });
        let replica = world.mirrored().await;
        let edit = |body: &str, prerelease| {
            world.clock.advance(LONG);
            world
                .github
                .change(|github| github.edit_release(id, body, prerelease));
            world.clock.advance(LONG);
        };
        edit("by webhook", false);
        let object = world.at_github("/repos/octo/reactor/releases").await;
        world
            .ingest_of("release", "edited", ("release", &object[0]))
            .await;
        replica
            .until("the webhook is known", async |it| {
                release(it, id).await["body"] == "by webhook"
            })
            .await;
        edit("unheard", true);
        compare(&world, &replica).await;
        let found = release(&replica, id).await;
        assert_eq!(
            (&found["body"], &found["prerelease"]),
            (&"unheard".into(), &true.into())
        );
        edit("unheard again", true);
        compare(&world, &replica).await;
        assert_eq!(release(&replica, id).await["body"], "unheard again");
        let expected = [
            ("by webhook", "webhook"),
            ("unheard", "sync"),
            ("unheard again", "sync"),
        ];
        let expected = expected.map(|(body, source)| (body.to_owned(), source.to_owned()));
        assert_eq!(told(&world).await, expected, "old: {is_old}");
        compare(&world, &replica).await;
        assert_eq!(world.events().await.len(), expected.len(), "no news");
    }
}

/// Twice, with the time of a webhook between.
async fn compare(world: &MirrorWorld, replica: &Replica) {
    replica.compare().await;
    world.clock.advance(LONG);
    replica.compare().await;
}
