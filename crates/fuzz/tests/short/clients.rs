//! The mutating client against a running system: whatever it sends, the server answers in its own words and in
//! time, and goes on.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use fuzz::client::{
    FuzzAnswer, FuzzListener, FuzzRequest, GivenOut, judge, mutated, valid_requests,
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use testkit::{
    cluster::{System, SystemKind},
    fake_github::{FakeGithub, WebhookSender, signature},
    mcp_client::{McpClient, ModernClient},
    raw_http::RawConnection,
    sse::{self, SseStream},
};
use tokio::{task::JoinSet, time::timeout};

use super::budget;

/// Number of requests if no time is given.
const REQUESTS: u64 = 3000;
/// Clients that send at the same time.
const CLIENTS: u64 = 4;
/// Requests of all clients until an honest client looks whether all is well, and new sessions are opened.
const ROUND: u64 = 200;
/// Time within which an answer begins.
const ANSWER: Duration = Duration::from_secs(10);
/// Time that an honest client allows.
const SOON: Duration = Duration::from_secs(15);
/// Bytes of an answer that are examined.
const KEPT_BYTES: usize = 256 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_anything_are_answered_and_break_nothing() -> Result<()> {
    let mut system = System::start(SystemKind::Embedded).await?;
    let outcome = send_all(&mut system).await;
    if outcome.is_err() {
        println!("{}", system.cluster().last_lines());
    }
    outcome?;
    system.stop().await
}

/// The requests to send: their seed, the first number, and an end by number or time.
struct Run {
    seed: u64,
    next: AtomicU64,
    end: u64,
    until: Option<Instant>,
}

impl Run {
    /// `FUZZ_REQUEST=seed:number` repeats one request; otherwise as the other targets.
    fn from_environment() -> Result<Self> {
        if let Ok(text) = std::env::var("FUZZ_REQUEST") {
            let (seed, number) = text
                .split_once(':')
                .context("FUZZ_REQUEST is seed:number")?;
            let number: u64 = number.parse()?;
            return Ok(Self {
                seed: seed.parse()?,
                next: AtomicU64::new(number),
                end: number + 1,
                until: None,
            });
        }
        let (budget, seed) = budget();
        let (end, until) = match budget {
            fuzz::engine::FuzzBudget::Inputs(_) => (REQUESTS, None),
            fuzz::engine::FuzzBudget::Time(time) => (u64::MAX, Some(Instant::now() + time)),
        };
        Ok(Self {
            seed,
            next: AtomicU64::new(0),
            end,
            until,
        })
    }

    fn is_over(&self) -> bool {
        let is_late = self.until.is_some_and(|until| Instant::now() > until);
        is_late || self.next.load(Ordering::SeqCst) >= self.end
    }
}

/// The addresses and the secret of the system.
struct Server {
    edge: SocketAddr,
    ingest: SocketAddr,
    secret: String,
}

async fn send_all(system: &mut System) -> Result<()> {
    let address = |url: &reqwest::Url| {
        let all = url.socket_addrs(|| None)?;
        all.into_iter().next().context("an address")
    };
    let server = Arc::new(Server {
        edge: address(&system.edges()[0])?,
        ingest: address(&system.ingests()[0])?,
        secret: system.secret().to_owned(),
    });
    let run = Arc::new(Run::from_environment()?);
    let mut github = FakeGithub::new(7, system.secret());
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    while !run.is_over() {
        let (given, _stream) = be_honest(system, &mut github).await?;
        let valid = Arc::new(valid_requests(&given));
        let last = (run.next.load(Ordering::SeqCst) + ROUND).min(run.end);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(send_some(
                Arc::clone(&run),
                last,
                Arc::clone(&server),
                Arc::clone(&valid),
            ));
        }
        while let Some(client) = clients.join_next().await {
            for status in client?? {
                *statuses.entry(status).or_default() += 1;
            }
        }
        run.next.store(last, Ordering::SeqCst);
        ensure!(
            system.cluster().process("forgewire")?.is_running(),
            "the process has ended"
        );
    }
    be_honest(system, &mut github).await?;
    no_panic_is_in_a_log(system.cluster().dir())?;
    println!("clients: {statuses:?}, random seed {}", run.seed);
    Ok(())
}

