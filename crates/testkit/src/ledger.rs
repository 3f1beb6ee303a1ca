//! The ledger of a run: the events that were sent and acknowledged, and the events that each client
//! received.
//!
//! The ledger balances when every client has every acknowledged event exactly once, no event that
//! was never sent, and the events of one resource in the order in which they happened. "Happened
//! before" is strict: event A precedes B if A was acknowledged before B was sent. Two deliveries in
//! flight at the same time may arrive in either order.
//!
//! An event that was sent and not acknowledged may or may not arrive: the sender may have died
//! between the store's commit and its answer.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Number of examples that a report lists for each kind of difference.
const EXAMPLES_SHOWN: usize = 10;

/// One event in the ledger.
#[derive(Debug, Clone)]
struct Entry {
    resource: String,
    label: String,
    sent_at: u64,
    acknowledged_at: Option<u64>,
}

#[derive(Debug, Default)]
struct Client {
    joined_at: u64,
    received: Vec<String>,
}

#[derive(Debug, Default)]
struct Books {
    now: u64,
    events: HashMap<String, Entry>,
    clients: BTreeMap<String, Client>,
}

impl Books {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

/// The ledger of a run. Share it by reference or in an `Arc`; every method takes `&self`.
#[derive(Debug, Default)]
pub struct DeliveryLedger {
    books: Mutex<Books>,
}

impl DeliveryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // A panicking test thread leaves complete entries behind, never partial ones.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that an event is about to be sent. Call it before the request is sent. `label` is
    /// for human readers, for instance `issues.labeled #7`. A second call for the same id (a
    /// redelivery) changes nothing.
    pub fn record_sending(&self, event_id: &str, resource_id: &str, label: &str) {
        let mut books = self.books();
        let sent_at = books.tick();
        books
            .events
            .entry(event_id.to_owned())
            .or_insert_with(|| Entry {
                resource: resource_id.to_owned(),
                label: label.to_owned(),
                sent_at,
                acknowledged_at: None,
            });
    }

    /// Records that a delivery of the fake GitHub is about to be sent: the event's id is the GUID.
    pub fn record_sending_delivery(&self, delivery: &crate::fake_github::Delivery) {
        if let Some(expected) = &delivery.expected {
            let number = expected
                .number
                .map(|n| format!(" #{n}"))
                .unwrap_or_default();
            let label = format!("{}.{}{number}", delivery.event, expected.action);
            self.record_sending(delivery.guid.as_str(), &expected.resource_id, &label);
        }
    }

    /// Records that the receiver took responsibility for an event. Call it after the answer has
    /// arrived. An acknowledged event that was never recorded as sent counts as sent now.
    pub fn record_acknowledged(&self, event_id: &str) {
        let mut books = self.books();
        let now = books.tick();
        let entry = books
            .events
            .entry(event_id.to_owned())
            .or_insert_with(|| Entry {
                resource: event_id.to_owned(),
                label: "(not booked as sent)".to_owned(),
                sent_at: now,
                acknowledged_at: None,
            });
        entry.acknowledged_at.get_or_insert(now);
    }

    /// Records that a client joined: events acknowledged before this call are not owed to it. A
    /// client without this call is owed all events. A second call changes nothing.
    pub fn record_joined(&self, client: &str) {
        let mut books = self.books();
        let joined_at = books.tick();
        books
            .clients
            .entry(client.to_owned())
            .or_insert_with(|| Client {
                joined_at,
                received: Vec::new(),
            });
    }

    /// Records that a client received an event.
    pub fn record_received(&self, client: &str, event_id: &str) {
        let mut books = self.books();
        books
            .clients
            .entry(client.to_owned())
            .or_default()
            .received
            .push(event_id.to_owned());
    }

    /// Number of events that were acknowledged.
    #[must_use]
    pub fn acknowledged_count(&self) -> usize {
        self.books()
            .events
            .values()
            .filter(|e| e.acknowledged_at.is_some())
            .count()
    }

    /// The acknowledged events that are owed to the client and have not arrived yet, in the order
    /// of their acknowledgement; for waiting until the ledger can be balanced.
    #[must_use]
    pub fn outstanding(&self, client: &str) -> Vec<String> {
        let books = self.books();
        let empty = Client::default();
        missing(&books, books.clients.get(client).unwrap_or(&empty))
    }

