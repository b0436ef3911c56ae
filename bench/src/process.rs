//! A server under test, and the etcd below it: started on free ports in a directory of its own, ended by dropping.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::Failure;
use crate::client::Credentials;

const START_DURATION_MAX: Duration = Duration::from_secs(30);

/// A running server.
pub struct Server {
    child: Child,
    _etcd: Option<Child>,
    _directory: tempfile::TempDir,
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
        let started = Instant::now();
        let child = Command::new(binary)
            .args(&flags)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let kubeconfig = directory.path().join("data/admin.kubeconfig");
        let admin = loop {
            if let Ok(text) = std::fs::read_to_string(&kubeconfig)
                && let Ok(admin) = Credentials::from_kubeconfig(&text)
                && admin.get("/readyz").await.is_ok_and(|code| code == 200)
            {
                break admin;
            }
            if started.elapsed() > START_DURATION_MAX {
                return Err("the server did not become ready".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        Ok(Self { child, _etcd: etcd, _directory: directory, admin, ready_after: started.elapsed() })
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
