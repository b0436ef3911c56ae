//! Power cuts on a simulated disk that loses what was not synced, or some of it.
//!
//! `WASMGATE_POWER_CUT_SEEDS` says how many seeds (default 60), `WASMGATE_POWER_CUT_FIRST` with which to begin.

mod support;

use std::sync::Arc;
use std::time::Duration;

use wasmgate_storage_embedded::{Embedded, Options};

use crate::support::disk::{Cut, SimulatedDisk};
use crate::support::load::{Writer, check};
use crate::support::{Random, number};

const CUTS: usize = 4;
const WRITERS: u64 = 4;
/// A cut comes at one of the first so many syncs, those of the opening included; or at one of so many writes, in the middle of a
/// transaction.
const SYNCS: u64 = 60;
const WRITES: u64 = 600;

#[test]
fn nothing_acknowledged_is_lost() {
    let first = number("WASMGATE_POWER_CUT_FIRST", 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    for seed in first..first + number("WASMGATE_POWER_CUT_SEEDS", 60) {
        eprintln!("seed {seed}");
        runtime.block_on(run(seed));
    }
}

async fn run(seed: u64) {
    let mut random = Random::new(seed);
    // Every other seed compacts all the time; the others run the same whenever they run.
    let history_revisions_max = if seed.is_multiple_of(2) { u64::MAX } else { 10 };
    let options = Options {
        history_revisions_max,
        housekeeping_interval: if seed.is_multiple_of(2) { Duration::from_secs(3600) } else { Duration::from_millis(1) },
        sparse_file_bytes_min: 0,
        ..Options::default()
    };
    let mut writers: Vec<_> = (0..WRITERS).map(|name| Writer { name, ..Writer::default() }).collect();
    let (mut disk, mut seen) = (SimulatedDisk::default(), 0);
    for _ in 0..CUTS {
        disk.cut_at(if random.below(2) == 0 { Cut::Sync(1 + random.below(SYNCS)) } else { Cut::Write(1 + random.below(WRITES)) });
        if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), options.clone())
            && let Some(left) = disk.hold()
        {
            seen = check(&*store, &mut writers, seen, CUTS as u64).await;
            disk.cut_at(left);
            while !disk.is_cut() {
                if seed % 2 == 1 && random.below(8) == 0 {
                    let now = writers.iter().map(|writer| writer.revision).max().unwrap_or(0);
                    let _ = storage::Storage::compact(&*store, now.saturating_sub(5)).await;
                }
                match random.below(4) {
                    // One by one, which a seed repeats exactly; and all at once, which makes groups.
                    0 => {
                        let store = &store;
                        let all = writers.iter_mut().map(|writer| async move { _ = writer.write(&**store).await });
                        futures(all.collect()).await;
                    }
                    _ => {
                        let writer = &mut writers[random.below(WRITERS) as usize];
                        _ = writer.write(&*store).await;
                    }
                }
            }
        }
        disk = disk.survivors(&mut random);
    }
    let store = Embedded::open_on(Arc::new(disk), options).expect("no cut, no failure");
    check(&*store, &mut writers, seen, CUTS as u64).await;
}

/// Waits for all, begun in order.
async fn futures<F: Future<Output = ()>>(all: Vec<F>) {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
