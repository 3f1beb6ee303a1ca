//! The contract suite on the session store. Each case has its own server, and "reopen"
//! means that this server is killed with SIGKILL and started again; it goes back when an earlier copy of its
//! append-only file is put in place meanwhile.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::ExitCode,
    sync::Arc,
};

use contract::{
    Abilities, BudgetFixture, Handles, Harness, Port, SessionPorts, SessionStoreFixture, SetBack,
    backend_hook, handle_opener, record_damager,
};
use ports::{Budget, RecordKey};
use store_redis::{RedisConfig, RedisSessionStore};
use testkit::servers::RedisServer;
use tokio::sync::Mutex;

struct RedisBackend;

async fn open(url: &str) -> anyhow::Result<Arc<dyn SessionPorts>> {
    Ok(Arc::new(
        RedisSessionStore::connect(RedisConfig::new(url)).await?,
    ))
}

async fn open_budget(url: &str) -> anyhow::Result<Arc<dyn Budget>> {
    Ok(Arc::new(
        RedisSessionStore::connect(RedisConfig::new(url)).await?,
    ))
}

/// Takes a record its owner.
fn damage(port: u16, key: &RecordKey) -> anyhow::Result<()> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    let id = key.id.as_str().replace('{', "%7b").replace('}', "%7d");
    let name = format!("forgewire:{}:{{{id}}}", key.collection.name());
    write!(connection, "HDEL {name} owner\r\n")?;
    let mut answer = [0; 4];
    connection.read_exact(&mut answer)?;
    anyhow::ensure!(answer == *b":1\r\n", "there is no record {name}");
    Ok(())
}

#[contract::async_trait]
impl Harness for RedisBackend {
    fn backend(&self) -> &'static str {
        "redis"
    }

    fn abilities(&self, port: Port) -> Option<Abilities> {
        match port {
            Port::SessionStore => Some(Abilities {
                durable: true,
                shared: true,
                goes_back: true,
                foreign_bytes: true,
                ..Abilities::default()
            }),
            Port::Budget => Some(Abilities {
                durable: true,
                shared: true,
                ..Abilities::default()
            }),
            Port::EventLog | Port::Bus | Port::ResourceReader => None,
        }
    }

    async fn session_store(&self) -> anyhow::Result<SessionStoreFixture> {
        let server = RedisServer::start()?;
        let url = server.url();
        let mut fixture = SessionStoreFixture::new(open(&url).await?);
        let server = Arc::new(Mutex::new(server));
        let (restarted, saved, restored) = (server.clone(), server.clone(), server.clone());
        let damaged = server.clone();
        fixture.damage = Some(record_damager(move |key| {
            let server = Arc::clone(&damaged);
            async move { damage(server.lock().await.port(), &key) }
        }));
        fixture.handles = Handles {
            peer: Some(handle_opener(move || {
                let url = url.clone();
                async move { open(&url).await }
            })),
            reopen: Some(handle_opener(move || {
                let server = Arc::clone(&restarted);
                async move {
                    let mut server = server.lock().await;
                    server.restart()?;
                    open(&server.url()).await
                }
            })),
            set_back: Some(SetBack {
                save: backend_hook(move || {
                    let server = Arc::clone(&saved);
                    async move { Ok(server.lock().await.save()?) }
                }),
                restore: handle_opener(move || {
                    let server = Arc::clone(&restored);
                    async move {
                        let mut server = server.lock().await;
                        server.restore()?;
                        open(&server.url()).await
                    }
                }),
            }),
            guard: Some(Box::new(server)),
        };
        Ok(fixture)
    }

    async fn budget(&self) -> anyhow::Result<BudgetFixture> {
        let server = RedisServer::start()?;
        let url = server.url();
        let mut fixture = BudgetFixture::new(open_budget(&url).await?);
        let server = Arc::new(Mutex::new(server));
        let restarted = Arc::clone(&server);
        fixture.handles.peer = Some(handle_opener(move || {
            let url = url.clone();
            async move { open_budget(&url).await }
        }));
        fixture.handles.reopen = Some(handle_opener(move || {
            let server = Arc::clone(&restarted);
            async move {
                let mut server = server.lock().await;
                server.restart()?;
                open_budget(&server.url()).await
            }
        }));
        fixture.handles.guard = Some(Box::new(server));
        Ok(fixture)
    }
}

fn main() -> ExitCode {
    contract::run(RedisBackend)
}
