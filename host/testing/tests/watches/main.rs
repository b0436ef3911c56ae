//! What watchers see, against what happened: over random mixes of verbs, faults of the store, and compactions, from seeds.
//!
//! Each watcher sees each change that concerns it once, in the order of revisions; an object that enters or leaves its selector is added
//! or deleted; bookmarks say no more than was seen and never go back; a list and the watch that goes on from it give the state in the end.
//! `WASMGATE_SEEDS` in the environment says how many seeds.

#![allow(missing_docs, reason = "a test")]

mod clients;
mod history;
mod selectors;
mod watchers;

use std::sync::Arc;
use std::time::Duration;

use cacher::Freshness;
use storage::Storage;
use wasmgate_testing::seeds::{self, Random};
use wasmgate_testing::{ManualClock, MemoryStorage, Odds, Setup, TestServer};

use crate::clients::Client;
use crate::history::History;
use crate::watchers::CheckedWatch;

/// In the ordinary run; some seconds.
const SEEDS: u64 = 200;
/// What is done with one seed.
const ROUNDS: u64 = 60;
/// Requests of one round, all at once.
const AT_ONCE_MAX: u64 = 4;
const WATCHERS_MAX: usize = 12;

/// Servers over one store, and those who watch them.
struct World {
    random: Random,
    clock: ManualClock,
    store: MemoryStorage,
    servers: Vec<TestServer>,
    watchers: Vec<CheckedWatch>,
    /// The store is compacted now and then.
    forgets: bool,
    /// Revisions that a list or a write was answered with: where watches begin.
    known: Vec<u64>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let clock = ManualClock::default();
        let store = MemoryStorage::new(clock.handle());
        // One that is alone, or two that share.
        let (count, freshness) = if seed.is_multiple_of(3) { (2, Freshness::AskStore) } else { (1, Freshness::InWritePath) };
        let mut servers = Vec::new();
        for number in 0..count {
            let server = TestServer::start(Setup { freshness, ..Setup::over(Arc::new(store.clone()), clock.clone()) }).await;
            let odds = Odds { conflict: 8, refused: 3, answer_lost: 5, delayed: 30, watch_ends: 6, ..Odds::default() };
            server.storage.by_chance((!seed.is_multiple_of(4)).then(|| (Random::new(seed ^ (number << 32)), odds)));
            servers.push(server);
        }
        Self { random, clock, store, servers, watchers: Vec::new(), forgets: seed.is_multiple_of(2), known: vec![1] }
    }

    async fn round(&mut self) {
        match self.random.below(10) {
            0 if self.forgets => self.compact().await,
            1 => self.clock.advance(Duration::from_secs(10 * self.random.below(7))),
            2 | 3 if self.watchers.len() < WATCHERS_MAX => {
                let server = self.random.below(self.servers.len() as u64) as usize;
                let watcher = CheckedWatch::begin(server, &self.servers[server], &mut self.random, &self.known, &self.store).await;
                self.watchers.push(watcher);
            }
            _ => self.write().await,
        }
        for watcher in &mut self.watchers {
            if self.random.percent(40) {
                watcher.read();
            }
        }
    }

    /// Several clients at once.
    async fn write(&mut self) {
        let count = 1 + self.random.below(AT_ONCE_MAX);
        let clients: Vec<_> =
            (0..count).map(|_| (self.random.below(self.servers.len() as u64) as usize, Random::new(self.random.number()))).collect();
        let requests = clients.into_iter().map(|(server, random)| Client::new(&self.servers[server], random).act());
        let known = futures::future::join_all(requests).await;
        self.known.extend(known.into_iter().flatten());
    }

    /// The store forgets; sometimes all but its last revision.
    async fn compact(&mut self) {
        let now = self.store.current_revision().await.expect("it is in memory");
        let to = now.saturating_sub(self.random.below(20)).max(1);
        _ = self.store.compact(to).await;
    }

    /// Waits until everybody has been told everything, and judges what each watcher saw.
    async fn finish(mut self) {
        for server in &self.servers {
            server.storage.by_chance(None);
            server.settle().await;
        }
        let history = History::of(&self.store);
        for watcher in &mut self.watchers {
            let server = &self.servers[watcher.server];
            watcher.read();
            watcher.judge(&history, server, self.forgets).await;
        }
    }
}

#[test]
fn watchers_see_what_happened() {
    seeds::each(SEEDS, |seed| async move {
        let mut world = World::new(seed).await;
        for _ in 0..ROUNDS {
            world.round().await;
        }
        world.finish().await;
    });
}
