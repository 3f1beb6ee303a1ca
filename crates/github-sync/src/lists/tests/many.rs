//! A repository of ten thousand issues.

use std::time::Instant;

use ports::MirroredKind;

use super::world::{ListWorld, ReadList, Served};

#[tokio::test]
async fn ten_thousand_issues_and_a_thousand_pull_requests_cost_their_pages_once() {
    let world = ListWorld::new().await;
    let began = Instant::now();
    for n in 0..11_000 {
        world.pass_time(1);
        world.change(|it, repo| match n % 11 {
            0 => {
                it.open_pull(repo, "a pull request", ["main", "main"]);
            }
            _ => {
                it.open_issue(repo, "an issue");
            }
        });
    }
    let made = began.elapsed();
    let (lists, place) = (world.lists(Served::Cloud, 100), world.place());
    let mut read =
        [MirroredKind::Issue, MirroredKind::PullRequest].map(|kind| (kind, ReadList::default()));
    let began = Instant::now();
    let mut steps = Vec::new();
    for (kind, read) in &mut read {
        steps.push(read.pass(&lists, &place, *kind).await);
    }
    let took = began.elapsed();
    let (points, unmodified) = (world.github.points(), world.github.not_modified());
    assert_eq!(
        [read[0].1.objects.len(), read[1].1.objects.len()],
        [10_000, 1_000]
    );
    // Pages of issues and pull requests, of which each has the last one of the page before, and the last minute once more;
    // ten pages, and the first one again for nothing.
    assert_eq!((&*steps, points, unmodified), (&[113, 11][..], 123, 1));

    world.pass_time(300);
    let began = Instant::now();
    for (kind, read) in &mut read {
        assert_eq!(read.pass(&lists, &place, *kind).await, 1);
    }
    let again = began.elapsed();
    assert_eq!(world.github.points(), points);
    let bytes: usize = read
        .iter()
        .flat_map(|(_, read)| read.objects.values())
        .map(|(_, json)| json.len())
        .sum();
    println!(
        "made in {made:?}; read in {took:?} with {points} points, {bytes} bytes; again in {again:?} with none"
    );
}
