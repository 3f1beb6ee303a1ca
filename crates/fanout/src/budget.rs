//! The comparisons that the open streams of an edge, and the calls that wait for an event, may need for one
//! event: a share for each, bounded for each principal and in all.

use std::{collections::HashMap, fmt, sync::Arc};

use model::PrincipalId;
use parking_lot::Mutex;

use crate::limits::{MAX_EDGE_COST, MAX_PRINCIPAL_COST};

/// The bound that a stream, or a change of its interest, would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchBound {
    /// The bound of one principal.
    Principal,
    /// The bound of the edge.
    Edge,
}

/// The bound, for the client that would exceed it.
impl fmt::Display for MatchBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, bound) = match self {
            Self::Principal => (
                "your open streams and waiting calls on this edge",
                MAX_PRINCIPAL_COST,
            ),
            Self::Edge => (
                "all open streams and waiting calls on this edge",
                MAX_EDGE_COST,
            ),
        };
        write!(
            f,
            "the filters of {whose} may have at most {bound} fields and tags together; use fewer filters, or \
             end a subscription first"
        )
    }
}

/// The shares of all open streams, in comparisons per event ([`CompiledFilter::cost`](model::CompiledFilter::cost)).
#[derive(Debug, Default)]
pub(crate) struct MatchBudget(Mutex<MatchCosts>);

#[derive(Debug, Default)]
struct MatchCosts {
    total: usize,
    /// Principals without a stream have no entry.
    principals: HashMap<PrincipalId, usize>,
}

impl MatchCosts {
    /// Whether a principal may take `more`. Without authentication all clients are one principal, which has
    /// only the edge's bound.
    fn check(&self, principal: &PrincipalId, more: usize) -> Result<(), MatchBound> {
        let own = self.principals.get(principal).copied().unwrap_or_default();
        if own + more > MAX_PRINCIPAL_COST && *principal != PrincipalId::anonymous() {
            return Err(MatchBound::Principal);
        }
        match self.total + more > MAX_EDGE_COST {
            true => Err(MatchBound::Edge),
            false => Ok(()),
        }
    }

    fn add(&mut self, principal: &PrincipalId, cost: usize) {
        self.total += cost;
        *self.principals.entry(principal.clone()).or_default() += cost;
    }

    fn subtract(&mut self, principal: &PrincipalId, cost: usize) {
        self.total -= cost;
        if let Some(own) = self.principals.get_mut(principal) {
            *own -= cost;
            if *own == 0 {
                self.principals.remove(principal);
            }
        }
    }
}

impl MatchBudget {
    /// Whether a principal may have filters with this cost in addition to those of its open streams.
    pub(crate) fn check(&self, principal: &PrincipalId, more: usize) -> Result<(), MatchBound> {
        self.0.lock().check(principal, more)
    }

    /// Takes a share for a stream or a call.
    pub(crate) fn take(
        self: &Arc<Self>,
        principal: &PrincipalId,
        cost: usize,
    ) -> Result<MatchShare, MatchBound> {
        let mut costs = self.0.lock();
        costs.check(principal, cost)?;
        costs.add(principal, cost);
        Ok(MatchShare {
            budget: Arc::clone(self),
            principal: principal.clone(),
            cost,
        })
    }

    /// The cost of all open streams.
    pub(crate) fn total(&self) -> usize {
        self.0.lock().total
    }
}

/// The share of one stream, or of one call that waits for an event; given back when it is dropped.
#[derive(Debug)]
pub struct MatchShare {
    budget: Arc<MatchBudget>,
    principal: PrincipalId,
    cost: usize,
}

impl MatchShare {
    /// Changes the share; a refusal changes nothing. A smaller one is never refused.
    pub(crate) fn change(&mut self, cost: usize) -> Result<(), MatchBound> {
        let mut costs = self.budget.0.lock();
        if cost > self.cost {
            costs.check(&self.principal, cost - self.cost)?;
        }
        costs.add(&self.principal, cost);
        costs.subtract(&self.principal, self.cost);
        self.cost = cost;
        Ok(())
    }
}

impl Drop for MatchShare {
    fn drop(&mut self) {
        self.budget.0.lock().subtract(&self.principal, self.cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_refused_at_its_bound_and_others_are_not() {
        let budget = Arc::new(MatchBudget::default());
        let [alice, bob] = ["alice", "bob"].map(|name| PrincipalId::new(name).unwrap());
        let mut first = budget.take(&alice, MAX_PRINCIPAL_COST - 1).unwrap();
        let second = budget.take(&alice, 1).unwrap();
        assert_eq!(budget.take(&alice, 1).err(), Some(MatchBound::Principal));
        assert_eq!(first.change(MAX_PRINCIPAL_COST), Err(MatchBound::Principal));
        assert!(budget.take(&bob, MAX_PRINCIPAL_COST).is_ok());
        first.change(5).unwrap();
        assert_eq!(budget.total(), 6);
        drop((first, second));
        assert_eq!(budget.total(), 0);
        assert!(budget.0.lock().principals.is_empty());
    }

    #[test]
    fn without_authentication_only_the_edge_has_a_bound() {
        let budget = Arc::new(MatchBudget::default());
        let anonymous = PrincipalId::anonymous();
        let most = budget.take(&anonymous, MAX_EDGE_COST).unwrap();
        assert_eq!(budget.take(&anonymous, 1).err(), Some(MatchBound::Edge));
        drop(most);
        assert_eq!(budget.check(&anonymous, MAX_EDGE_COST), Ok(()));
    }
}