    /// Whether each of these clients has received all events owed to it.
    #[must_use]
    pub fn is_settled(&self, clients: &[&str]) -> bool {
        clients
            .iter()
            .all(|client| self.outstanding(client).is_empty())
    }

    /// Balances the ledger: checks every client that joined or received an event.
    ///
    /// # Errors
    /// All differences, by client, as readable text.
    pub fn balance(&self) -> Result<(), Imbalance> {
        let books = self.books();
        let accounts: Vec<ClientAccount> = books
            .clients
            .iter()
            .map(|(name, client)| audit(&books, name, client))
            .filter(|account| !account.is_clean())
            .collect();
        let acknowledged = books
            .events
            .values()
            .filter(|e| e.acknowledged_at.is_some())
            .count();
        if accounts.is_empty() {
            return Ok(());
        }
        Err(Imbalance {
            sent: books.events.len(),
            acknowledged,
            accounts,
        })
    }
}

/// The differences of one client's account; each line names an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAccount {
    /// Name of the client.
    pub client: String,
    /// Number of events it received.
    pub received: usize,
    /// Acknowledged, and not received.
    pub missing: Vec<String>,
    /// Received more than once.
    pub duplicates: Vec<String>,
    /// Received, and never sent.
    pub unknown: Vec<String>,
    /// Received after a later event of the same resource.
    pub out_of_order: Vec<String>,
}

impl ClientAccount {
    fn is_clean(&self) -> bool {
        [
            &self.missing,
            &self.duplicates,
            &self.unknown,
            &self.out_of_order,
        ]
        .iter()
        .all(|list| list.is_empty())
    }
}

/// The acknowledged and the delivered events differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imbalance {
    /// Number of events that were sent.
    pub sent: usize,
    /// Number of them that were acknowledged.
    pub acknowledged: usize,
    /// The clients whose accounts do not balance.
    pub accounts: Vec<ClientAccount>,
}

impl std::error::Error for Imbalance {}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, acknowledged) = (self.sent, self.acknowledged);
        writeln!(
            f,
            "acknowledged and delivered differ ({sent} sent, {acknowledged} acknowledged):"
        )?;
        for account in &self.accounts {
            writeln!(
                f,
                "  client {}: received {}",
                account.client, account.received
            )?;
            for (what, list) in [
                ("missing", &account.missing),
                ("more than once", &account.duplicates),
                ("never sent", &account.unknown),
                ("out of order", &account.out_of_order),
            ] {
                if list.is_empty() {
                    continue;
                }
                writeln!(f, "    {} {what}:", list.len())?;
                for line in list.iter().take(EXAMPLES_SHOWN) {
                    writeln!(f, "      {line}")?;
                }
                if list.len() > EXAMPLES_SHOWN {
                    writeln!(f, "      … and {} more", list.len() - EXAMPLES_SHOWN)?;
                }
            }
        }
        Ok(())
    }
}

fn missing(books: &Books, client: &Client) -> Vec<String> {
    let received: std::collections::HashSet<&str> =
        client.received.iter().map(String::as_str).collect();
    let mut owed: Vec<(u64, &String)> = books
        .events
        .iter()
        .filter_map(|(id, entry)| Some((entry.acknowledged_at?, id)))
        .filter(|(at, id)| *at > client.joined_at && !received.contains(id.as_str()))
        .collect();
    owed.sort_unstable();
    owed.into_iter().map(|(_, id)| id.clone()).collect()
}

fn describe(books: &Books, id: &str) -> String {
    match books.events.get(id) {
        None => id.to_owned(),
        Some(entry) => {
            let acknowledged = match entry.acknowledged_at {
                Some(at) => format!("acknowledged at step {at}"),
                None => "never acknowledged".to_owned(),
            };
            let (label, resource, sent) = (&entry.label, &entry.resource, entry.sent_at);
            format!("{id} {label} ({resource}; sent at step {sent}, {acknowledged})")
        }
    }
}

