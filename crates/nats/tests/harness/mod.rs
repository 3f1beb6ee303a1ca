//! The adapter for the contract suite. Each case has its own server, and "reopen" and "cut" mean that this
//! server is killed with SIGKILL and started again.

use std::sync::Arc;

use contract::{
    Abilities, BusFixture, ForeignBytes, HandleOpener, Handles, Harness, KeyedHandles,
    LogStoreFixture, Port, SetBackHooks, backend_hook, entry_planter, handle_opener,
};
use model::{RandomIds, SystemClock};
use nats::{BatchUse, BusConfig, JetStreamLog, LogConfig, NatsBus, NatsConfig, NatsConnection};
use ports::{Bus, LogStore};
use role_keys::{RoleKeys, RoleTrust};
use testkit::servers::NatsServer;
use tokio::sync::Mutex;

/// Small, so that the suite can overflow it.
const QUEUE_MESSAGES: usize = 64;

/// NATS, with a way to store concurrent appends.
pub(crate) struct Nats {
    /// The adapter's name in the suite.
    pub(crate) name: &'static str,
    pub(crate) batches: BatchUse,
}

type Server = Arc<Mutex<NatsServer>>;

const OLD_KEY: &str = "the old key, as long as a key has to be";
const NEW_KEY: &str = "the new key, as long as a key has to be";
const OTHER_KEY: &str = "another key, as long as a key has to be";

/// The trust of a process with these keys.
fn trust(keys: &[&str]) -> anyhow::Result<RoleTrust> {
    let keys = RoleKeys::read(keys.iter().copied(), &[])?;
    Ok(keys.map_or_else(RoleTrust::none, |keys| {
        RoleTrust::keyed(keys, None, Arc::new(SystemClock), &RandomIds)
    }))
}

async fn connect(url: &str, trust: RoleTrust) -> anyhow::Result<NatsConnection> {
    let config = NatsConfig {
        trust,
        ..NatsConfig::new(url)
    };
    Ok(NatsConnection::connect(config).await?)
}

async fn open_log(url: &str, batches: BatchUse) -> anyhow::Result<Arc<dyn LogStore>> {
    open_trusting_log(url.to_owned(), RoleTrust::none(), batches).await
}

async fn open_trusting_log(
    url: String,
    trust: RoleTrust,
    batches: BatchUse,
) -> anyhow::Result<Arc<dyn LogStore>> {
    // The suite's events have arbitrary receive times, so no event may expire by age.
    let config = LogConfig {
        creates_stream: true,
        retention: None,
        batches,
        ..LogConfig::default()
    };
    Ok(Arc::new(
        JetStreamLog::open(connect(&url, trust).await?, config).await?,
    ))
}

async fn open_bus(url: &str) -> anyhow::Result<NatsBus> {
    open_trusting_bus(url, RoleTrust::none()).await
}

async fn open_trusting_bus(url: &str, trust: RoleTrust) -> anyhow::Result<NatsBus> {
    let config = BusConfig {
        queue_messages: QUEUE_MESSAGES,
        ..BusConfig::default()
    };
    Ok(NatsBus::new(connect(url, trust).await?, config))
}

/// Handles of processes with and without keys.
async fn keyed<P: ?Sized, F: Future<Output = anyhow::Result<Arc<P>>>>(
    open: impl Fn(RoleTrust) -> F,
) -> anyhow::Result<KeyedHandles<P>> {
    let new = trust(&[NEW_KEY, OLD_KEY])?;
    let refusing = new.clone();
    Ok(KeyedHandles {
        new: open(new).await?,
        old: open(trust(&[OLD_KEY, NEW_KEY])?).await?,
        stranger: open(trust(&[OTHER_KEY])?).await?,
        unsigned: open(RoleTrust::none()).await?,
        refused: Box::new(move || refusing.refusals().map(|(_, _, count)| count).sum()),
    })
}

fn another_log(url: String, batches: BatchUse) -> HandleOpener<dyn LogStore> {
    handle_opener(move || {
        let url = url.clone();
        async move { open_log(&url, batches).await }
    })
}

