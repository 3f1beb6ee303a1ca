use proptest::prelude::*;

use super::*;
use crate::{
    EventId, FormerPlace, GithubIds, OwnerId, PlaceName, RepositoryId, TextAuthor, Timestamp,
    limits::MAX_FILTER_COST,
};

fn same_name<T: PartialEq>(wanted: Option<&T>, actual: &T) -> bool {
    wanted.is_none_or(|wanted| wanted == actual)
}

/// The rule, field by field, without digests.
fn rule(filter: &Filter, event: &EventFacts) -> bool {
    let same = |wanted: &Option<String>, got: &Option<String>| match (wanted, got) {
        (None, _) => true,
        (Some(wanted), Some(got)) => wanted.eq_ignore_ascii_case(got),
        (Some(_), None) => false,
    };
    let fold = |tag: &String| github_name::fold(tag);
    let has: Vec<_> = event.tags.iter().map(fold).collect();
    let here = same(&filter.owner, &event.owner) && same(&filter.repo, &event.repo);
    let former = event.former_names();
    let owned = |name: Option<&str>| name.map(ToOwned::to_owned);
    let there = event.former.is_some()
        && same(&filter.owner, &owned(former.0))
        && same(&filter.repo, &owned(former.1));
    let in_place = match filter.place {
        None => here || there,
        Some(PlaceId::Repository(id)) => match event.ids.repository {
            Some(of_event) => of_event == id,
            None => here,
        },
        Some(PlaceId::Owner(id)) => match event.ids.owner {
            Some(of_event) if of_event == id && same(&filter.repo, &event.repo) => true,
            Some(_) => there,
            None if event.former.is_some() => there,
            None => here,
        },
    };
    let is_pull = event.resource_type == ResourceType::PULL_REQUEST;
    let is_included = filter.include_pull_requests
        && filter.resource_type == Some(ResourceType::ISSUE)
        && is_pull;
    let one_of = |wanted: &[String], got: Option<&String>| {
        let same = |wanted: &String| got.is_some_and(|got| got.eq_ignore_ascii_case(wanted));
        wanted.is_empty() || wanted.iter().any(same)
    };
    let author = event.author.as_deref();
    let login = author.and_then(|author| author.login.as_ref());
    let association = author.and_then(|author| author.association.as_ref());
    let of_database_id = |id| Some(id) == event.ids.resource;
    (is_included || same_name(filter.resource_type.as_ref(), &event.resource_type))
        && filter.is_pull_request.is_none_or(|pull| pull == is_pull)
        && same(&filter.action, &event.action)
        && filter.database_id.is_none_or(of_database_id)
        && same_name(filter.event_type.as_ref(), &event.event_type)
        && same_name(filter.source.as_ref(), &event.source)
        && same_name(filter.resource_id.as_ref(), &event.resource_id)
        && filter.number.is_none_or(|n| Some(n) == event.number)
        && in_place
        && same(&filter.actor, &event.actor)
        && one_of(&filter.authors, login)
        && one_of(&filter.author_association, association)
        && (filter.tags.is_empty() || filter.tags.iter().any(|tag| has.contains(&fold(tag))))
}

fn name() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[aAbB]{1,2}")
}

fn id() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(1..3_u64)
}

fn place() -> impl Strategy<Value = Option<PlaceId>> {
    let place = (any::<bool>(), 1..3_u64).prop_map(|(is_owner, id)| match is_owner {
        true => PlaceId::Owner(OwnerId(id)),
        false => PlaceId::Repository(RepositoryId(id)),
    });
    prop::option::of(place)
}

fn tags() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[aAßẞéÉΣσς]{1,2}", 0..4)
}

prop_compose! {
    fn filter()(
        kind in prop::option::of(0..3_usize), what in prop::option::of(0..2_usize),
        id in prop::option::of("[ab]"), owner in name(), repo in name(), actor in name(),
        number in prop::option::of(1..3_u64), tags in tags(), place in place(),
        (action, database_id) in (name(), prop::option::of(1..3_u64)),
        (is_pull_request, include_pull_requests) in (prop::option::of(any::<bool>()), any::<bool>()),
        source in prop::option::of(0..2_usize),
        (authors, association) in (prop::collection::vec("[aAbB]{1,2}", 0..4), name()),
    ) -> Filter {
        // What the names mean is known only of a filter that has them.
        let place = place.filter(|place| match place {
            PlaceId::Owner(_) => owner.is_some(),
            PlaceId::Repository(_) => owner.is_some() && repo.is_some(),
        });
        Filter {
            resource_type: kind.map(|kind| ResourceType::KNOWN[kind].clone()),
            event_type: what.map(|what| EventType::KNOWN[what].clone()),
            resource_id: id.map(|id| ResourceId::new(&id).unwrap()),
            source: source.map(|source| EventOrigin::KNOWN[source].clone()),
            action, database_id, is_pull_request, include_pull_requests,
            owner, repo, number, actor, tags, place,
            authors, author_association: Vec::from_iter(association),
        }
    }
}

