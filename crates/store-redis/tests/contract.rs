//! The contract suite on the session store. Each case has its own server, and "reopen"
//! means that this server is killed with SIGKILL and started again; it goes back when an earlier copy of its
//! append-only file is put in place meanwhile.

use std::{process::ExitCode, sync::Arc};

use contract::{
    Abilities, Handles, Harness, Port, SessionPorts, SessionStoreFixture, SetBack, backend_hook,
    handle_opener,
};
use store_redis::{RedisConfig, RedisSessionStore};
use testkit::servers::RedisServer;
use tokio::sync::Mutex;

struct RedisBackend;

async fn open(url: &str) -> anyhow::Result<Arc<dyn SessionPorts>> {
    Ok(Arc::new(
        RedisSessionStore::connect(RedisConfig::new(url)).await?,
    ))
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
}

fn main() -> ExitCode {
    contract::run(RedisBackend)
}
