//! A NATS server with JetStream.

use std::{fs, io, net::TcpStream, path::Path};

use super::{
    ServerError,
    server_process::{ServerProcess, ServerProgram, ask},
};

/// The name of the data folder.
const DATA: &str = "data";
/// The name of the file with the size of messages, if it is not the default.
const MAX_PAYLOAD: &str = "max_payload";
/// The name of the file with users and their permissions; without it everybody may do everything.
const AUTHORIZATION: &str = "authorization.conf";
/// The name of the file that makes the server sync each message.
const SYNC_ALWAYS: &str = "sync_always";
/// The largest message, in bytes: as `deploy/nats.conf` has it.
const DEFAULT_MAX_PAYLOAD: &str = "8388608";

const PROGRAM: ServerProgram = ServerProgram {
    name: "nats-server",
    prepare,
    answers,
};

/// A NATS server with JetStream on a free port of 127.0.0.1; killed and removed when dropped.
pub struct NatsServer(ServerProcess);

impl NatsServer {
    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// The program is not installed, or does not answer within [`super::START_DEADLINE`].
    pub fn start() -> Result<Self, ServerError> {
        ServerProcess::start(&PROGRAM).map(Self)
    }

    /// URL for clients: `nats://127.0.0.1:<port>`, the same across restarts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.0.port())
    }

    /// Port that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Kills the server with SIGKILL; its data stays.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Kills the server if it is running, and starts it on the same port and data.
    ///
    /// # Errors
    /// The server does not answer within [`super::START_DEADLINE`].
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.0.restart()
    }

    /// Restarts the server with another bound on the size of messages, in bytes.
    ///
    /// # Errors
    /// The setting cannot be written, or the server does not answer again.
    pub fn set_max_payload(&mut self, bytes: usize) -> io::Result<()> {
        fs::write(self.0.folder().join(MAX_PAYLOAD), bytes.to_string())?;
        self.restart().map_err(io::Error::other)
    }

    /// Restarts the server with `sync_interval: always`, which takes nats-server 2.10.
    ///
    /// # Errors
    /// The setting cannot be written, or the server does not answer again.
    pub fn sync_always(&mut self) -> io::Result<()> {
        fs::write(self.0.folder().join(SYNC_ALWAYS), "")?;
        self.restart().map_err(io::Error::other)
    }

    /// Restarts the server with this text in its configuration: the block `authorization`, or nothing.
    ///
    /// # Errors
    /// The text cannot be written, or the server does not answer again.
    pub fn authorize(&mut self, text: &str) -> io::Result<()> {
        fs::write(self.0.folder().join(AUTHORIZATION), text)?;
        self.restart().map_err(io::Error::other)
    }

    /// Keeps a copy of the server's data as it is now; restarts the server for that.
    ///
    /// # Errors
    /// The data cannot be copied, or the server does not answer again.
    pub fn save(&mut self) -> Result<(), ServerError> {
        self.0.save(DATA)
    }

    /// Puts the server's data back to the copy that [`Self::save`] made, and restarts it: as a power cut or a
    /// restored snapshot does.
    ///
    /// # Errors
    /// There is no copy, or the server does not answer again.
    pub fn put_back(&mut self) -> Result<(), ServerError> {
        self.0.put_back(DATA)
    }

    /// As [`Self::restart`], with an empty data folder, as a server whose volume was lost.
    ///
    /// # Errors
    /// The data cannot be removed, or the server does not answer within [`super::START_DEADLINE`].
    pub fn restart_empty(&mut self) -> io::Result<()> {
        self.kill();
        fs::remove_dir_all(self.0.folder().join(DATA))?;
        self.restart().map_err(io::Error::other)
    }

    /// Freezes the server (SIGSTOP): connections stay open and silent.
    ///
    /// # Errors
    /// The server is not running.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.0.pause()
    }

    /// Resumes the server after [`Self::pause`].
    ///
    /// # Errors
    /// The server is not running.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.0.resume()
    }
}

/// A name that only this server has, so that a probe cannot mistake another server for it.
fn server_name(folder: &Path) -> String {
    folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn prepare(folder: &Path, port: u16) -> io::Result<Vec<String>> {
    let configuration = folder.join("nats.conf");
    let max_payload = fs::read_to_string(folder.join(MAX_PAYLOAD));
    let max_payload = max_payload.unwrap_or_else(|_| DEFAULT_MAX_PAYLOAD.to_owned());
    let authorization = fs::read_to_string(folder.join(AUTHORIZATION)).unwrap_or_default();
    let sync = match folder.join(SYNC_ALWAYS).exists() {
        true => ", sync_interval: always",
        false => "",
    };
    let text = format!(
        "server_name: \"{}\"\nlisten: \"127.0.0.1:{port}\"\nmax_payload: {max_payload}\n\
         jetstream {{ store_dir: \"{}\"{sync} }}\n{authorization}\n",
        server_name(folder),
        folder.join(DATA).display(),
    );
    fs::write(&configuration, text)?;
    Ok(vec!["-c".to_owned(), configuration.display().to_string()])
}

fn answers(connection: TcpStream, folder: &Path, _pid: u32) -> io::Result<bool> {
    // The server sends first; it accepts connections before JetStream is ready.
    let request = b"CONNECT {\"verbose\":false}\r\nPING\r\n";
    let greeting = ask(connection, request)?;
    let ours = format!("\"server_name\":\"{}\"", server_name(folder));
    Ok(greeting.contains(&ours) && greeting.contains("\"jetstream\":true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_again_on_the_same_port_after_a_kill() {
        let mut server = NatsServer::start().unwrap();
        let url = server.url();
        server.kill();
        assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
        server.restart().unwrap();
        assert_eq!(server.url(), url);
        assert!(TcpStream::connect(("127.0.0.1", server.port())).is_ok());
    }

    #[test]
    fn two_servers_have_two_ports_and_a_dropped_one_is_gone_with_its_files() {
        let (first, second) = (NatsServer::start().unwrap(), NatsServer::start().unwrap());
        assert_ne!(first.port(), second.port());
        let (port, folder) = (first.port(), first.0.folder().to_owned());
        drop(first);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(!folder.exists());
    }
}
