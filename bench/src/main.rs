//! `cargo xtask bench`: starts servers, puts load on them over TLS, and prints one table and a plot.
//!
//! Everything runs on loopback, in turn, each load bounded in time and count. The load generator shares the machine's cores with the
//! server, so figures of different machines do not compare; ratios within one run do.

mod client;
mod load;
mod process;
mod report;
mod scenario;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Benchmarks of a built server.
#[derive(Parser)]
struct Arguments {
    /// The server's binary.
    #[arg(long, default_value = "target/release/wasmgate")]
    server: PathBuf,
    /// An etcd binary; without one only the embedded store is measured.
    #[arg(long)]
    etcd: Option<PathBuf>,
    /// Where the table and the plot go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Seconds of each load.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Pods for lists and memory.
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// Watchers of the fan-out.
    #[arg(long, default_value_t = 1_000)]
    watchers: usize,
    /// Only these parts, by comma.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<scenario::Part>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.out)?;
    let sizes = scenario::Sizes {
        duration: Duration::from_secs(arguments.seconds),
        pods: arguments.pods,
        watchers: arguments.watchers,
        only: arguments.only,
    };
    let mut rows = Vec::new();
    let etcd = arguments.etcd.as_deref();
    for store in [None, etcd].into_iter().enumerate().filter_map(|(i, etcd)| (i == 0 || etcd.is_some()).then_some(etcd)) {
        let name = if store.is_some() { "etcd" } else { "embedded" };
        eprintln!("==> {name} store");
        rows.extend(scenario::run(&arguments.server, store, name, &sizes).await?);
    }
    report::print(&rows);
    report::write(&rows, &arguments.out)?;
    Ok(())
}
