//! [`model::FilterRequest`]: a filter as JSON, and texts for each of its fields with 0xff between them.

use model::{
    CompiledFilter, EventDigest, EventFacts, EventId, EventOrigin, EventType, Filter,
    FilterRequest, GithubReference, ResourceId, ResourceType, Timestamp,
    limits::{
        MAX_FILTER_AUTHORS, MAX_FILTER_COST, MAX_FILTER_TAGS, MAX_LABEL_CHARACTERS,
        MAX_OWNER_CHARACTERS,
    },
};

pub(crate) fn run(data: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<FilterRequest>(data) {
        read(request);
    }
    let [owner, repo, actor, id, tags] = super::parts(data);
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let some = |bytes: &[u8]| text(bytes).filter(|text| !text.is_empty());
    let tags = text(tags).unwrap_or_default();
    read(FilterRequest {
        owner: some(owner),
        repo: some(repo),
        actor: some(actor),
        resource_id: some(id),
        tags: tags.lines().map(str::to_owned).collect(),
        ..FilterRequest::default()
    });
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok((owner, repo)) = GithubReference::read_repository(text)
    {
        let again = GithubReference::read_repository(&format!("{owner}/{repo}"));
        assert_eq!(again, Ok((owner, repo)), "{text}");
    }
}

/// A filter that was read is bounded, reads as itself, and matches the event that has exactly its fields.
fn read(request: FilterRequest) {
    match request.read() {
        Ok(filter) => {
            bounded(&filter);
            assert_eq!(as_request(&filter).read().as_ref(), Ok(&filter));
            let compiled = CompiledFilter::of(&filter);
            assert!(compiled.cost() <= filter.cost() && filter.cost() <= MAX_FILTER_COST);
            assert!(
                compiled.matches(&EventDigest::of(&event(&filter))),
                "{filter:?}"
            );
        }
        Err(error) => assert!(error.to_string().contains(": "), "{error}"),
    }
}

fn bounded(filter: &Filter) {
    let names = [&filter.owner, &filter.repo, &filter.actor];
    for name in names.into_iter().flatten() {
        assert!(!name.is_empty() && name.is_ascii() && name.len() <= 100);
        assert_eq!(name.to_ascii_lowercase(), *name);
    }
    let owner = filter.owner.as_ref();
    assert!(owner.is_none_or(|owner| owner.len() <= MAX_OWNER_CHARACTERS));
    assert!(filter.tags.len() <= MAX_FILTER_TAGS);
    assert!(filter.authors.len() <= MAX_FILTER_AUTHORS);
    let fits = |tag: &String| tag.chars().count() <= MAX_LABEL_CHARACTERS;
    assert!(filter.tags.iter().all(fits));
}

fn as_request(filter: &Filter) -> FilterRequest {
    let json = serde_json::to_value(filter).expect("a filter is JSON");
    serde_json::from_value(json).expect("a filter is a request")
}

fn event(filter: &Filter) -> EventFacts {
    let id = ResourceId::new("I_1").expect("an id");
    EventFacts {
        id: EventId::new("e").expect("an id"),
        event_type: filter.event_type.clone().unwrap_or(EventType::UPDATED),
        action: filter
            .action
            .as_ref()
            .map(|action| action.to_ascii_uppercase()),
        resource_type: filter.resource_type.clone().unwrap_or(ResourceType::ISSUE),
        resource_id: filter.resource_id.clone().unwrap_or(id),
        owner: filter.owner.as_ref().map(|owner| owner.to_uppercase()),
        repo: filter.repo.as_ref().map(|repo| repo.to_uppercase()),
        number: filter.number,
        ids: model::GithubIds {
            resource: filter.database_id,
            ..model::GithubIds::default()
        },
        former: None,
        actor: filter.actor.clone(),
        author: Some(Box::new(model::TextAuthor {
            login: filter.authors.last().cloned(),
            association: filter.author_association.last().cloned(),
        })),
        source: filter.source.clone().unwrap_or(EventOrigin::WEBHOOK),
        tags: filter.tags.last().cloned().into_iter().collect(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    }
}
