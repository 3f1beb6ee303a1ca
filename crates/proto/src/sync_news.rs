//! Conversion of the sync replicas' messages between `ports` and protobuf.

use model::{GithubIds, OwnerId, RepositoryId};
use ports::{MirroredStates, SyncNews};
use v1::sync_news::News;

use crate::{DecodeError, v1};

pub(crate) fn to_wire(news: &SyncNews) -> v1::SyncNews {
    let SyncNews::Mirrored(states) = news;
    let news = News::Mirrored(v1::MirroredStates {
        replica: states.replica,
        place: states.place.clone(),
        owner_id: states.ids.owner.map_or(0, |id| id.0),
        repository_id: states.ids.repository.map_or(0, |id| id.0),
    });
    v1::SyncNews { news: Some(news) }
}

pub(crate) fn from_wire(wire: v1::SyncNews) -> Result<SyncNews, DecodeError> {
    let News::Mirrored(states) = wire.news.ok_or(DecodeError::UnknownMessage)?;
    let id = |id: u64| Some(id).filter(|id| *id != 0);
    Ok(SyncNews::Mirrored(MirroredStates {
        replica: states.replica,
        place: states.place,
        ids: GithubIds {
            owner: id(states.owner_id).map(OwnerId),
            repository: id(states.repository_id).map(RepositoryId),
            resource: None,
        },
    }))
}
