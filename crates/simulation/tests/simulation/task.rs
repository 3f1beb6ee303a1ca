//! Tasks (MCP 2026-07-28): work that goes on at one edge, and that another must not give up while it does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    client::ClientWork,
    edge::EdgeConnection,
    ledger::Ledger,
    link::{NodeLife, Outages},
};

/// Longer than a lease: an edge that is gone for that long has lost its tasks.
pub(crate) const LEASE: Duration = Duration::from_secs(70);
const VERSION: &str = "2026-07-28";

/// The tasks of one history.
pub(crate) struct SimulatedTasks {
    ledger: Arc<Ledger>,
    store: Arc<Outages>,
    tasks: Arc<Mutex<Vec<StartedTask>>>,
    /// Number of times that the store went back.
    set_backs: Arc<AtomicU64>,
    works: Vec<ClientWork>,
}

#[derive(Clone)]
struct StartedTask {
    id: String,
    edge: NodeLife,
    /// The store went back: it may have lost the task, or the renewals of its lease.
    is_excused: bool,
}

impl SimulatedTasks {
    pub(crate) fn new(ledger: &Arc<Ledger>, store: &Arc<Outages>) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            store: Arc::clone(store),
            tasks: Arc::default(),
            set_backs: Arc::default(),
            works: Vec::new(),
        }
    }

    /// Starts a task at an edge: it waits for an event that never happens.
    pub(crate) fn start(&mut self, number: usize, edge: NodeLife, connection: EdgeConnection) {
        let (ledger, tasks) = (Arc::clone(&self.ledger), Arc::clone(&self.tasks));
        let set_backs = Arc::clone(&self.set_backs);
        let before = set_backs.load(Ordering::Relaxed);
        self.begin(number, async move {
            let arguments = json!({ "filters": [{ "repo": "nowhere" }] });
            let params = json!({ "name": "wait_for_events", "arguments": arguments });
            let answer = call(&connection, "tools/call", "wait_for_events", params).await;
            if let Some(id) = answer["result"]["taskId"].as_str() {
                ledger.tell(format!("task {id} begins at edge {number}"));
                let id = id.to_owned();
                // The store may have gone back between the call and its answer.
                let is_excused = set_backs.load(Ordering::Relaxed) > before;
                tasks.lock().push(StartedTask {
                    id,
                    edge,
                    is_excused,
                });
            }
        });
    }

    /// Asks an edge for the state of a task.
    pub(crate) fn ask(&mut self, choice: usize, number: usize, connection: EdgeConnection) {
        let count = self.tasks.lock().len();
        if count > 0 {
            let asking = self.asking(choice % count, connection, false);
            self.begin(number, asking);
        }
    }

    /// The store went back.
    pub(crate) fn excuse(&self) {
        self.set_backs.fetch_add(1, Ordering::Relaxed);
        for task in self.tasks.lock().iter_mut() {
            task.is_excused = true;
        }
    }

    /// An edge is gone, with all connections to it.
    pub(crate) fn lose(&mut self, edge: usize) {
        self.works.retain(|work| !work.is_on(Some(edge)));
    }

    /// Whether some task's edge is gone.
    pub(crate) fn has_orphans(&self) -> bool {
        self.tasks.lock().iter().any(|task| !task.edge.lives())
    }

    /// Asks for the state of every task: nobody works on those of edges that were gone for a lease.
    pub(crate) async fn settle(&self, connection: &EdgeConnection) {
        let count = self.tasks.lock().len();
        for choice in 0..count {
            self.asking(choice, connection.clone(), true).await;
        }
    }

    fn begin(&mut self, edge: usize, work: impl Future<Output = ()> + Send + 'static) {
        self.works.retain(|work| work.is_on(None));
        self.works.push(ClientWork::begin(edge, work));
    }

    fn asking(
        &self,
        choice: usize,
        connection: EdgeConnection,
        is_last: bool,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (ledger, store, tasks) = (
            Arc::clone(&self.ledger),
            Arc::clone(&self.store),
            Arc::clone(&self.tasks),
        );
        async move {
            let id = tasks.lock()[choice].id.clone();
            let answer = call(&connection, "tasks/get", &id, json!({ "taskId": id })).await;
            let task = tasks.lock()[choice].clone();
            let status = answer["result"]["status"].as_str().map(ToOwned::to_owned);
            ledger.tell(format!("task {id} is {status:?}"));
            let is_known = task.edge.lives() && store.recent(LEASE) < 2 && !task.is_excused;
            match status.as_deref() {
                Some("working") if is_last && !task.edge.lives() => {
                    ledger.accuse(format!("task {id} goes on, and its edge is gone"));
                }
                Some("working") => {}
                // The wait ends where events are gone, or when the log does not answer.
                Some("completed") => {}
                Some(status) if is_known => {
                    ledger.accuse(format!("task {id} is {status}, and its edge works on it"));
                }
                None if is_last && is_known => {
                    ledger.accuse(format!("task {id} has no state: {answer}"));
                }
                _ => {}
            }
        }
    }
}

async fn call(edge: &EdgeConnection, method: &str, name: &str, mut params: Value) -> Value {
    let extension = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": extension,
        "io.modelcontextprotocol/clientInfo": { "name": "simulated", "version": "1" },
    });
    let headers = [
        ("mcp-protocol-version", VERSION),
        ("mcp-method", method),
        ("mcp-name", name),
    ];
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    edge.post("/mcp", &headers, &body).await.body
}
