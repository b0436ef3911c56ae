//! A store that fails as stores fail: planned, or by chance from a seed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use apimachinery::GroupVersion;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use storage::{Error, KeyValue, Operation, Range, RangeResult, Revision, Storage, Watch, WatchBatch};
use tokio::sync::watch;

use crate::seeds::Random;

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It happens.
    None,
    /// Somebody else is faster with the first of its keys: creates it where it is to be created, else annotates the object there with
    /// `touched` (the revision that it had).
    Conflict,
    /// The same with the last of its keys: what is committed with the object, where there is anything.
    ConflictBeside,
    /// Nothing happens, and an error is answered.
    Refused,
    /// It happens, and an error is answered.
    AnswerLost,
    /// It happens, others go on meanwhile, and the answer comes late.
    Delayed,
    /// The server ends before it: nothing happens any more, to this one and all that follow.
    KilledBefore,
    /// The server ends after it: it happens, and nobody hears of it; nothing happens any more to all that follow.
    KilledAfter,
}

/// How often what happens by chance, in hundredths.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "as in `Fault`; a read is refused, a watch ends")]
pub struct Odds {
    pub conflict: u64,
    pub conflict_beside: u64,
    pub refused: u64,
    pub answer_lost: u64,
    pub delayed: u64,
    pub read_refused: u64,
    pub watch_ends: u64,
}

/// Other tasks are let go on so often while something is late.
const DELAY_TURNS_MAX: u64 = 12;

/// The store.
pub struct FaultyStorage {
    store: Arc<dyn Storage>,
    plan: Mutex<VecDeque<Fault>>,
    chance: Arc<Mutex<Option<(Random, Odds)>>>,
    commits: AtomicU64,
    killed: watch::Sender<bool>,
}

impl FaultyStorage {
    /// Over a store, which fails by itself only.
    pub fn new(store: Arc<dyn Storage>) -> Arc<Self> {
        Arc::new(Self {
            store,
            plan: Mutex::default(),
            chance: Arc::default(),
            commits: AtomicU64::new(0),
            killed: watch::Sender::new(false),
        })
    }

    /// What becomes of the next commits, in place of what was planned before.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.plan.lock() = faults.into_iter().collect();
    }

    /// Whether there were as many commits as were planned for.
    pub fn is_plan_over(&self) -> bool {
        self.plan.lock().is_empty()
    }

    /// From now on faults happen by chance, where none is planned; none: not any more.
    pub fn by_chance(&self, chance: Option<(Random, Odds)>) {
        *self.chance.lock() = chance;
    }

    /// How many commits were tried.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    /// The server is dead: nothing happens any more, and its watches end.
    pub fn kill(&self) {
        self.killed.send_replace(true);
    }

    /// Whether it is.
    pub fn is_killed(&self) -> bool {
        *self.killed.borrow()
    }

    fn alive(&self) -> Result<(), Error> {
        if self.is_killed() { Err(Error::Unavailable("the server was killed".into())) } else { Ok(()) }
    }

    fn next_fault(&self) -> Fault {
        if let Some(planned) = self.plan.lock().pop_front() {
            return planned;
        }
        let mut chance = self.chance.lock();
        let Some((random, odds)) = &mut *chance else { return Fault::None };
        let mut drawn = random.below(100);
        for (odds, fault) in [
            (odds.conflict, Fault::Conflict),
            (odds.conflict_beside, Fault::ConflictBeside),
            (odds.refused, Fault::Refused),
            (odds.answer_lost, Fault::AnswerLost),
            (odds.delayed, Fault::Delayed),
        ] {
            if drawn < odds {
                return fault;
            }
            drawn -= odds;
        }
        Fault::None
    }

    async fn read(&self) -> Result<(), Error> {
        self.alive()?;
        let refused = self.chance.lock().as_mut().is_some_and(|(random, odds)| random.percent(odds.read_refused));
        if refused { Err(Error::Unavailable("a read is refused".into())) } else { Ok(()) }
    }

    /// Lets others go on.
    async fn delay(&self) {
        let turns = self.chance.lock().as_mut().map_or(DELAY_TURNS_MAX, |(random, _)| 1 + random.below(DELAY_TURNS_MAX));
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    /// Somebody else is faster.
    async fn interfere(&self, operation: &Operation) -> Result<(), Error> {
        let (found, _) = self.store.get(&operation.key).await?;
        let other = match (found, &operation.value) {
            (Some(found), _) => touched(&found).map(|value| Operation::update(&*found.key, found.mod_revision, value)),
            (None, Some(value)) => Some(Operation { value: Some(value.clone()), ..operation.clone() }),
            (None, None) => None,
        };
        match other {
            Some(other) => self.store.commit(vec![other]).await.map(drop),
            None => Ok(()),
        }
    }
}

