//! The peer: nginx with nchan, the pub/sub server that many projects use for this purpose. Started
//! on a free port, with one worker per core and every feature off that forgewire does not have
//! either; nothing is kept on disk.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    frames::{stamp, with_stamp},
    load::LoadSource,
    process::family,
};

/// Path in Debian's packages.
const PROGRAM: &str = "/usr/sbin/nginx";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const INSTALL: &str = "`deploy/setup.sh bench-peers` installs it";
/// Time allowed for it to start listening.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of messages that a channel keeps: more than one run sends.
const BUFFER: usize = 4096;
/// Connections per worker: each worker may hold all of them.
const CONNECTIONS: usize = 19_900;

/// A running nginx; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Nchan {
    master: Child,
    /// Serves streams at `/sub` and accepts messages at `/pub`.
    pub(crate) address: SocketAddr,
}

impl Nchan {
    /// Starts nginx with its files in `folder`.
    ///
    /// # Errors
    /// It is not installed, or does not listen in time.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        for needed in [PROGRAM, MODULE] {
            ensure!(Path::new(needed).exists(), "{needed} is missing: {INSTALL}");
        }
        fs::create_dir_all(folder)?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = folder.join("nginx.conf");
        fs::write(&config, configuration(folder, address))?;
        let master = Command::new(PROGRAM)
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting nginx")?;
        let mut peer = Self { master, address };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = peer.master.try_wait()? {
                let log = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
                bail!("nginx ended with {status}: {log}");
            }
            ensure!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }

    /// The master and its workers.
    pub(crate) fn pids(&self) -> Result<Vec<u32>> {
        let pids = family(self.master.id())?;
        ensure!(pids.len() > 1, "nginx has no workers");
        Ok(pids)
    }
}

impl Drop for Nchan {
    fn drop(&mut self) {
        // Only a signal makes the master stop its workers; a killed master leaves them behind.
        let pid = i32::try_from(self.master.id()).unwrap_or(0);
        if let Some(pid) = rustix::process::Pid::from_raw(pid) {
            // If it has already ended, there is nothing to do.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if matches!(self.master.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

fn configuration(folder: &Path, address: SocketAddr) -> String {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = folder.display();
    // Started as root, the workers would run as another user, who cannot access the folder.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("  {name}_temp_path {folder}/{name};\n"));
    let temporary = temporary.concat();
    format!(
        "load_module {MODULE};\n\
         daemon off;\n\
         {user}\n\
         worker_processes {workers};\n\
         worker_rlimit_nofile {files};\n\
         pid {folder}/nginx.pid;\n\
         error_log {folder}/error.log warn;\n\
         events {{ worker_connections {CONNECTIONS}; }}\n\
         http {{\n{temporary}\
         \x20 access_log off;\n\
         \x20 tcp_nodelay on;\n\
         \x20 keepalive_requests 1000000;\n\
         \x20 nchan_shared_memory_size 256m;\n\
         \x20 server {{\n\
         \x20   listen {address} reuseport backlog=4096;\n\
         \x20   location = /pub {{\n\
         \x20     nchan_publisher http;\n\
         \x20     nchan_channel_id bench;\n\
         \x20     nchan_message_buffer_length {BUFFER};\n\
         \x20     nchan_message_timeout 0;\n\
         \x20   }}\n\
         \x20   location = /sub {{\n\
         \x20     nchan_subscriber eventsource;\n\
         \x20     nchan_channel_id bench;\n\
         \x20     nchan_subscriber_first_message newest;\n\
         \x20     nchan_subscriber_timeout 0;\n\
         \x20   }}\n\
         \x20 }}\n\
         }}\n",
        files = CONNECTIONS + 100,
    )
}

/// Messages with the data of one of forgewire's events.
pub(crate) struct Messages<'a> {
    addresses: [SocketAddr; 1],
    data: &'a str,
}

impl<'a> Messages<'a> {
    /// `sample` is one complete frame of an edge.
    pub(crate) fn new(peer: &Nchan, sample: &'a str) -> Result<Self> {
        let data = sample.lines().find_map(|line| line.strip_prefix("data: "));
        let data = data.context("the sample has no data")?;
        with_stamp(data, &stamp(1, 1))?;
        Ok(Self {
            addresses: [peer.address],
            data,
        })
    }
}

impl LoadSource for Messages<'_> {
    fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn request(&self, to: SocketAddr, number: u64, intended: u64, request: &mut Vec<u8>) {
        let body = with_stamp(self.data, &stamp(number, intended));
        let body = body.expect("it has been tried");
        let length = body.len();
        let whole = format!(
            "POST /pub HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\n\
             X-EventSource-Event: event\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        request.extend_from_slice(whole.as_bytes());
    }

    /// 201: it has subscribers; 202: it is kept for later ones.
    fn is_accepted(&self, status: u16) -> bool {
        matches!(status, 200..=202)
    }
}
