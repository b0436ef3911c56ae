//! How many durable writes a second: `cargo run --release -p wasmgate-storage-embedded --example writers -- [writers] [bytes]
//! [seconds] [updates|creates] [watchers] [dir]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::{Operation, Storage};
use wasmgate_storage_embedded::{Embedded, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |a| a.parse());
    let (writers, bytes, seconds) = (number(64)?, number(3000)?, number(5)?);
    let updates = arguments.next().is_none_or(|kind| kind == "updates");
    let watchers: u64 = arguments.next().map_or(Ok(1), |a| a.parse())?;
    let kept = arguments.next().map(PathBuf::from);
    let temporary = tempfile::tempdir()?;
    let dir = kept.as_deref().unwrap_or(temporary.path());

    let begin = Instant::now();
    let store = Embedded::open(dir, Options::default())?;
    println!("open: {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    let seen = Arc::new(AtomicU64::new(0));
    for _ in 0..watchers {
        let mut watch = store.watch("/registry/", store.current_revision().await? + 1).await?;
        let seen = seen.clone();
        tokio::spawn(async move {
            while let Ok(batch) = watch.next().await {
                if let storage::WatchBatch::Events(events) = batch {
                    seen.fetch_add(events.len() as u64, Ordering::Relaxed);
                }
            }
        });
    }
    let value = Bytes::from((0..bytes).map(|at| (at * 7919 % 251) as u8).collect::<Vec<_>>());
    let (begin, end) = (Instant::now(), Instant::now() + Duration::from_secs(seconds));
    let session = begin.elapsed().as_nanos() as u64 ^ std::process::id() as u64;
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, value) = (store.clone(), value.clone());
            tokio::spawn(async move {
                let (mut times, mut revision, mut number) = (Vec::new(), 0, 0_u64);
                while Instant::now() < end {
                    let begin = Instant::now();
                    let key = format!("/registry/pods/{session:x}-{writer}/pod-{}", if updates { 0 } else { number });
                    let operation = match revision {
                        0 => Operation::create(key, value.clone()),
                        _ => Operation::update(key, revision, value.clone()),
                    };
                    let written = store.commit(vec![operation]).await.expect("the write is answered");
                    revision = if updates { written } else { 0 };
                    number += 1;
                    times.push(begin.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await?);
    }
    let rate = times.len() as f64 / begin.elapsed().as_secs_f64();
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!("{writers} writers, {bytes} bytes, {}: {rate:.0}/s", if updates { "updates" } else { "creates" });
    println!("latency ms: p50 {:.2} p99 {:.2} max {:.2}", at(0.5), at(0.99), at(1.0));
    println!(
        "events seen: {} of {}; file: {} MB",
        seen.load(Ordering::Relaxed),
        times.len() as u64 * watchers,
        store.size_bytes().await? >> 20
    );
    Ok(())
}