/// Sends requests up to a number; gives the statuses, 0 for no answer.
async fn send_some(
    run: Arc<Run>,
    last: u64,
    server: Arc<Server>,
    valid: Arc<Vec<FuzzRequest>>,
) -> Result<Vec<u16>> {
    let mut statuses = Vec::new();
    loop {
        let number = run.next.fetch_add(1, Ordering::SeqCst);
        if number >= last {
            return Ok(statuses);
        }
        let mut request = mutated(&valid, run.seed, number);
        if request.is_signed {
            let signature = signature(&server.secret, &request.body);
            request.set_header("X-Hub-Signature-256", &signature);
        }
        let answer = send(&server, &request).await;
        let broken = match &answer {
            Ok(answer) => judge(&request, answer.as_ref()).err(),
            Err(error) => Some(error.to_string()),
        };
        if let Some(rule) = broken {
            let bytes = request.bytes();
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(6000)]).into_owned();
            bail!(
                "{rule}\nrequest {seed}:{number}, {length} bytes; FUZZ_REQUEST={seed}:{number} sends it \
                 again:\n{shown}\nanswer: {}",
                answer.ok().flatten().map_or_else(String::new, |answer| {
                    format!(
                        "{}\n\n{}",
                        answer.head,
                        String::from_utf8_lossy(&answer.body)
                    )
                }),
                seed = run.seed,
                length = bytes.len(),
            );
        }
        statuses.push(answer?.map_or(0, |answer| answer.status));
    }
}

/// Sends a request on a connection of its own; `None` if the server closes it without an answer.
async fn send(server: &Server, request: &FuzzRequest) -> Result<Option<FuzzAnswer>> {
    let to = match request.listener {
        FuzzListener::Edge => server.edge,
        FuzzListener::Ingest => server.ingest,
    };
    let exchange = async {
        let mut connection = RawConnection::open(to).await?;
        // A server that has refused the head reads no further.
        let sent = connection.send(&request.bytes()).await.is_ok();
        if sent && !request.is_whole() {
            // Otherwise the server would wait for the rest.
            let _ = connection.finish().await;
        }
        let answer = match request.method.as_slice() {
            b"HEAD" => connection.head().await,
            _ => connection.answer(KEPT_BYTES).await,
        };
        anyhow::Ok(answer.ok())
    };
    let answer = timeout(ANSWER, exchange).await;
    let Ok(answer) = answer else {
        // A call that may wait does so; all others are answered at once.
        let waits = request.body.windows(11).any(|part| part == b"WaitSeconds");
        let waits = waits || request.body.windows(11).any(|part| part == b"waitSeconds");
        ensure!(waits, "no answer within {ANSWER:?}");
        return Ok(None);
    };
    Ok(answer?.map(|answer| FuzzAnswer {
        status: answer.status,
        head: answer.head,
        body: answer.body,
    }))
}

/// An honest client gets what it asks for; gives what the server gave out, and the stream of the HTTP+SSE
/// session, which ends with it.
async fn be_honest(system: &System, github: &mut FakeGithub) -> Result<(GivenOut, SseStream)> {
    let honest = async {
        let edge = &system.edges()[0];
        let delivery = github.about_one_issue(1).remove(0);
        let answer = WebhookSender::new()
            .send(&system.ingests()[0], &delivery)
            .await?;
        ensure!(answer.is_accepted(), "a delivery got {answer:?}");
        let (newer, older) = (
            McpClient::connect(edge).await?,
            McpClient::initialize(edge, "2025-03-26").await?,
        );
        let recent = newer
            .call_tool(edge, "get_recent_events", json!({ "limit": 1 }))
            .await?;
        let content = &recent["structuredContent"];
        ensure!(content["events"][0]["id"].is_string(), "no event: {recent}");
        let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        let wait = json!({ "name": "wait_for_events", "arguments": { "filters": [{ "owner": "nobody" }] } });
        let task = ModernClient::with_capabilities(tasks)
            .call(edge, "tools/call", wait)
            .await?;
        let subscribed = reqwest::Client::new()
            .post(edge.join("/events/subscribe")?)
            .json(&json!({ "clientId": "fuzz" }))
            .send()
            .await?;
        let subscribed: Value = subscribed.json().await?;
        let mut stream = sse::open(&edge.join("/sse")?, HeaderMap::new()).await?;
        let endpoint = stream.next_event(SOON).await?.data;
        let given = GivenOut {
            session: newer.session_id().context("a session")?.to_owned(),
            batch_session: older.session_id().context("a session")?.to_owned(),
            messages_path: endpoint.context("the endpoint")?,
            cursor: text(&content["cursor"]),
            task: text(&task["taskId"]),
            subscription: text(&subscribed["subscriptionId"]),
        };
        Ok((given, stream))
    };
    let given = timeout(SOON, honest).await;
    given
        .context("an honest client waits")?
        .context("an honest client")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn no_panic_is_in_a_log(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            no_panic_is_in_a_log(&path)?;
        } else if path
            .extension()
            .is_some_and(|kind| kind == "log" || kind == "err")
        {
            let text = std::fs::read(&path)?;
            let text = String::from_utf8_lossy(&text);
            let panic = text.lines().find(|line| line.contains("panicked at"));
            ensure!(panic.is_none(), "{}: {panic:?}", path.display());
        }
    }
    Ok(())
}
