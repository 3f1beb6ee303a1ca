//! A server process that cannot outlive the test.
//!
//! The server is the child of a one-line shell script, the guard, whose standard input is a pipe
//! held by the test process. When the pipe closes (the test process closes it to kill the server,
//! or the kernel closes it because the test process has ended, for whatever reason), the guard
//! kills the server with SIGKILL and reaps it. This replaces `PR_SET_PDEATHSIG`, which needs
//! `unsafe`. The process id stays valid for signals because only the guard reaps the server.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{START_DEADLINE, ServerError};
use crate::{
    folder,
    proc_state::{is_stopped, state},
};

/// Starts `"$@"`, prints its process id, waits for the end of standard input, then kills it.
/// Ignores the signals of Ctrl-C, which are sent to every process of the terminal: only the end of
/// its pipe ends it.
const GUARD: &str = "trap '' INT TERM HUP QUIT; \"$@\" </dev/null >&2 & server=$!; \
                     echo $server; exec >&-; read -r _; kill -9 $server; wait $server";
/// Number of attempts with another port if the port was taken by another process in the meantime.
const PORT_TRIES: usize = 5;
/// Pause between two checks of a server that starts.
const PROBE_PAUSE: Duration = Duration::from_millis(5);
/// Time allowed for one probe.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// Number of bytes of a log that an error shows.
const LOG_TAIL_BYTES: usize = 2000;

/// The description of one kind of server.
pub(super) struct ServerProgram {
    /// The program's name.
    pub(super) name: &'static str,
    /// Writes the files that the server needs into its folder and gives the server's arguments.
    pub(super) prepare: fn(folder: &Path, port: u16) -> io::Result<Vec<String>>,
    /// Whether the server with this folder and process id answers on the connection.
    pub(super) answers: fn(connection: TcpStream, folder: &Path, pid: u32) -> io::Result<bool>,
}

