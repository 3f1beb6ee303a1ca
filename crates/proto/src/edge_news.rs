//! Conversion of the edges' messages between `ports` and protobuf.

use model::{PrincipalId, Sequence, SessionId, StreamId, TaskId};
use ports::{EdgeNews, ListChanges};
use v1::edge_news::News;

use crate::{DecodeError, v1};

pub(crate) fn to_wire(news: &EdgeNews) -> v1::EdgeNews {
    let news = match news {
        EdgeNews::SessionChanged(session) => News::SessionChanged(v1::SessionChanged {
            session_id: session.to_string(),
        }),
        EdgeNews::SessionEnded(session) => News::SessionEnded(v1::SessionEnded {
            session_id: session.to_string(),
        }),
        EdgeNews::StreamReplaced {
            session,
            current_tag,
        } => News::StreamReplaced(v1::StreamReplaced {
            session_id: session.to_string(),
            current_tag: *current_tag,
        }),
        EdgeNews::MailboxChanged { session, stream } => News::MailboxChanged(v1::MailboxChanged {
            session_id: session.to_string(),
            stream_id: stream.to_string(),
        }),
        EdgeNews::RequestCancelled { session, request } => {
            News::RequestCancelled(v1::RequestCancelled {
                session_id: session.to_string(),
                request_id: request.clone(),
            })
        }
        EdgeNews::ListsChanged(lists) => News::ListsChanged(v1::ListsChanged {
            tools: lists.tools,
            prompts: lists.prompts,
            resources: lists.resources,
        }),
        EdgeNews::TaskChanged { owner, task } => News::TaskChanged(v1::TaskChanged {
            owner: owner.to_string(),
            task_id: task.to_string(),
        }),
        EdgeNews::MessagesDelivered { session, through } => {
            News::MessagesDelivered(v1::MessagesDelivered {
                session_id: session.to_string(),
                through: through.0,
            })
        }
    };
    v1::EdgeNews { news: Some(news) }
}

pub(crate) fn from_wire(wire: v1::EdgeNews) -> Result<EdgeNews, DecodeError> {
    Ok(match wire.news.ok_or(DecodeError::UnknownMessage)? {
        News::SessionChanged(news) => EdgeNews::SessionChanged(session(&news.session_id)?),
        News::SessionEnded(news) => EdgeNews::SessionEnded(session(&news.session_id)?),
        News::StreamReplaced(news) => EdgeNews::StreamReplaced {
            session: session(&news.session_id)?,
            current_tag: news.current_tag,
        },
        News::MailboxChanged(news) => EdgeNews::MailboxChanged {
            session: session(&news.session_id)?,
            stream: StreamId::new(&news.stream_id).map_err(|_| DecodeError::Field("stream_id"))?,
        },
        News::RequestCancelled(news) => EdgeNews::RequestCancelled {
            session: session(&news.session_id)?,
            request: bounded(news.request_id)?,
        },
        News::ListsChanged(news) => EdgeNews::ListsChanged(ListChanges {
            tools: news.tools,
            prompts: news.prompts,
            resources: news.resources,
        }),
        News::TaskChanged(news) => EdgeNews::TaskChanged {
            owner: PrincipalId::new(&news.owner).map_err(|_| DecodeError::Field("owner"))?,
            task: TaskId::new(&news.task_id).map_err(|_| DecodeError::Field("task_id"))?,
        },
        News::MessagesDelivered(news) => EdgeNews::MessagesDelivered {
            session: session(&news.session_id)?,
            through: Sequence(news.through),
        },
    })
}

fn session(id: &str) -> Result<SessionId, DecodeError> {
    SessionId::new(id).map_err(|_| DecodeError::Field("session_id"))
}

/// A JSON-RPC id has up to 256 bytes; in JSON text every one of them may be escaped.
fn bounded(request_id: String) -> Result<String, DecodeError> {
    const MAX_BYTES: usize = 256 * 6 + 2;
    if request_id.len() > MAX_BYTES {
        return Err(DecodeError::Field("request_id"));
    }
    Ok(request_id)
}