/// The object of a key with an annotation more; none where what is there is no object.
fn touched(found: &KeyValue) -> Option<Bytes> {
    let mut object: Value = serde_json::from_slice(&found.value).ok()?;
    let kind = GroupVersion::parse(object["apiVersion"].as_str()?)?.with_kind(object["kind"].as_str()?.to_owned());
    object["metadata"]["annotations"]["touched"] = found.mod_revision.to_string().into();
    Some(objectstore::layout::encode(&object, &kind).into())
}

#[async_trait]
impl Storage for FaultyStorage {
    async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error> {
        self.alive()?;
        self.commits.fetch_add(1, Ordering::AcqRel);
        // As over a network or a disk: nobody has an answer at once.
        tokio::task::yield_now().await;
        match self.next_fault() {
            Fault::None => self.store.commit(operations).await,
            Fault::Refused => Err(Error::Unavailable("refused".into())),
            Fault::AnswerLost => {
                self.store.commit(operations).await?;
                Err(Error::Unavailable("the answer is lost".into()))
            }
            fault @ (Fault::Conflict | Fault::ConflictBeside) => {
                let met = if fault == Fault::Conflict { operations.first() } else { operations.last() };
                if let Some(met) = met {
                    self.interfere(met).await?;
                }
                self.store.commit(operations).await
            }
            Fault::Delayed => {
                self.delay().await;
                let answer = self.store.commit(operations).await;
                self.delay().await;
                answer
            }
            Fault::KilledBefore => {
                self.kill();
                self.alive().map(|()| 0)
            }
            Fault::KilledAfter => {
                self.store.commit(operations).await?;
                self.kill();
                self.alive().map(|()| 0)
            }
        }
    }

    async fn get(&self, key: &str) -> Result<(Option<KeyValue>, Revision), Error> {
        self.read().await?;
        self.store.get(key).await
    }

    async fn range(&self, range: Range) -> Result<RangeResult, Error> {
        self.read().await?;
        self.store.range(range).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, Error> {
        self.alive()?;
        let watch = self.store.watch(prefix, from).await?;
        Ok(Box::new(FaultyWatch { watch, killed: self.killed.subscribe(), chance: self.chance.clone(), late: VecDeque::new() }))
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        self.alive()?;
        self.store.current_revision().await
    }

    async fn request_progress(&self) -> Result<bool, Error> {
        self.alive()?;
        self.store.request_progress().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.alive()?;
        self.store.compact(revision).await
    }

    async fn size_bytes(&self) -> Result<u64, Error> {
        self.store.size_bytes().await
    }

    async fn healthy(&self) -> Result<(), Error> {
        self.alive()?;
        self.store.healthy().await
    }
}

/// A watch that ends by chance, and that delivers changes in other batches than the store.
struct FaultyWatch {
    watch: Box<dyn Watch>,
    killed: watch::Receiver<bool>,
    chance: Arc<Mutex<Option<(Random, Odds)>>>,
    /// Parts of a batch that are still to be delivered.
    late: VecDeque<WatchBatch>,
}

impl FaultyWatch {
    /// Cuts a batch between two revisions, by chance.
    fn cut(&mut self, batch: WatchBatch) {
        let WatchBatch::Events(events) = batch else { return self.late.push_back(batch) };
        let mut part = Vec::new();
        for event in events {
            let is_new = part.last().is_some_and(|last: &storage::Event| last.revision != event.revision);
            if is_new && self.chance.lock().as_mut().is_some_and(|(random, _)| random.percent(50)) {
                self.late.push_back(WatchBatch::Events(std::mem::take(&mut part)));
            }
            part.push(event);
        }
        self.late.push_back(WatchBatch::Events(part));
    }
}

#[async_trait]
impl Watch for FaultyWatch {
    async fn next(&mut self) -> Result<WatchBatch, Error> {
        let ends = self.chance.lock().as_mut().is_some_and(|(random, odds)| random.percent(odds.watch_ends));
        if ends {
            return Err(Error::Unavailable("the watch ends".into()));
        }
        if self.late.is_empty() {
            let batch = tokio::select! {
                _ = self.killed.wait_for(|killed| *killed) => return Err(Error::Unavailable("the server was killed".into())),
                batch = self.watch.next() => batch?,
            };
            self.cut(batch);
        } else {
            tokio::task::yield_now().await;
        }
        self.late.pop_front().ok_or_else(|| Error::Unavailable("an empty batch".into()))
    }
}
