//! The floor of durable ingest: a bare server, in its own process, that checks the signature of each body, appends the
//! body to a file, and answers when the file is synced, many bodies by one sync.

use std::{
    fs::File,
    io::{BufWriter, Seek, Write},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use testkit::fake_github::signature;
use tokio::sync::oneshot;

use crate::answerer::serve_until_stdin_ends;

/// Bytes after which the file is written from its beginning again.
const FILE_BYTES: u64 = 1 << 30;
/// Bytes that are handed to the system at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Arguments of the server.
#[derive(Debug, clap::Args)]
pub(crate) struct BareIngestArgs {
    /// The webhook's secret.
    #[arg(long)]
    secret: String,
    /// The file.
    #[arg(long)]
    file: PathBuf,
}

/// A body, and who waits until it is on the disk.
struct BareWrite {
    body: Bytes,
    synced: oneshot::Sender<()>,
}

#[derive(Clone)]
struct BareIngest {
    secret: Arc<str>,
    writes: Sender<BareWrite>,
}

/// Runs until stdin ends.
pub(crate) fn run(args: &BareIngestArgs) -> Result<()> {
    let file = File::create(&args.file)?;
    let (writes, queued) = channel();
    std::thread::spawn(move || {
        // Whoever waits for a write that failed gets an error.
        append_all(file, &queued)
    });
    let ingest = BareIngest {
        secret: args.secret.as_str().into(),
        writes,
    };
    let router = Router::new()
        .route("/webhooks/github", post(receive))
        .with_state(ingest);
    serve_until_stdin_ends(router)
}

async fn receive(State(ingest): State<BareIngest>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let given = headers.get("x-hub-signature-256");
    if given.is_none_or(|given| *given != signature(&ingest.secret, &body)) {
        return StatusCode::UNAUTHORIZED;
    }
    let (synced, is_synced) = oneshot::channel();
    let queued = ingest.writes.send(BareWrite { body, synced });
    match (queued, is_synced.await) {
        (Ok(()), Ok(())) => StatusCode::ACCEPTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn append_all(file: File, queued: &Receiver<BareWrite>) -> Result<()> {
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
    while let Ok(first) = queued.recv() {
        let group: Vec<_> = std::iter::once(first).chain(queued.try_iter()).collect();
        for write in &group {
            file.write_all(&write.body)?;
        }
        file.flush()?;
        file.get_ref().sync_data()?;
        for write in group {
            // A client that disconnects is not an error.
            let _ = write.synced.send(());
        }
        if file.stream_position()? > FILE_BYTES {
            file.rewind()?;
        }
    }
    Ok(())
}