fn audit(books: &Books, name: &str, client: &Client) -> ClientAccount {
    let mut account = ClientAccount {
        client: name.to_owned(),
        received: client.received.len(),
        missing: missing(books, client)
            .iter()
            .map(|id| describe(books, id))
            .collect(),
        duplicates: Vec::new(),
        unknown: Vec::new(),
        out_of_order: Vec::new(),
    };
    let mut positions: HashMap<&str, usize> = HashMap::new();
    // Per resource, the event that was sent last among those received so far.
    let mut latest: HashMap<&str, (u64, &str)> = HashMap::new();
    for (position, id) in client.received.iter().enumerate() {
        let Some(entry) = books.events.get(id) else {
            account.unknown.push(format!("{id} (position {position})"));
            continue;
        };
        if let Some(first) = positions.insert(id, position) {
            let line = format!(
                "{} at positions {first} and {position}",
                describe(books, id)
            );
            account.duplicates.push(line);
            continue;
        }
        let newest = latest.entry(&entry.resource).or_insert((entry.sent_at, id));
        if entry.acknowledged_at.is_some_and(|at| at < newest.0) {
            let line = format!(
                "{} came after {}",
                describe(books, id),
                describe(books, newest.1)
            );
            account.out_of_order.push(line);
        }
        *newest = (*newest).max((entry.sent_at, id));
    }
    account
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(ledger: &DeliveryLedger, id: &str, resource: &str) {
        ledger.record_sending(id, resource, "issues.edited #1");
        ledger.record_acknowledged(id);
    }

    fn account(ledger: &DeliveryLedger) -> ClientAccount {
        ledger.balance().unwrap_err().accounts.remove(0)
    }

    #[test]
    fn books_balance_when_everybody_has_everything_once_and_in_order() {
        let ledger = DeliveryLedger::new();
        ledger.record_joined("edge-1");
        for id in ["a", "b", "c"] {
            send(&ledger, id, "r");
        }
        assert_eq!(ledger.outstanding("edge-1"), ["a", "b", "c"]);
        for id in ["a", "b", "c"] {
            ledger.record_received("edge-1", id);
        }
        assert!(ledger.is_settled(&["edge-1"]) && !ledger.is_settled(&["edge-2"]));
        assert_eq!(ledger.acknowledged_count(), 3);
        ledger.balance().unwrap();
    }

    #[test]
    fn a_missing_a_doubled_and_an_invented_event_are_named() {
        let ledger = DeliveryLedger::new();
        ledger.record_joined("c");
        send(&ledger, "a", "r");
        send(&ledger, "b", "r");
        for id in ["b", "b", "x"] {
            ledger.record_received("c", id);
        }
        let found = account(&ledger);
        assert!(
            found.missing[0].starts_with("a issues.edited #1 (r;"),
            "{found:?}"
        );
        assert!(
            found.duplicates[0].contains("positions 0 and 1"),
            "{found:?}"
        );
        assert!(found.unknown[0].starts_with("x "), "{found:?}");
        assert!(found.out_of_order.is_empty());
        let text = ledger.balance().unwrap_err().to_string();
        assert!(
            text.contains("2 sent, 2 acknowledged") && text.contains("1 missing:"),
            "{text}"
        );
    }

    #[test]
    fn order_is_owed_per_resource_and_only_where_there_was_one() {
        let ledger = DeliveryLedger::new();
        send(&ledger, "a", "r");
        send(&ledger, "b", "r");
        send(&ledger, "other", "q");
        // Two in flight at once: their order is not defined.
        ledger.record_sending("p1", "p", "");
        ledger.record_sending("p2", "p", "");
        ledger.record_acknowledged("p1");
        ledger.record_acknowledged("p2");
        for id in ["other", "p2", "p1", "b", "a"] {
            ledger.record_received("c", id);
        }
        let found = account(&ledger);
        assert_eq!(found.out_of_order.len(), 1);
        assert!(
            found.out_of_order[0].starts_with("a ") && found.out_of_order[0].contains("after b ")
        );
    }

    #[test]
    fn an_unacknowledged_event_may_arrive_or_not_and_late_comers_owe_no_history() {
        let ledger = DeliveryLedger::new();
        send(&ledger, "early", "r");
        ledger.record_joined("late");
        ledger.record_sending("maybe", "r", "");
        send(&ledger, "a", "r");
        ledger.record_received("late", "a");
        ledger.balance().unwrap();
        let ledger = DeliveryLedger::new();
        ledger.record_sending("maybe", "r", "");
        ledger.record_received("c", "maybe");
        ledger.balance().unwrap();
    }

    #[test]
    fn long_lists_are_cut() {
        let ledger = DeliveryLedger::new();
        ledger.record_joined("c");
        for n in 0..50 {
            send(&ledger, &format!("e{n}"), "r");
        }
        let text = ledger.balance().unwrap_err().to_string();
        assert!(
            text.contains("50 missing") && text.contains("… and 40 more"),
            "{text}"
        );
        assert!(text.lines().count() < 20);
    }
}
