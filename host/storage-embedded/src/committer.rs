//! The one thread that writes.
//!
//! It takes what waits as a group, checks each transaction's guards against the index, appends the group to the log in one
//! redb transaction, which is one fsync, publishes the new snapshot and only then answers. While the disk syncs, the next
//! group gathers. Expiry and compaction go along with the groups, a bounded step each, so that neither stalls a writer.
//!
//! What must hold: the index, the queues and the revision change only after the engine has committed. A group that fails
//! leaves no trace, unless the disk failed in the middle of it: then the file is opened again, and it says how far it came.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use redb::{Database, WriteTransaction};
use storage::{Error, Event, Operation, Revision};

use crate::copy::Copy;
use crate::disk::{Disk, Reserve};
use crate::error::{EngineError, catch, is_no_space};
use crate::group::Group;
use crate::index::Index;
use crate::limits::{
    COPY_GARBAGE_RECORDS_MAX, COPY_STEP_BYTES_MAX, EXPIRY_STEP_KEYS_MAX, GARBAGE_STEP_RECORDS_MAX, HISTORY_BYTES_MAX, RETRY_INTERVAL,
    SPARSE_RATIO,
};
use crate::open;
use crate::options::Options;
use crate::queue::{Request, Work};
use crate::record::{META, META_COMPACTED};
use crate::shared::Shared;
use crate::snapshot::{Readers, Snapshot};
use crate::state::{Note, State};

/// A group that is committed: the answers to its requests, and what changes in the committer's state.
struct Done {
    answers: Vec<Result<Revision, Error>>,
    index: Index,
    revision: Revision,
    compacted: Revision,
    notes: Vec<Note>,
    events: Option<Vec<Event>>,
    garbage: usize,
}

/// Work of the committer's own that goes into a group: keys that expire, history to forget.
#[derive(Default)]
struct Chores {
    expired: Vec<Operation>,
    compact: Option<Revision>,
    garbage: usize,
}

