//! Requests that are much work leave the async workers, so that the others go on being served.
//!
//! A worker serves many requests by turns, and none of the others while it decodes, defaults, validates and encodes a body of megabytes.
//! A handler says how many bytes it is about to work on ([`Load::add`]). Once these are many, the request waits for one of a few permits,
//! and from then on each of its turns runs where tokio lets a thread block: another thread takes the worker's place. Small requests
//! pay for one addition.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::limits::{HEAVY_BYTES_MIN, HEAVY_REQUESTS_MAX};

/// Permits of heavy requests: they bound threads and memory.
static PERMITS: Semaphore = Semaphore::const_new(HEAVY_REQUESTS_MAX);

/// The work of one request. Clones are the same request's.
#[derive(Clone, Default)]
pub struct Load(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: AtomicUsize,
    heavy: AtomicBool,
    /// Given back when the request ends.
    permit: Mutex<Option<SemaphorePermit<'static>>>,
}

impl Load {
    /// Says that the request is about to work on so many bytes more. Waits for a permit where that makes it heavy.
    pub async fn add(&self, bytes: usize) {
        let all = self.0.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all < HEAVY_BYTES_MIN || self.0.heavy.load(Ordering::Relaxed) {
            return;
        }
        // The semaphore is never closed.
        let permit = PERMITS.acquire().await.ok();
        *self.0.permit.lock() = permit;
        self.0.heavy.store(true, Ordering::Relaxed);
        // The work begins with the next turn, which is not a worker's.
        tokio::task::yield_now().await;
    }

    /// Whether the request has left the workers.
    pub fn is_heavy(&self) -> bool {
        self.0.heavy.load(Ordering::Relaxed)
    }

    /// Runs a request of this load.
    pub(crate) fn carry<F: Future>(&self, request: F) -> Carried<F> {
        Carried { load: self.clone(), request: Box::pin(request) }
    }
}

/// A request whose turns leave the workers when it is heavy.
pub(crate) struct Carried<F> {
    load: Load,
    request: Pin<Box<F>>,
}

impl<F: Future> Future for Carried<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // A runtime of one thread has nowhere to go: only tests have one.
        let elsewhere = self.load.is_heavy() && Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
        if elsewhere {
            return tokio::task::block_in_place(|| self.request.as_mut().poll(context));
        }
        self.request.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// With one worker, which a heavy request keeps busy until another request has been served.
    #[test]
    fn heavy_requests_leave_the_worker_to_others() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (served, wait) = mpsc::channel();
        let heavy = runtime.spawn(async move {
            let load = Load::default();
            load.clone()
                .carry(async move {
                    load.add(HEAVY_BYTES_MIN).await;
                    assert!(load.is_heavy());
                    // Work without an await: ends when the other request was served, or gives up after longer than any pause.
                    wait.recv_timeout(std::time::Duration::from_secs(60)).is_ok()
                })
                .await
        });
        let light = runtime.spawn(async move {
            let load = Load::default();
            load.clone()
                .carry(async move {
                    load.add(HEAVY_BYTES_MIN - 1).await;
                    assert!(!load.is_heavy());
                    // Behind the other's first turn.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    served.send(()).is_ok()
                })
                .await
        });
        assert!(runtime.block_on(heavy).expect("no panic"), "the worker was not free");
        assert!(runtime.block_on(light).expect("no panic"));
    }

    #[tokio::test]
    async fn heavy_requests_are_few_and_give_their_permit_back() {
        let mut loads = Vec::new();
        for _ in 0..HEAVY_REQUESTS_MAX {
            let load = Load::default();
            load.add(HEAVY_BYTES_MIN / 2).await;
            load.add(HEAVY_BYTES_MIN).await;
            loads.push(load);
        }
        let waiting = Load::default();
        let mut next = std::pin::pin!(waiting.add(HEAVY_BYTES_MIN));
        assert!(futures::poll!(&mut next).is_pending());
        loads.pop();
        next.await;
        assert!(waiting.is_heavy());
    }
}
