//! A process that is killed under load, again and again, on real files.
//!
//! `WASMGATE_KILLS` says how often (default 200); `WASMGATE_KILL_SEED` fixes the moments.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use wasmgate_storage_embedded::{Embedded, Options};

use crate::support::load::{Writer, check};
use crate::support::{Random, number};

const WRITERS: u64 = 6;
/// Tells the child where the store is, and that it is the child.
const DIRECTORY: &str = "WASMGATE_KILL_DIRECTORY";

fn open(dir: &Path) -> Arc<Embedded> {
    // Little history and small files, so that compaction is always at work when the end comes.
    let options = Options {
        history_revisions_max: 300,
        housekeeping_interval: Duration::from_millis(30),
        sparse_file_bytes_min: 0,
        ..Options::default()
    };
    Embedded::open(dir, options).expect("the store opens after any crash")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// The child: finds out what is there, and writes until it is killed. What is acknowledged, it says on stdout.
#[test]
fn child_under_load() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    runtime().block_on(async {
        let store = open(Path::new(&dir));
        // libtest may have begun a line.
        println!("\nopen");
        let compactor = store.clone();
        tokio::spawn(async move {
            loop {
                let now = storage::Storage::current_revision(&*compactor).await.expect("it is open");
                _ = storage::Storage::compact(&*compactor, now.saturating_sub(100)).await;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|name| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut writer = found(&store, name).await;
                    loop {
                        writer.write(&*store).await.expect("the disk is well");
                        let line = format!("ack {name} {} {}\n", writer.round, writer.revision);
                        std::io::stdout().lock().write_all(line.as_bytes()).expect("somebody listens");
                    }
                })
            })
            .collect();
        let first = writers.into_iter().next().expect("there are writers");
        panic!("a writer has no end: {:?}", first.await.err());
    });
}

/// A writer that goes on where the store is.
async fn found(store: &Embedded, name: u64) -> Writer {
    let (kv, _) = storage::Storage::get(store, &format!("/registry/load/{name}/a")).await.expect("it can be read");
    kv.map_or(Writer { name, ..Writer::default() }, |kv| {
        let digits = kv.value.split(|byte| *byte == b':').next().expect("a round");
        let round = std::str::from_utf8(digits).expect("digits").parse().expect("a round");
        Writer { name, round, revision: kv.mod_revision }
    })
}

#[test]
fn nothing_acknowledged_is_lost() {
    let seed = number("WASMGATE_KILL_SEED", u64::from(std::process::id()));
    eprintln!("seed {seed}");
    let mut random = Random::new(seed);
    let runtime = runtime();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut writers: Vec<_> = (0..WRITERS).map(|name| Writer { name, ..Writer::default() }).collect();
    let (mut seen, mut acknowledged, mut crashes) = (0, 0, 0);
    let kills = number("WASMGATE_KILLS", 200);
    for kill in 0..kills {
        let lines = load_and_kill(dir.path(), &mut random);
        acknowledged += lines.len();
        crashes += 1;
        for (name, round, revision) in lines {
            let writer = &mut writers[name as usize];
            assert!(round > writer.round && revision > writer.revision, "the child went on where the store was");
            (writer.round, writer.revision) = (round, revision);
        }
        // Every third crash is found by the next child, not by us.
        if kill % 3 != 2 || kill + 1 == kills {
            runtime.block_on(async { seen = check(&*open(dir.path()), &mut writers, seen, crashes).await });
            crashes = 0;
        }
    }
    eprintln!("{kills} kills, {acknowledged} transactions acknowledged, revision {seen}");
    assert!(acknowledged as u64 > kills, "the load was one");
}

/// What a child acknowledged before it was killed.
fn load_and_kill(dir: &Path, random: &mut Random) -> Vec<(u64, u64, u64)> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_under_load", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test starts once more");
    let stdout = child.stdout.take().expect("it is piped");
    let (opened, is_open) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut acknowledged = Vec::new();
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if line == "open" {
                // Nobody listens any more where the child has been killed.
                _ = opened.send(());
            }
            let words: Vec<_> = line.split(' ').collect();
            if let ["ack", numbers @ ..] = words.as_slice()
                && let [name, round, revision] = numbers.iter().map(|n| n.parse().expect("a number")).collect::<Vec<u64>>()[..]
            {
                acknowledged.push((name, round, revision));
            }
        }
        acknowledged
    });
    // Some die while they open the store, most under load.
    let millis = if random.below(5) == 0 {
        random.below(40)
    } else {
        is_open.recv().expect("the child opens the store");
        random.below(120)
    };
    std::thread::sleep(Duration::from_millis(millis));
    child.kill().expect("it is ours to kill");
    child.wait().expect("it ends");
    reader.join().expect("the reader ends with the pipe")
}
