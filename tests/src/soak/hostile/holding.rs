//! Detects whether an edge still holds a connection. A client that does not read cannot detect this
//! on its own end: with its window closed, not even the end of the stream arrives.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use tokio::{sync::watch, task::JoinSet};

/// Interval at which the kernel's table is read: with thousands of connections a read takes
/// milliseconds.
const EVERY: Duration = Duration::from_secs(2);
/// `TCP_ESTABLISHED` in the kernel's table.
const ESTABLISHED: &str = "01";

/// Pairs of ports, the holder's first.
type Pairs = HashSet<(u16, u16)>;

/// The established loopback connections, as of a moment ago.
#[derive(Debug, Clone)]
pub(super) struct Holding {
    /// The number of reads so far, and the content of the table at the last one.
    table: watch::Receiver<(u64, Pairs)>,
}

impl Holding {
    /// Reads the table repeatedly, in a task.
    pub(super) fn watch(tasks: &mut JoinSet<()>) -> Self {
        let (send, table) = watch::channel((0, Pairs::new()));
        tasks.spawn(async move {
            loop {
                let read = tokio::task::spawn_blocking(|| {
                    std::fs::read_to_string("/proc/net/tcp").unwrap_or_default()
                });
                let pairs = pairs(&read.await.unwrap_or_default());
                send.send_modify(|table| *table = (table.0 + 1, pairs));
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { table }
    }

    /// Returns once the edge no longer holds the connection to our address.
    pub(super) async fn wait_until_released(&self, edge: SocketAddr, ours: SocketAddr) {
        let mut table = self.table.clone();
        // The latest reading, or one in progress, may be older than the connection.
        let from = table.borrow().0 + 2;
        let pair = (edge.port(), ours.port());
        let gone = table.wait_for(|(read, pairs)| *read >= from && !pairs.contains(&pair));
        if gone.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The established pairs of a table like `/proc/net/tcp`.
fn pairs(table: &str) -> Pairs {
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let pair = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        let pair = (port(local)?, port(remote)?);
        (state == ESTABLISHED).then_some(pair)
    };
    table.lines().skip(1).filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_held_until_its_other_end_closes_it() {
        let mut tasks = JoinSet::new();
        let holding = Holding::watch(&mut tasks);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edge = listener.local_addr().unwrap();
        let client = tokio::net::TcpStream::connect(edge).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let ours = client.local_addr().unwrap();
        let waiting = tokio::spawn(async move { holding.wait_until_released(edge, ours).await });
        tokio::time::sleep(EVERY * 3).await;
        assert!(!waiting.is_finished());
        drop(server);
        tokio::time::timeout(EVERY * 5, waiting)
            .await
            .unwrap()
            .unwrap();
        drop(client);
    }
}
