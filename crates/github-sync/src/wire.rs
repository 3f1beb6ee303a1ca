//! Lists and states on the wire.

use model::{FoundResource, GithubIds, OwnerId, PlaceId, RepositoryId, ResourceId, Timestamp};
use ports::{
    MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirrorPage, MirrorProgress,
    MirroredKind, MirroredState,
};
use proto::v1::{
    FindResourceResponse, FoundView, ListReading, ListResourcesRequest, ListResourcesResponse,
    NameHolder, ResourceAddress, ResourceFilter, ResourceOrder, ResourceView,
};

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyncWireError {
    /// A newer build has more kinds.
    #[error("kind: {0:?} is not mirrored")]
    Kind(String),
    /// A part of the message is absent.
    #[error("{0}: absent")]
    Absent(&'static str),
    /// A node id cannot be one.
    #[error("node_id: {0}")]
    NodeId(#[from] model::InvalidId),
}

fn kind(name: &str) -> Result<MirroredKind, SyncWireError> {
    MirroredKind::parse(name).ok_or_else(|| SyncWireError::Kind(name.to_owned()))
}

pub(crate) fn ids(owner: Option<u64>, repository: Option<u64>) -> GithubIds {
    GithubIds {
        owner: owner.map(OwnerId),
        repository: repository.map(RepositoryId),
        resource: None,
    }
}

pub(crate) fn resource_to_wire(found: FoundResource) -> FindResourceResponse {
    FindResourceResponse {
        owner: found.owner,
        repo: found.repo,
        number: found.number,
        repository_id: found.ids.repository.map(|id| id.0),
        owner_id: found.ids.owner.map(|id| id.0),
        database_id: found.ids.resource,
        repository_node_id: found.repository_node_id.map(|id| id.to_string()),
        title: found.title,
        url: found.url,
        labels: found.labels,
    }
}

pub(crate) fn resource(wire: FindResourceResponse) -> FoundResource {
    let repository_node_id = wire.repository_node_id.as_deref();
    FoundResource {
        owner: wire.owner,
        repo: wire.repo,
        number: wire.number,
        ids: GithubIds {
            resource: wire.database_id,
            ..ids(wire.owner_id, wire.repository_id)
        },
        // What cannot be one is as one that is not known.
        repository_node_id: repository_node_id.and_then(|id| ResourceId::new(id).ok()),
        title: wire.title,
        url: wire.url,
        labels: wire.labels,
    }
}

pub(crate) fn address_to_wire(address: &MirrorAddress) -> ResourceAddress {
    ResourceAddress {
        kind: address.kind.as_str().to_owned(),
        owner: address.owner.clone(),
        repo: address.repo.clone(),
        number: address.number,
    }
}

pub(crate) fn address(wire: ResourceAddress) -> Result<MirrorAddress, SyncWireError> {
    Ok(MirrorAddress {
        kind: kind(&wire.kind)?,
        owner: wire.owner,
        repo: wire.repo,
        number: wire.number,
    })
}

fn view_to_wire(state: MirroredState) -> ResourceView {
    ResourceView {
        address: Some(address_to_wire(&state.address)),
        node_id: state.node_id.to_string(),
        repository_id: state.ids.repository.map(|id| id.0),
        owner_id: state.ids.owner.map(|id| id.0),
        json: state.json,
        updated_at_millis: state.updated_at.unix_millis(),
        deleted: state.deleted,
    }
}

fn state(wire: ResourceView) -> Result<MirroredState, SyncWireError> {
    Ok(MirroredState {
        address: address(wire.address.ok_or(SyncWireError::Absent("address"))?)?,
        node_id: ResourceId::new(&wire.node_id)?,
        ids: ids(wire.owner_id, wire.repository_id),
        json: wire.json,
        updated_at: Timestamp::from_unix_millis(wire.updated_at_millis),
        deleted: wire.deleted,
    })
}

pub(crate) fn found_to_wire(found: Option<MirroredState>) -> FoundView {
    FoundView {
        view: found.map(view_to_wire),
    }
}

pub(crate) fn found(wire: FoundView) -> Result<Option<MirroredState>, SyncWireError> {
    wire.view.map(state).transpose()
}

pub(crate) fn holder_to_wire(holder: Option<PlaceId>) -> NameHolder {
    NameHolder {
        id: holder.map(PlaceId::number),
    }
}

/// The holder of a name: a repository if the name is one's.
pub(crate) fn holder(name: &str, wire: NameHolder) -> Option<PlaceId> {
    wire.id.map(|id| match name.contains('/') {
        true => PlaceId::Repository(RepositoryId(id)),
        false => PlaceId::Owner(OwnerId(id)),
    })
}

/// A request for a page, without the caller's position.
pub(crate) fn listing_to_wire(listing: &MirrorListing) -> ListResourcesRequest {
    let filter = &listing.filter;
    let since = filter.updated_since.map(Timestamp::unix_millis);
    let order = match listing.order {
        MirrorOrder::Number => ResourceOrder::Unspecified,
        MirrorOrder::Updated => ResourceOrder::Updated,
    };
    ListResourcesRequest {
        kind: listing.kind.as_str().to_owned(),
        owner: listing.owner.clone(),
        repo: listing.repo.clone(),
        filter: Some(ResourceFilter {
            state: filter.state.clone(),
            labels: filter.labels.clone(),
            assignee: filter.assignee.clone(),
            creator: filter.creator.clone(),
            milestone: filter.milestone,
            updated_since_millis: since,
            words: filter.words.clone(),
            branch: filter.branch.clone(),
            with_deleted: filter.with_deleted,
        }),
        order: order.into(),
        descending: listing.descending,
        limit: u32::try_from(listing.limit).unwrap_or(u32::MAX),
        after: listing.after.clone(),
        seen: None,
    }
}

pub(crate) fn listing(wire: ListResourcesRequest) -> Result<MirrorListing, SyncWireError> {
    let order = wire.order();
    let filter = wire.filter.unwrap_or_default();
    let since = filter.updated_since_millis;
    Ok(MirrorListing {
        kind: kind(&wire.kind)?,
        owner: wire.owner,
        repo: wire.repo,
        filter: MirrorFilter {
            state: filter.state,
            labels: filter.labels,
            assignee: filter.assignee,
            creator: filter.creator,
            milestone: filter.milestone,
            updated_since: since.map(Timestamp::from_unix_millis),
            words: filter.words,
            branch: filter.branch,
            with_deleted: filter.with_deleted,
        },
        order: match order {
            ResourceOrder::Unspecified => MirrorOrder::Number,
            ResourceOrder::Updated => MirrorOrder::Updated,
        },
        descending: wire.descending,
        limit: usize::try_from(wire.limit).unwrap_or(usize::MAX),
        after: wire.after,
    })
}

pub(crate) fn page_to_wire(page: MirrorPage) -> ListResourcesResponse {
    ListResourcesResponse {
        views: page.states.into_iter().map(view_to_wire).collect(),
        next: page.next,
        as_of_millis: page.as_of.map(Timestamp::unix_millis),
    }
}

pub(crate) fn page(wire: ListResourcesResponse) -> Result<MirrorPage, SyncWireError> {
    let states = wire.views.into_iter().map(state);
    Ok(MirrorPage {
        states: states.collect::<Result<_, _>>()?,
        next: wire.next,
        as_of: wire.as_of_millis.map(Timestamp::from_unix_millis),
    })
}

pub(crate) fn progress_to_wire(progress: MirrorProgress) -> ListReading {
    ListReading {
        place: progress.place,
        kind: progress.kind.as_str().to_owned(),
        as_of_millis: progress.as_of.map(Timestamp::unix_millis),
        failure: progress.failure,
    }
}

pub(crate) fn progress(wire: ListReading) -> Result<MirrorProgress, SyncWireError> {
    Ok(MirrorProgress {
        place: wire.place,
        kind: kind(&wire.kind)?,
        as_of: wire.as_of_millis.map(Timestamp::from_unix_millis),
        failure: wire.failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_the_wire_arrives_as_it_was() {
        let listing_ = MirrorListing {
            kind: MirroredKind::PullRequest,
            owner: "Octo".to_owned(),
            repo: Some("Cat".to_owned()),
            filter: MirrorFilter {
                state: Some("merged".to_owned()),
                labels: vec!["a".to_owned()],
                assignee: Some("*".to_owned()),
                creator: Some("mona".to_owned()),
                milestone: Some(3),
                updated_since: Some(Timestamp::from_unix_millis(5)),
                words: vec!["w".to_owned(), "v".to_owned()],
                branch: Some("main".to_owned()),
                with_deleted: true,
            },
            order: MirrorOrder::Updated,
            descending: true,
            limit: 7,
            after: Some("c".to_owned()),
        };
        assert_eq!(listing(listing_to_wire(&listing_)).unwrap(), listing_);
        let page_ = MirrorPage {
            states: vec![MirroredState {
                address: MirrorAddress {
                    kind: MirroredKind::Project,
                    owner: "Octo".to_owned(),
                    repo: None,
                    number: 4,
                },
                node_id: ResourceId::new("PVT_1").unwrap(),
                ids: ids(Some(1), None),
                json: "{}".into(),
                updated_at: Timestamp::from_unix_millis(9),
                deleted: true,
            }],
            next: Some("n".to_owned()),
            as_of: Some(Timestamp::from_unix_millis(8)),
        };
        assert_eq!(page(page_to_wire(page_.clone())).unwrap(), page_);
        let progress_ = MirrorProgress {
            place: "octo".to_owned(),
            kind: MirroredKind::Release,
            as_of: None,
            failure: Some("refused".to_owned()),
        };
        let read = progress(progress_to_wire(progress_.clone()));
        assert_eq!(read.unwrap(), progress_);
    }

    #[test]
    fn a_resource_that_was_found_arrives_as_it_was_and_an_older_builds_without_its_names() {
        let found = FoundResource {
            owner: "Octo".to_owned(),
            repo: "Cat".to_owned(),
            number: 7,
            ids: GithubIds {
                resource: Some(107),
                ..ids(Some(5), Some(9))
            },
            repository_node_id: Some(ResourceId::new("R_9").unwrap()),
            title: Some("Fix it".to_owned()),
            url: Some("https://github.com/Octo/Cat/issues/7".to_owned()),
            labels: vec!["bug".to_owned()],
        };
        let mut wire = resource_to_wire(found.clone());
        assert_eq!(resource(wire.clone()), found);
        wire.repository_node_id = Some("not an id".to_owned());
        assert_eq!(resource(wire).repository_node_id, None);
        let older = FindResourceResponse {
            number: 7,
            ..FindResourceResponse::default()
        };
        let nameless = FoundResource {
            number: 7,
            ..FoundResource::default()
        };
        assert_eq!(resource(older), nameless);
    }

    #[test]
    fn the_holder_of_a_name_is_a_repository_or_an_owner_as_the_name_is() {
        for (name, id) in [
            ("octo/cat", Some(PlaceId::Repository(RepositoryId(7)))),
            ("octo", Some(PlaceId::Owner(OwnerId(7)))),
            ("octo", None),
        ] {
            assert_eq!(holder(name, holder_to_wire(id)), id);
        }
    }

    #[test]
    fn what_a_newer_build_has_is_an_error() {
        let request = ListResourcesRequest {
            kind: "wikis".to_owned(),
            ..ListResourcesRequest::default()
        };
        assert_eq!(
            listing(request),
            Err(SyncWireError::Kind("wikis".to_owned()))
        );
        let view = ResourceView::default();
        let wire = FoundView { view: Some(view) };
        assert_eq!(found(wire), Err(SyncWireError::Absent("address")));
    }
}