/// A server with its folder and port.
pub(super) struct ServerProcess {
    program: &'static ServerProgram,
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

struct Running {
    guard: Child,
    server_pid: u32,
}

impl ServerProcess {
    /// Starts a server on a free port of 127.0.0.1.
    pub(super) fn start(program: &'static ServerProgram) -> Result<Self, ServerError> {
        let folder = tempfile::Builder::new()
            .prefix("forgewire-server-")
            .tempdir()
            .map_err(system("make a folder for the server"))?;
        let mut server = Self {
            program,
            folder,
            port: 0,
            running: None,
        };
        let mut tries = 1;
        loop {
            server.port = free_port()?;
            match server.launch() {
                // Another process may have taken the port between the check and the start.
                Err(ServerError::Silent { log, .. })
                    if tries < PORT_TRIES
                        && log.to_lowercase().contains("address already in use") =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server with SIGKILL and waits until it has ended. Does nothing if it is not
    /// running.
    pub(super) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            // SIGKILL also ends a paused process.
            drop(running.guard.stdin.take());
            // The guard always ends: all it has left to do is kill and wait.
            let _ = running.guard.wait();
        }
    }

    /// Starts the server again (after a kill if it is running) on the same port and data.
    pub(super) fn restart(&mut self) -> Result<(), ServerError> {
        self.kill();
        self.launch()
    }

    /// Copies one of the server's folders between a kill and a restart.
    pub(super) fn save(&mut self, name: &str) -> Result<(), ServerError> {
        self.kill();
        let (from, to) = (self.folder().join(name), self.folder().join("saved"));
        folder::copy(&from, &to).map_err(system("copy the server's data"))?;
        self.launch()
    }

    /// Replaces the folder by the copy between a kill and a restart.
    pub(super) fn put_back(&mut self, name: &str) -> Result<(), ServerError> {
        self.kill();
        let (to, from) = (self.folder().join(name), self.folder().join("saved"));
        folder::replace(&to, &from).map_err(system("put the server's data back"))?;
        self.launch()
    }

    /// Stops the server (SIGSTOP), and waits until none of its threads is running: the signal only
    /// requests the stop, and a thread could still answer a request.
    pub(super) fn pause(&self) -> Result<(), ServerError> {
        let pid = self.signal("STOP")?;
        let deadline = Instant::now() + START_DEADLINE;
        while !is_stopped(pid).map_err(system("read the state of the server's threads"))? {
            if Instant::now() > deadline {
                return Err(system("stop the server")(ErrorKind::TimedOut.into()));
            }
            sleep(PROBE_PAUSE);
        }
        Ok(())
    }

    /// Resumes the server (SIGCONT).
    pub(super) fn resume(&self) -> Result<(), ServerError> {
        self.signal("CONT").map(|_| ())
    }

    fn signal(&self, name: &str) -> Result<u32, ServerError> {
        let not_running = || ServerError::NotRunning {
            folder: self.folder().to_owned(),
        };
        let pid = self.running.as_ref().ok_or_else(not_running)?.server_pid;
        let status = Command::new("kill")
            .args([format!("-{name}"), pid.to_string()])
            .status()
            .map_err(system("run `kill`"))?;
        status.success().then_some(pid).ok_or_else(not_running)
    }

    fn launch(&mut self) -> Result<(), ServerError> {
        let program = self.program.name;
        if !installed(program) {
            return Err(ServerError::NotInstalled { program });
        }
        let arguments = (self.program.prepare)(self.folder.path(), self.port)
            .map_err(system("write the server's configuration"))?;
        let log = File::create(self.log_path()).map_err(system("make the server's log"))?;
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard", program])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PATH", search_path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(system("start the server"))?;
        let server_pid = read_pid(&mut guard).map_err(system("read the server's process id"))?;
        self.running = Some(Running { guard, server_pid });
        self.wait_until_it_answers(server_pid)
    }

    fn wait_until_it_answers(&mut self, pid: u32) -> Result<(), ServerError> {
        let deadline = Instant::now() + START_DEADLINE;
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        while Instant::now() < deadline && is_alive(pid) {
            if let Ok(connection) = TcpStream::connect_timeout(&address, PROBE_TIMEOUT) {
                let timeouts = connection
                    .set_read_timeout(Some(PROBE_TIMEOUT))
                    .and_then(|()| connection.set_write_timeout(Some(PROBE_TIMEOUT)));
                timeouts.map_err(system("set a timeout"))?;
                if matches!(
                    (self.program.answers)(connection, self.folder.path(), pid),
                    Ok(true)
                ) {
                    return Ok(());
                }
            }
            sleep(PROBE_PAUSE);
        }
        self.kill();
        let log = log_tail(&self.log_path());
        Err(ServerError::Silent {
            program: self.program.name,
            log,
        })
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServerError {
    move |source| ServerError::System { what, source }
}

fn free_port() -> Result<u16, ServerError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(system("find a free port"))?;
    Ok(listener
        .local_addr()
        .map_err(system("find a free port"))?
        .port())
}

/// Folders searched for programs: Debian puts servers into `/usr/sbin`, which is missing from the
/// `PATH` of ordinary users.
fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/local/bin:/usr/bin:/usr/sbin:/sbin")
}

fn installed(program: &str) -> bool {
    search_path()
        .split(':')
        .any(|folder| Path::new(folder).join(program).is_file())
}

fn read_pid(guard: &mut Child) -> io::Result<u32> {
    let stdout = guard.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    line.trim()
        .parse()
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Whether the process is alive. A server that ended stays a zombie until its guard reaps it.
fn is_alive(pid: u32) -> bool {
    let state = state(Path::new(&format!("/proc/{pid}")));
    matches!(state, Some(state) if state != 'Z' && state != 'X')
}

fn log_tail(path: &Path) -> String {
    let log = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
}

/// Sends a request and gives the first bytes of the answer as text.
pub(super) fn ask(mut connection: TcpStream, request: &[u8]) -> io::Result<String> {
    connection.write_all(request)?;
    let mut answer = vec![0; 8192];
    let length = connection.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}
