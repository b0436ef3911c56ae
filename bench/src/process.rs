//! A server under test, and the etcd below it: started on free ports in a directory of its own, ended by dropping.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::Failure;
use crate::client::Credentials;

const START_DURATION_MAX: Duration = Duration::from_secs(30);
/// Where the server writes how its administrator reaches it, in the directory of the run.
const KUBECONFIG: &str = "data/admin.kubeconfig";

/// A running server.
pub struct Server {
    child: Child,
    command: Command,
    _etcd: Option<Child>,
    directory: tempfile::TempDir,
    /// How to reach it as the administrator.
    pub admin: Credentials,
    /// How long from the start of the process until `/readyz` answered.
    pub ready_after: Duration,
}

impl Server {
    /// Starts it, with the etcd of that binary where one is given.
    pub async fn start(binary: &Path, etcd: Option<&Path>) -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let mut flags = vec!["--secure-port=0".to_owned(), format!("--data-dir={}", directory.path().join("data").display())];
        flags.extend(["--authorization-mode=RBAC".to_owned(), "--bind-address=127.0.0.1".to_owned()]);
        let tokens = directory.path().join("tokens.csv");
        std::fs::write(&tokens, "bench-token,bench,bench-uid\n")?;
        flags.push(format!("--token-auth-file={}", tokens.display()));
        let etcd = match etcd {
            None => None,
            Some(binary) => {
                let (child, url) = start_etcd(binary, &directory.path().join("etcd")).await?;
                flags.push(format!("--etcd-servers={url}"));
                Some(child)
            }
        };
        let mut command = Command::new(binary);
        command.args(&flags).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).kill_on_drop(true);
        let (child, admin, ready_after) = until_ready(&mut command, directory.path()).await?;
        Ok(Self { child, command, _etcd: etcd, directory, admin, ready_after })
    }

    /// Ends it as a service manager does, and starts it again over what it has stored.
    pub async fn restart(&mut self) -> Result<(), Failure> {
        let pid = self.child.id().ok_or("the server has ended by itself")?;
        Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        tokio::time::timeout(START_DURATION_MAX, self.child.wait()).await.map_err(|_| "the server does not end")??;
        // Written anew by each start: an old one would name an old port.
        let _ = std::fs::remove_file(self.directory.path().join(KUBECONFIG));
        (self.child, self.admin, self.ready_after) = until_ready(&mut self.command, self.directory.path()).await?;
        Ok(())
    }

    /// Processor time that it has used, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id().unwrap_or(0))).unwrap_or_default();
        // Behind the name, which may hold anything: user and system time are the 12th and 13th, in hundredths.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// Resident memory now and at its peak, in MB.
    pub fn memory_mb(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap_or(0))).unwrap_or_default();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
        };
        (value("VmRSS:"), value("VmHWM:"))
    }
}

/// Starts a server, and tries it until `/readyz` answers.
async fn until_ready(command: &mut Command, directory: &Path) -> Result<(Child, Credentials, Duration), Failure> {
    let started = Instant::now();
    let child = command.spawn()?;
    let kubeconfig = directory.join(KUBECONFIG);
    loop {
        if let Ok(text) = std::fs::read_to_string(&kubeconfig)
            && let Ok(admin) = Credentials::from_kubeconfig(&text)
            && admin.get("/readyz").await.is_ok_and(|code| code == 200)
        {
            return Ok((child, admin, started.elapsed()));
        }
        if started.elapsed() > START_DURATION_MAX {
            return Err("the server did not become ready".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn start_etcd(binary: &Path, data: &Path) -> Result<(Child, String), Failure> {
    let port = || -> std::io::Result<u16> { Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
    let (client, peer) = (format!("http://127.0.0.1:{}", port()?), format!("http://127.0.0.1:{}", port()?));
    let child = Command::new(binary)
        .arg(format!("--data-dir={}", data.display()))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client, "--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("default={peer}")])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let address = client.trim_start_matches("http://").to_owned();
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            return Ok((child, client));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("etcd did not start".into())
}
