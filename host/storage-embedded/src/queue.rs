//! The way from the writers to the committer: bounded, and in the order of arrival.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use storage::{Error, Operation, Revision};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::limits::{
    GATHER_DURATION_MAX, GATHER_PAUSE_MIN, GATHER_REQUESTS_MIN, GATHER_TIMES_MAX, GROUP_BYTES_MAX, GROUP_REQUESTS_MAX, QUEUE_BYTES_MAX,
    QUEUED_REQUEST_BYTES_MIN,
};

/// What the committer is asked to do.
pub(crate) enum Work {
    /// All operations at one revision, or none.
    Commit(Vec<Operation>),
    /// Forget the history before a revision.
    Compact(Revision),
}

/// Work, and the channel on which it is answered.
pub(crate) struct Request {
    pub work: Work,
    pub answer: oneshot::Sender<Result<Revision, Error>>,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    closed: bool,
}

const ROOM_UNIT_BYTES: usize = 1 << 10;

impl Queue {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX / ROOM_UNIT_BYTES)) }
    }

    /// Hands work to the committer and waits until it is durable, or refused.
    pub(crate) async fn submit(&self, work: Work, bytes: usize) -> Result<Revision, Error> {
        let closed = || Error::Unavailable("the store is closed".into());
        let units = bytes.max(QUEUED_REQUEST_BYTES_MIN).div_ceil(ROOM_UNIT_BYTES);
        let room = self.room.clone().acquire_many_owned(units as u32).await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if state.closed {
                return Err(closed());
            }
            state.requests.push_back(Request { work, answer, bytes, _room: room });
        }
        self.wake.notify_one();
        answered.await.map_err(|_| Error::Unavailable("the store was closed; whether the write took effect is not known".into()))?
    }

    /// Waits a moment for writers who were just answered, and who mostly have more to write: a transaction and its fsync cost nearly the same
    /// for two writers as for fifty. `took` is how long the last group did; the wait is a few times that, and ends when as many wait
    /// as were answered. A few writers are never made to wait.
    pub(crate) fn gather(&self, answered: usize, took: Duration) {
        if answered < GATHER_REQUESTS_MIN {
            return;
        }
        let waiting = || self.state.lock().requests.len();
        let expected = (waiting() + answered).min(GROUP_REQUESTS_MAX);
        let until = Instant::now() + (took * GATHER_TIMES_MAX).min(GATHER_DURATION_MAX);
        let pause = (took / 2).max(GATHER_PAUSE_MIN);
        while waiting() < expected && Instant::now() < until {
            std::thread::sleep(pause);
        }
    }

    /// The next group: what waits, up to the limits of a group. Empty at `deadline` or when the queue was closed.
    pub(crate) fn take(&self, deadline: Instant) -> Vec<Request> {
        let mut state = self.state.lock();
        while state.requests.is_empty() && !state.closed {
            if self.wake.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        let mut bytes = 0;
        let fits = |request: &&Request| {
            bytes += request.bytes;
            bytes <= GROUP_BYTES_MAX
        };
        let count = state.requests.iter().take(GROUP_REQUESTS_MAX).take_while(fits).count();
        let count = count.max(1).min(state.requests.len());
        state.requests.drain(..count).collect()
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.room.close();
        self.wake.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}