fn restarted_log(server: Server, batches: BatchUse) -> HandleOpener<dyn LogStore> {
    handle_opener(move || {
        let server = Arc::clone(&server);
        async move {
            let mut server = server.lock().await;
            server.restart()?;
            open_log(&server.url(), batches).await
        }
    })
}

#[contract::async_trait]
impl Harness for Nats {
    fn backend(&self) -> &'static str {
        self.name
    }

    fn abilities(&self, port: Port) -> Option<Abilities> {
        match port {
            // Appends are stored together, the bus is the same.
            Port::Bus if self.batches == BatchUse::Always => None,
            Port::EventLog => Some(Abilities {
                durable: true,
                shared: true,
                restorable: true,
                foreign_bytes: true,
                authenticating: true,
                ..Abilities::default()
            }),
            Port::Bus => Some(Abilities {
                durable: false,
                shared: true,
                restorable: false,
                reconnecting: true,
                foreign_bytes: true,
                authenticating: true,
                ..Abilities::default()
            }),
            Port::SessionStore | Port::ResourceReader | Port::Budget => None,
        }
    }

    async fn log_store(&self) -> anyhow::Result<LogStoreFixture> {
        let server = NatsServer::start()?;
        let (url, batches) = (server.url(), self.batches);
        let log = open_log(&url, batches).await?;
        let raw = async_nats::jetstream::new(async_nats::connect(&url).await?);
        let plant = entry_planter(move |bytes| {
            let (raw, name) = (raw.clone(), contract::unique_name());
            async move {
                let stored = raw.publish(format!("forgewire.events.{name}"), bytes);
                stored.await?.await?;
                Ok(())
            }
        });
        let keyed = keyed(|trust| open_trusting_log(url.clone(), trust, batches)).await?;
        let server: Server = Arc::new(Mutex::new(server));
        let (save, restore) = (Arc::clone(&server), Arc::clone(&server));
        let set_back = SetBackHooks {
            save: backend_hook(move || {
                let server = Arc::clone(&save);
                async move { Ok(server.lock().await.save()?) }
            }),
            restore: backend_hook(move || {
                let server = Arc::clone(&restore);
                async move { Ok(server.lock().await.put_back()?) }
            }),
        };
        let handles = Handles {
            peer: Some(another_log(url, batches)),
            reopen: Some(restarted_log(Arc::clone(&server), batches)),
            guard: Some(Box::new(server)),
            ..Handles::default()
        };
        Ok(LogStoreFixture {
            store: log,
            set_back: Some(set_back),
            plant: Some(plant),
            keyed: Some(keyed),
            handles,
        })
    }

    async fn bus(&self) -> anyhow::Result<BusFixture> {
        let server = NatsServer::start()?;
        let url = server.url();
        let bus = open_bus(&url).await?;
        let raw = async_nats::connect(&url).await?;
        let server: Server = Arc::new(Mutex::new(server));
        let mut fixture = BusFixture::new(Arc::new(bus.clone()), QUEUE_MESSAGES);
        let keyed_url = url.clone();
        let open = move |trust| {
            let url = keyed_url.clone();
            async move { Ok(Arc::new(open_trusting_bus(&url, trust).await?) as Arc<dyn Bus>) }
        };
        fixture.keyed = Some(keyed(open).await?);
        let counted = bus.clone();
        fixture.foreign = Some(ForeignBytes {
            inject: Box::new(move |topic, bytes| {
                let (raw, subject) = (raw.clone(), bus.subject(&topic));
                Box::pin(async move {
                    raw.publish(subject, bytes).await?;
                    Ok(raw.flush().await?)
                })
            }),
            dropped: Box::new(move || counted.undecodable_messages()),
        });
        let cut = Arc::clone(&server);
        fixture.cut = Some(backend_hook(move || {
            let server = Arc::clone(&cut);
            async move { Ok(server.lock().await.restart()?) }
        }));
        fixture.handles.guard = Some(Box::new(server));
        fixture.handles.peer = Some(handle_opener(move || {
            let url = url.clone();
            async move { Ok(Arc::new(open_bus(&url).await?) as Arc<dyn Bus>) }
        }));
        Ok(fixture)
    }
}
