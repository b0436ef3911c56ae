//! A real etcd on loopback, for as long as the test runs.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

#[path = "../../../../tests/skipped.rs"]
mod skipped;
use skipped::skipped;

/// An etcd of one member. Dropping it ends it.
pub struct Server {
    binary: PathBuf,
    dir: tempfile::TempDir,
    client_url: String,
    peer_url: String,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// The etcd to test with: `WASMGATE_ETCD`, or what the PATH has.
fn binary() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("WASMGATE_ETCD") {
        assert!(Path::new(&given).is_file(), "WASMGATE_ETCD names no file: {}", given.display());
        return Some(given.into());
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join("etcd")).find(|path| path.is_file())
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("loopback has a free port").local_addr().expect("a bound address").port()
}

impl Server {
    /// Starts an etcd; `None`, and a word about it, where there is none.
    pub fn start() -> Option<Self> {
        Self::start_with("http", |_| Vec::new())
    }

    /// Starts an etcd with more arguments, made once the directory is there.
    pub fn start_with(scheme: &str, arguments: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let Some(binary) = binary() else {
            skipped("no etcd; install etcd-server, or set WASMGATE_ETCD");
            return None;
        };
        let dir = tempfile::tempdir().expect("a temporary directory");
        let arguments = arguments(dir.path());
        let client_url = format!("{scheme}://127.0.0.1:{}", free_port());
        let peer_url = format!("http://127.0.0.1:{}", free_port());
        let mut server = Self { binary, dir, client_url, peer_url, arguments, child: None };
        server.resume();
        Some(server)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.client_url.clone()
    }

    /// Starts it, on the ports and the data that it has.
    pub fn resume(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log")).expect("a log file");
        let child = Command::new(&self.binary)
            .arg("--data-dir")
            .arg(self.dir.path().join("data"))
            .args(["--listen-client-urls", &self.client_url, "--advertise-client-urls", &self.client_url])
            .args(["--listen-peer-urls", &self.peer_url, "--initial-advertise-peer-urls", &self.peer_url])
            .args(["--initial-cluster", &format!("default={}", self.peer_url)])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("etcd starts"));
    }

    /// Ends it without a farewell.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("etcd is ours to end");
            child.wait().expect("it ends");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