prop_compose! {
    fn event()(
        kind in 0..3_usize, what in 0..2_usize, id in "[ab]", owner in name(), repo in name(),
        actor in name(), number in prop::option::of(1..3_u64), tags in tags(),
        (action, resource) in (name(), prop::option::of(1..3_u64)), source in 0..2_usize,
        (owner_id, repository_id) in (id(), id()), former in prop::option::of((name(), name())),
        (author, association) in (name(), name()),
    ) -> EventFacts {
        EventFacts {
            id: EventId::new("d").unwrap(),
            event_type: EventType::KNOWN[what].clone(),
            action,
            resource_type: ResourceType::KNOWN[kind].clone(),
            resource_id: ResourceId::new(&id).unwrap(),
            owner, repo, number, actor,
            ids: GithubIds {
                owner: owner_id.map(OwnerId),
                repository: repository_id.map(RepositoryId),
                resource,
            },
            former: former.map(|(owner, repo)| Box::new(FormerPlace { owner, repo })),
            author: Some(Box::new(TextAuthor { login: author, association })),
            source: EventOrigin::KNOWN[source].clone(),
            tags,
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
        }
    }
}

proptest! {
    #[test]
    fn digests_match_what_the_texts_match(filters in prop::collection::vec(filter(), 0..5), event in event()) {
        let digest = EventDigest::of(&event);
        for filter in &filters {
            let compiled = CompiledFilter::of(filter);
            let mut comparisons = 0;
            let matches = compiled.count_matches(&digest, &mut comparisons);
            prop_assert_eq!(matches, rule(filter, &event), "{:?}", filter);
            prop_assert!(comparisons < compiled.cost());
            prop_assert!(compiled.cost() <= filter.cost() && filter.cost() <= MAX_FILTER_COST);
        }
        let any = filters.is_empty() || filters.iter().any(|filter| rule(filter, &event));
        let set = FilterSet::new(filters).unwrap();
        prop_assert_eq!(FilterMatcher::of(&set).matches(&event), any);
    }

    #[test]
    fn filters_that_mean_the_same_are_one_value(filter in filter()) {
        let mut other = filter.clone();
        for name in [&mut other.owner, &mut other.repo, &mut other.actor, &mut other.action].into_iter().flatten() {
            *name = name.to_ascii_uppercase();
        }
        other.tags.extend(filter.tags.iter().rev().map(|tag| github_name::fold(tag)));
        other.tags.reverse();
        prop_assert_eq!(CompiledFilter::of(&other), CompiledFilter::of(&filter));
    }
}

/// A filter for `owner/repo`, or for a whole owner.
fn of_place(owner: &str, repo: Option<&str>) -> CompiledFilter {
    CompiledFilter::of(&Filter {
        owner: Some(owner.to_owned()),
        repo: repo.map(ToOwned::to_owned),
        ..Filter::default()
    })
}

fn rename(id: PlaceId, from: &str, to: &str, owner: Option<u64>) -> RenameDigest {
    RenameDigest::of(&Rename {
        id,
        from: PlaceName::read(from),
        to: PlaceName::read(to),
        owner: owner.map(OwnerId),
    })
}

#[test]
fn a_filter_goes_on_with_what_it_named() {
    let (five, one) = (
        PlaceId::Owner(OwnerId(5)),
        PlaceId::Repository(RepositoryId(1)),
    );
    let named = of_place("acme", Some("rocket"));
    let repository = rename(one, "ACME/Rocket", "acme/missile", Some(5));
    let owner = rename(five, "acme", "apex", Some(5));
    let bound = named.renamed(&repository).unwrap();
    assert_eq!(bound.place(), Some(one));
    // It names an id now, and no other rename concerns it.
    assert_eq!(bound.renamed(&owner), None);
    let other = rename(
        PlaceId::Repository(RepositoryId(2)),
        "acme/rocket",
        "acme/x",
        None,
    );
    assert_eq!(bound.renamed(&other), None);
    // First the owner is renamed, then the repository in it.
    let in_owner = named.renamed(&owner).unwrap();
    assert_eq!(in_owner.place(), Some(five));
    let later = rename(one, "apex/rocket", "apex/missile", Some(5));
    assert_eq!(in_owner.renamed(&later), Some(bound));
    let elsewhere = rename(one, "apex/rocket", "apex/missile", Some(6));
    assert_eq!(in_owner.renamed(&elsewhere), None);
    let whole = of_place("acme", None);
    assert_eq!(whole.renamed(&repository), None);
    assert_eq!(whole.renamed(&owner).unwrap().place(), Some(five));
    assert_eq!(of_place("octo", Some("rocket")).renamed(&repository), None);
    assert_eq!(CompiledFilter::all().renamed(&owner), None);
}

proptest! {
    #[test]
    fn an_event_has_the_tags_that_it_has_and_no_other(
        own in prop::collection::vec("[a-z]{1,3}", 0..100),
        others in prop::collection::vec("[a-z]{1,3}", 0..300),
    ) {
        let tags = TagDigests::of(own.iter().map(|tag| TextDigest::of_label(tag)));
        for tag in own.iter().chain(&others) {
            let has = tags.has(TextDigest::of_label(tag));
            prop_assert_eq!(has, own.contains(tag), "{}", tag);
        }
    }
}