impl Chores {
    fn is_empty(&self) -> bool {
        self.expired.is_empty() && self.compact.is_none() && self.garbage == 0
    }
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    reserve: Arc<Reserve>,
    /// `None`: the file failed and could not be opened again yet.
    database: Option<Database>,
    readers: Readers,
    state: State,
    options: Options,
    /// The smaller file that is being written, where there is one.
    copy: Option<Copy>,
    /// Files that were replaced by a smaller one, each kept open until its last reader is gone.
    retired: Vec<(Readers, Database)>,
    /// The error that every write gets; `None`: writes are taken.
    refusal: Option<Error>,
    housekeeping_due: Instant,
    retry_due: Instant,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        reserve: Arc<Reserve>,
        database: Database,
        readers: Readers,
        state: State,
        options: Options,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            disk,
            reserve,
            database: Some(database),
            readers,
            state,
            copy: None,
            retired: Vec::new(),
            refusal: None,
            housekeeping_due: now + options.housekeeping_interval,
            options,
            // Not at once: the reserve takes time to write, and a store in a test lives for a moment only.
            retry_due: now + RETRY_INTERVAL,
        }
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let (mut answered, mut took) = (0, Duration::ZERO);
        loop {
            self.shared.queue.gather(answered, took);
            let requests = self.shared.queue.take(self.deadline());
            let started = Instant::now();
            answered = requests.len();
            if requests.is_empty() && self.shared.queue.is_closed() {
                break;
            }
            self.recover();
            match &self.refusal {
                Some(refusal) => refuse(requests, refusal),
                None => {
                    let chores = self.chores();
                    if !requests.is_empty() || !chores.is_empty() {
                        self.commit(requests, chores);
                    } else if self.copy.is_some() {
                        // It costs fsyncs of its own: only while nobody waits.
                        self.copy_step();
                    }
                }
            }
            took = started.elapsed();
        }
        self.shared.window.close();
        self.shared.withdraw(None);
        self.drop_copy();
        if let Some(database) = self.database.take()
            && let Err(error) = database.close()
        {
            tracing::warn!(%error, "the store was not closed cleanly; it will be checked when it is opened again");
        }
    }

    /// When the committer has work to do even if no request comes.
    fn deadline(&self) -> Instant {
        if self.refusal.is_some() {
            return self.retry_due;
        }
        let now = Instant::now();
        if self.copy.is_some() || self.state.garbage(1) > 0 {
            return now;
        }
        let expiry = self.state.expiries.first().map(|(at, _)| now + Duration::from_millis(at.saturating_sub(self.now_millis())));
        let reserve = (!self.reserve.is_laid_up()).then_some(self.retry_due);
        [expiry, reserve].into_iter().flatten().fold(self.housekeeping_due, Instant::min)
    }

    /// Opens the engine again where it failed, and lays up the reserve where it is missing.
    fn recover(&mut self) {
        let now = Instant::now();
        if self.retry_due > now || (self.refusal.is_none() && self.reserve.is_laid_up()) {
            return;
        }
        self.retry_due = now + RETRY_INTERVAL;
        if self.database.is_none() && !self.reopen() {
            return;
        }
        if self.reserve.is_laid_up() {
            self.refusal = None;
            return;
        }
        self.refusal = match self.reserve.lay_up() {
            Ok(()) => None,
            Err(error) if is_no_space(&error) => Some(no_space(&error.to_string())),
            Err(error) => {
                // No reason not to write; only that a full disk would be worse.
                tracing::warn!(%error, "the reserve cannot be laid up");
                self.retry_due = now + 60 * RETRY_INTERVAL;
                None
            }
        };
    }

    /// The time that keys' ends are told in: milliseconds since 1970.
    fn now_millis(&self) -> u64 {
        self.options.clock.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    /// What is due beside the requests.
    fn chores(&mut self) -> Chores {
        let compact = self.housekeeping();
        let now = self.now_millis();
        let due = self.state.expiries.iter().take(EXPIRY_STEP_KEYS_MAX).take_while(|(at, _)| *at <= now);
        let expired = due.filter_map(|(_, key)| {
            let versions = self.state.index.live(key)?;
            Some(Operation::delete(&**key, versions.head.place.revision()))
        });
        let expired = expired.collect();
        if self.copy.is_some() && self.state.garbage(COPY_GARBAGE_RECORDS_MAX) == COPY_GARBAGE_RECORDS_MAX {
            self.drop_copy();
        }
        // Nothing is removed during a copy: it would not see that a record that it has copied already is gone.
        let garbage = if self.copy.is_some() { 0 } else { self.state.garbage(GARBAGE_STEP_RECORDS_MAX) };
        Chores { expired, compact, garbage }
    }

    /// The revision up to which history is to be forgotten now, where there is one. Begins a copy where the file is sparse.
    fn housekeeping(&mut self) -> Option<Revision> {
        let now = Instant::now();
        let overdue = self.state.superseded_bytes > HISTORY_BYTES_MAX + HISTORY_BYTES_MAX / 4 && self.state.garbage(1) == 0;
        if now < self.housekeeping_due && !overdue {
            return None;
        }
        self.housekeeping_due = now + self.options.housekeeping_interval;
        let oldest =
            self.state.revision.saturating_sub(self.options.history_revisions_max).max(self.state.oldest_within(HISTORY_BYTES_MAX));
        self.retired.retain(|(readers, _)| Arc::strong_count(readers) > 1);
        let is_sparse =
            self.disk.size_bytes().is_ok_and(|size| size > self.options.sparse_file_bytes_min.max(self.state.stored_bytes * SPARSE_RATIO));
        if is_sparse && self.copy.is_none() && self.retired.is_empty() && self.state.garbage(1) == 0 {
            match catch(|| Copy::begin(&*self.disk, &self.reserve)) {
                Ok(copy) => self.copy = Some(copy),
                Err(error) => tracing::debug!(%error, "the store cannot be copied to a smaller file"),
            }
        }
        (oldest > self.state.compacted).then_some(oldest)
    }

    fn commit(&mut self, requests: Vec<Request>, chores: Chores) {
        let had_reserve = self.reserve.is_laid_up();
        let result = match &self.database {
            Some(database) => catch(|| {
                let done = self.write(database, &requests, chores)?;
                let snapshot = Snapshot::new(database, &self.readers, done.index.clone(), done.revision, done.compacted)?;
                Ok((done, snapshot))
            }),
            None => Err(Error::Unavailable("the store is not open".into()).into()),
        };
        match result {
            Ok((done, snapshot)) => {
                self.state.index = done.index;
                self.state.revision = done.revision;
                self.state.compacted = done.compacted;
                self.state.forget(done.garbage);
                done.notes.into_iter().for_each(|note| self.state.note(note));
                self.shared.publish(snapshot, done.events);
                for (request, answer) in requests.into_iter().zip(done.answers) {
                    // Fails where the writer no longer waits, because its request was cancelled.
                    let _ = request.answer.send(answer);
                }
                if had_reserve && !self.reserve.is_laid_up() {
                    self.refusal = Some(no_space("the reserve is used up"));
                    self.retry_due = Instant::now() + RETRY_INTERVAL;
                }
            }
            Err(error) => self.fail(requests, error.into_storage()),
        }
    }

    /// The next step of the copy; after the last, the copy is the store.
    fn copy_step(&mut self) {
        let Some(mut copy) = self.copy.take() else { return };
        let Ok(snapshot) = self.shared.snapshot() else { return };
        match catch(|| copy.step(&snapshot, COPY_STEP_BYTES_MAX)) {
            Ok(false) => self.copy = Some(copy),
            Ok(true) => self.adopt(copy, &snapshot),
            Err(error) => {
                tracing::warn!(%error, "the store was not copied to a smaller file");
                self.copy = Some(copy);
                self.drop_copy();
            }
        }
    }

    fn adopt(&mut self, copy: Copy, old: &Arc<Snapshot>) {
        let readers = Readers::default();
        let copied = catch(|| {
            let database = copy.finish(old)?;
            let snapshot = Snapshot::new(&database, &readers, self.state.index.clone(), self.state.revision, self.state.compacted)?;
            Ok((database, snapshot))
        });
        match copied {
            Ok((database, snapshot)) => match self.disk.adopt_other() {
                Ok(()) => {
                    self.shared.publish(snapshot, None);
                    let old_readers = std::mem::replace(&mut self.readers, readers);
                    if let Some(replaced) = self.database.replace(database) {
                        self.retired.push((old_readers, replaced));
                    }
                }
                // It is not known which of the two files has the name now. The file is opened again before anything else is acknowledged.
                Err(error) => {
                    drop((database, snapshot));
                    self.fail(Vec::new(), Error::Unavailable(format!("the store's new file: {error}")));
                }
            },
            Err(error) => {
                tracing::warn!(%error, "the store was not copied to a smaller file");
                _ = self.disk.discard_other();
            }
        }
    }

    fn drop_copy(&mut self) {
        if let Some(copy) = self.copy.take() {
            drop(copy);
            _ = self.disk.discard_other();
        }
    }

    /// Answers a group that failed, or of which it is not known whether it was committed, and opens the file again: after an error redb takes
    /// no further calls.
    fn fail(&mut self, requests: Vec<Request>, error: Error) {
        tracing::error!(%error, "a group of writes failed; the store is opened again");
        self.drop_copy();
        if let Some(database) = self.database.take() {
            self.shared.withdraw(Some(error.to_string()));
            // Closing reports the error that is known already.
            let _ = catch(|| Ok(database.close()));
        }
        self.retry_due = Instant::now() + RETRY_INTERVAL;
        if self.reopen() && !matches!(error, Error::NoSpace(_)) {
            self.refusal = None;
        } else if self.refusal.is_none() {
            self.refusal = Some(copy(&error));
        }
        refuse(requests, &error);
    }

    /// Opens the file again, and checks that the newest acknowledged revision is in it.
    fn reopen(&mut self) -> bool {
        let readers = Readers::default();
        let opened = catch(|| {
            let (database, state) = open::open(&*self.disk, &self.reserve)?;
            if state.revision < self.state.revision {
                let what = format!("revision {} was acknowledged, and the disk is at {}", self.state.revision, state.revision);
                return Err(Error::Corrupt(what).into());
            }
            let snapshot = Snapshot::new(&database, &readers, state.index.clone(), state.revision, state.compacted)?;
            Ok((database, state, snapshot))
        });
        match opened {
            Ok((database, state, snapshot)) => {
                tracing::info!(revision = state.revision, "the store is open again");
                self.shared.publish(snapshot, None);
                (self.database, self.readers, self.state) = (Some(database), readers, state);
                true
            }
            Err(error) => {
                let error = error.into_open(&self.disk.name());
                tracing::error!(%error, "the store cannot be opened again");
                self.shared.withdraw(Some(error.to_string()));
                self.refusal = Some(error);
                false
            }
        }
    }

    fn write(&self, database: &Database, requests: &[Request], chores: Chores) -> Result<Done, EngineError> {
        let transaction = database.begin_write()?;
        let done = self.fill(&transaction, requests, chores)?;
        if done.notes.is_empty() && done.garbage == 0 && done.compacted == self.state.compacted {
            transaction.abort()?;
            return Ok(done);
        }
        if done.compacted != self.state.compacted {
            transaction.open_table(META)?.insert(META_COMPACTED, done.compacted)?;
        }
        // redb's default durability: the commit returns when the file is synced.
        transaction.commit()?;
        Ok(done)
    }

    /// Puts the whole group into a transaction, and does not commit it.
    fn fill(&self, transaction: &WriteTransaction, requests: &[Request], chores: Chores) -> Result<Done, EngineError> {
        let mut group = Group::new(transaction, &self.state, self.shared.window.is_watched(), self.now_millis())?;
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(match &request.work {
                Work::Commit(operations) => group.apply(operations)?,
                Work::Compact(revision) => group.compact(*revision),
            });
        }
        for operation in chores.expired {
            // A refusal means that a request of this group has written the key already.
            let _ = group.apply(&[operation])?;
        }
        if let Some(revision) = chores.compact {
            group.compacted = group.compacted.max(revision);
        }
        // As many versions as the group adds, so that they do not pile up under load, and one step more.
        let garbage = if chores.garbage == 0 { 0 } else { self.state.garbage(group.notes.len() + GARBAGE_STEP_RECORDS_MAX) };
        for old in self.state.superseded.range(..garbage) {
            group.forget(old)?;
        }
        let Group { index, revision, compacted, notes, events, .. } = group;
        Ok(Done { answers, index, revision, compacted, notes, events, garbage })
    }
}

fn refuse(requests: Vec<Request>, error: &Error) {
    for request in requests {
        let _ = request.answer.send(Err(copy(error)));
    }
}

/// The error again, for the next request of the group. Only failures of the whole store come here, never those of one transaction.
fn copy(error: &Error) -> Error {
    match error {
        Error::NoSpace(what) => Error::NoSpace(what.clone()),
        Error::Corrupt(what) => Error::Corrupt(what.clone()),
        Error::Unavailable(what) => Error::Unavailable(what.clone()),
        other => Error::Unavailable(other.to_string()),
    }
}

fn no_space(what: &str) -> Error {
    Error::NoSpace(format!("{what}; make room on the disk of the data directory, and writes go on by themselves"))
}
