//! A Redis server that keeps an append-only file.

use std::{
    fs, io,
    net::TcpStream,
    path::{Path, PathBuf},
};

use super::{
    ServerError,
    server_process::{ServerProcess, ServerProgram, ask},
};

/// The folder, within the server's, of its append-only file.
const APPEND_FOLDER: &str = "appendonlydir";
/// The folder, within the server's, of the copy that [`RedisServer::save`] makes.
const SAVED_FOLDER: &str = "saved";

const PROGRAM: ServerProgram = ServerProgram {
    name: "redis-server",
    prepare,
    answers,
};

/// A Redis server on a free port of 127.0.0.1; killed and removed when dropped.
pub struct RedisServer(ServerProcess);

impl RedisServer {
    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// The program is not installed, or does not answer within [`super::START_DEADLINE`].
    pub fn start() -> Result<Self, ServerError> {
        ServerProcess::start(&PROGRAM).map(Self)
    }

    /// URL for clients: `redis://127.0.0.1:<port>`, the same across restarts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.0.port())
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

    /// Remembers the present data; call it while nothing writes. A second call replaces what the first
    /// remembered.
    ///
    /// # Errors
    /// The data cannot be copied.
    pub fn save(&self) -> Result<(), ServerError> {
        let (data, saved) = self.folders();
        copy_folder(&data, &saved).map_err(|source| ServerError::System {
            what: "copy the server's data",
            source,
        })
    }

    /// Kills the server, and starts it with the data that [`Self::save`] remembered: as after a failover
    /// to a replica that lags, or with a restored snapshot. Can be called again.
    ///
    /// # Errors
    /// Nothing was saved, or the server does not answer within [`super::START_DEADLINE`].
    pub fn restore(&mut self) -> Result<(), ServerError> {
        self.kill();
        let (data, saved) = self.folders();
        copy_folder(&saved, &data).map_err(|source| ServerError::System {
            what: "put the server's data back",
            source,
        })?;
        self.restart()
    }

    fn folders(&self) -> (PathBuf, PathBuf) {
        let folder = self.0.folder();
        (folder.join(APPEND_FOLDER), folder.join(SAVED_FOLDER))
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

/// Makes `to` a copy of the files of `from`.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

fn prepare(folder: &Path, port: u16) -> io::Result<Vec<String>> {
    let folder = folder.display().to_string();
    let options = [
        ("port", port.to_string().as_str()),
        ("bind", "127.0.0.1"),
        ("dir", &folder),
        ("logfile", "server.log"),
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("save", ""),
    ]
    .map(|(name, value)| [format!("--{name}"), value.to_owned()]);
    Ok(options.into_iter().flatten().collect())
}

fn answers(connection: TcpStream, _folder: &Path, pid: u32) -> io::Result<bool> {
    // Another server on the port has another process id; a server that is still loading its file
    // answers LOADING.
    let answer = ask(connection, b"PING\r\nINFO server\r\n")?;
    let ours = format!("process_id:{pid}");
    Ok(answer.starts_with("+PONG") && answer.lines().any(|line| line.trim() == ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(server: &RedisServer, command: &str) -> String {
        let connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        ask(connection, format!("{command}\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn keeps_its_data_over_a_kill() {
        let mut server = RedisServer::start().unwrap();
        assert_eq!(say(&server, "SET key value"), "+OK\r\n");
        server.kill();
        assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
        server.restart().unwrap();
        assert_eq!(say(&server, "GET key"), "$5\r\nvalue\r\n");
    }

    #[test]
    fn goes_back_to_what_was_saved() {
        let mut server = RedisServer::start().unwrap();
        assert_eq!(say(&server, "SET key early"), "+OK\r\n");
        server.save().unwrap();
        for value in ["late", "later"] {
            assert_eq!(say(&server, &format!("SET key {value}")), "+OK\r\n");
            server.restore().unwrap();
            assert_eq!(say(&server, "GET key"), "$5\r\nearly\r\n");
        }
    }
}
