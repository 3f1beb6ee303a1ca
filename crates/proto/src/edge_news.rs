//! Conversion of the edges' messages between `ports` and protobuf.

use model::{PrincipalId, Sequence, SessionId, StreamId, SubscriptionId, TaskId};
use ports::{EdgeName, EdgeNews, ListChanges};
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
        EdgeNews::EdgePresent {
            edge,
            is_new,
            leaves,
        } => News::EdgePresent(v1::EdgePresent {
            edge: edge.to_string(),
            is_new: *is_new,
            leaves: *leaves,
        }),
        EdgeNews::EdgesAsked {
            edge,
            question,
            body,
        } => News::EdgesAsked(v1::EdgesAsked {
            edge: edge.to_string(),
            question: *question,
            body: body.clone(),
        }),
        EdgeNews::EdgeAnswered {
            edge,
            asker,
            question,
            body,
        } => News::EdgeAnswered(v1::EdgeAnswered {
            edge: edge.to_string(),
            asker: asker.to_string(),
            question: *question,
            body: body.clone(),
        }),
        EdgeNews::SubscriptionsChanged {
            owner,
            subscription,
        } => News::SubscriptionsChanged(v1::SubscriptionsChanged {
            owner: owner.to_string(),
            subscription: subscription
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
        }),
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
            owner: owner(&news.owner)?,
            task: TaskId::new(&news.task_id).map_err(|_| DecodeError::Field("task_id"))?,
        },
        News::MessagesDelivered(news) => EdgeNews::MessagesDelivered {
            session: session(&news.session_id)?,
            through: Sequence(news.through),
        },
        News::EdgePresent(news) => EdgeNews::EdgePresent {
            edge: edge(&news.edge, "edge")?,
            is_new: news.is_new,
            leaves: news.leaves,
        },
        News::EdgesAsked(news) => EdgeNews::EdgesAsked {
            edge: edge(&news.edge, "edge")?,
            question: news.question,
            body: news.body,
        },
        News::EdgeAnswered(news) => EdgeNews::EdgeAnswered {
            edge: edge(&news.edge, "edge")?,
            asker: edge(&news.asker, "asker")?,
            question: news.question,
            body: news.body,
        },
        News::SubscriptionsChanged(news) => EdgeNews::SubscriptionsChanged {
            owner: owner(&news.owner)?,
            subscription: match &*news.subscription {
                "" => None,
                id => {
                    Some(SubscriptionId::new(id).map_err(|_| DecodeError::Field("subscription"))?)
                }
            },
        },
    })
}

fn owner(id: &str) -> Result<PrincipalId, DecodeError> {
    PrincipalId::new(id).map_err(|_| DecodeError::Field("owner"))
}

fn edge(name: &str, field: &'static str) -> Result<EdgeName, DecodeError> {
    EdgeName::new(name).map_err(|_| DecodeError::Field(field))
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
