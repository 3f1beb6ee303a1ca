//! The steps of clients and of time in the machine.

use proptest::prelude::*;

pub(super) const REPOS: [&str; 3] = ["cat", "dog", "bird"];
pub(super) const VERSIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

/// One step; [`any_op`] defines how likely each is.
///
/// A session is given by a number, modulo the number of sessions.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Initialize {
        edge: usize,
        owner: usize,
        version: usize,
    },
    Ping {
        edge: usize,
        session: usize,
        foreign: bool,
    },
    Open {
        edge: usize,
        session: usize,
        foreign: bool,
    },
    Resume {
        edge: usize,
        session: usize,
    },
    HangUp {
        session: usize,
    },
    Subscribe {
        edge: usize,
        session: usize,
        repo: usize,
    },
    Unsubscribe {
        edge: usize,
        session: usize,
        which: usize,
    },
    Happen {
        repo: usize,
    },
    End {
        edge: usize,
        session: usize,
        foreign: bool,
    },
    Expire,
}

pub(super) fn any_op() -> impl Strategy<Value = Op> {
    let (edge, session) = (0..2_usize, 0..8_usize);
    let rarely = prop::bool::weighted(0.15);
    prop_oneof![
        2 => (edge.clone(), 0..2_usize, 0..VERSIONS.len())
            .prop_map(|(edge, owner, version)| Op::Initialize { edge, owner, version }),
        2 => (edge.clone(), session.clone(), rarely)
            .prop_map(|(edge, session, foreign)| Op::Ping { edge, session, foreign }),
        5 => (edge.clone(), session.clone(), rarely)
            .prop_map(|(edge, session, foreign)| Op::Open { edge, session, foreign }),
        3 => (edge.clone(), session.clone())
            .prop_map(|(edge, session)| Op::Resume { edge, session }),
        2 => session.clone().prop_map(|session| Op::HangUp { session }),
        5 => (edge.clone(), session.clone(), 0..REPOS.len())
            .prop_map(|(edge, session, repo)| Op::Subscribe { edge, session, repo }),
        2 => (edge.clone(), session.clone(), 0..4_usize)
            .prop_map(|(edge, session, which)| Op::Unsubscribe { edge, session, which }),
        8 => (0..REPOS.len()).prop_map(|repo| Op::Happen { repo }),
        2 => (edge, session, prop::bool::weighted(0.4))
            .prop_map(|(edge, session, foreign)| Op::End { edge, session, foreign }),
        1 => Just(Op::Expire),
    ]
}
