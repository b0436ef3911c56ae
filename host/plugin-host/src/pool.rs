//! The instances of a plugin: a stack of idle ones, a bound on all, and a lease for each call.
//!
//! The lock guards the stack and is held for a push or a pop. An instance comes back only where its call went well;
//! in every other case (a fault, a caller who went away) it is dropped with whatever state it was in.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::instance::{Instance, InstanceTemplate, StartError};
use crate::{limits, nested};

/// The instances of one plugin.
pub(crate) struct Pool {
    template: InstanceTemplate,
    idle: Mutex<Vec<Instance>>,
    permits: Semaphore,
    /// For calls from within another call. Of their own, so that callers who hold all of `permits` never wait for each other.
    nested_permits: Semaphore,
    instances_max: u32,
    /// More than that are not kept: an idle server should be a small one.
    idle_max: usize,
    reused: bool,
    wait: Duration,
}

/// An instance for one call.
pub(crate) struct Lease<'a> {
    instance: Option<Instance>,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// `wait`: how long a call waits for an instance.
    pub(crate) fn new(template: InstanceTemplate, instances_max: u32, reused: bool, wait: Duration) -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        let permits = || Semaphore::new(instances_max as usize);
        let (permits, nested_permits) = (permits(), permits());
        Self { template, idle: Mutex::default(), permits, nested_permits, instances_max, idle_max: workers, reused, wait }
    }

    /// Where the feed of the plugin stands now; 0 where it watches nothing.
    pub(crate) fn position(&self) -> u64 {
        self.template.feed.as_ref().map_or(0, |feed| feed.cursor())
    }

    /// Makes the first instance, and so finds out whether there can be any.
    pub(crate) async fn warm_up(&self) -> Result<(), StartError> {
        let instance = self.template.start(limits::START_TIMEOUT).await?;
        if self.reused {
            self.idle.lock().push(instance);
        }
        Ok(())
    }

    /// An instance that knows the cluster's state as of now.
    pub(crate) async fn lease(&self) -> Result<Lease<'_>, Fault> {
        let permits = if nested::is_running() { &self.nested_permits } else { &self.permits };
        let permit = match permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match timeout(self.wait, permits.acquire()).await {
                Ok(Ok(permit)) => permit,
                _ => return Err(Fault::Busy(self.instances_max)),
            },
        };
        let idle = self.idle.lock().pop();
        let instance = match idle {
            Some(mut instance) => {
                self.template.catch_up(&mut instance).await?;
                instance
            }
            // A fresh one is part of the call; one that stays may have much to be told of first.
            None => {
                self.template.start(if self.reused { limits::START_TIMEOUT } else { self.wait }).await.map_err(|error| match error {
                    StartError::Refused(words) => Fault::Start(format!("it refuses its configuration: {words}")),
                    StartError::Fault(fault) => Fault::Start(fault.to_string()),
                })?
            }
        };
        let mut lease = Lease { instance: Some(instance), pool: self, _permit: permit };
        lease.instance().begin();
        Ok(lease)
    }
}

impl Lease<'_> {
    /// The instance.
    pub(crate) fn instance(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("a lease holds its instance until it is given back")
    }

    /// What became of the call.
    pub(crate) fn outcome<T>(
        &mut self,
        result: Result<wasmtime::Result<T>, tokio::time::error::Elapsed>,
        timeout: Duration,
    ) -> Result<T, Fault> {
        match result {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.instance().fault(&error)),
            Err(_) => Err(Fault::Timeout(timeout.as_millis() as u64)),
        }
    }

    /// The call went well: the instance may serve another.
    pub(crate) fn give_back(mut self) {
        if !self.pool.reused {
            return;
        }
        let instance = self.instance.take().expect("a lease holds its instance until it is given back");
        // One that keeps what it was handed would grow for ever: another takes its place.
        if instance.store.data().handles_held > limits::REQUEST_HANDLES_HELD_MAX {
            return;
        }
        let mut idle = self.pool.idle.lock();
        if idle.len() < self.pool.idle_max {
            idle.push(instance);
        }
        // What is one too many is dropped after the lock.
    }
}
