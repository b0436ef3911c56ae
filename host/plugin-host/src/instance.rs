//! One running copy of a plugin: a store, its exports, and how much of the cluster's changes it has been told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::time::timeout;
use wasmtime::Store;

use crate::cluster::{Changes, Feed};
use crate::component::Linked;
use crate::fault::Fault;
use crate::guest::Exports;
use crate::host::{HostState, Shared};
use crate::limits;
use crate::projection::ProjectedResource;

/// What instances of a plugin are made from.
pub(crate) struct InstanceTemplate {
    pub(crate) linked: Linked,
    pub(crate) shared: Arc<Shared>,
    pub(crate) memory_bytes_max: usize,
    /// JSON, as the guest gets it.
    pub(crate) config: Vec<u8>,
    /// What of them the plugin is told.
    pub(crate) watches: Vec<ProjectedResource>,
    /// The resources that the plugin watches.
    pub(crate) feed: Option<Arc<dyn Feed>>,
    /// How many live.
    pub(crate) live: IntGauge,
}

/// Why there is no new instance.
pub(crate) enum StartError {
    /// The guest's answer to `configure`.
    Refused(String),
    /// It gave none.
    Fault(Fault),
}

/// A running copy.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    pub(crate) exports: Exports,
    /// How far it has been told; `None`: nothing yet.
    cursor: Option<u64>,
    live: IntGauge,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.live.dec();
    }
}

impl InstanceTemplate {
    /// A new instance, configured and told of the cluster's state.
    pub(crate) async fn start(&self, within: Duration) -> Result<Instance, StartError> {
        match timeout(within, self.try_start()).await {
            Ok(result) => result,
            Err(_) => Err(StartError::Fault(Fault::Timeout(within.as_millis() as u64))),
        }
    }

    async fn try_start(&self) -> Result<Instance, StartError> {
        let state = HostState::new(self.shared.clone(), self.memory_bytes_max);
        let mut store = Store::new(self.linked.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits::COPIED_BYTES_PER_CALL_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let mut instance = self.instantiate(store).await?;
        let Instance { exports, store, .. } = &mut instance;
        store.data_mut().deadline = Some(Instant::now() + limits::START_TIMEOUT);
        let configured = exports.configure(store, &self.config).await;
        store.data_mut().end();
        match configured {
            Ok(Ok(())) => {}
            Ok(Err(words)) => return Err(StartError::Refused(limits::shorten(&words, limits::MESSAGE_BYTES_MAX).to_owned())),
            Err(error) => return Err(StartError::Fault(instance.fault(&error))),
        }
        self.bring_up(&mut instance).await.map_err(StartError::Fault)?;
        Ok(instance)
    }

    async fn instantiate(&self, mut store: Store<HostState>) -> Result<Instance, StartError> {
        let refused = |store: &Store<HostState>, error: wasmtime::Error| {
            StartError::Fault(Fault::from_engine(&error, store.data().limiter.refused()))
        };
        let copy = match self.linked.pre.instantiate_async(&mut store).await {
            Ok(copy) => copy,
            Err(error) => return Err(refused(&store, error)),
        };
        let exports = match self.linked.exports.load(&mut store, &copy) {
            Ok(exports) => exports,
            Err(error) => return Err(StartError::Fault(Fault::Malformed(format!("{error:#}")))),
        };
        self.live.inc();
        Ok(Instance { store, exports, cursor: None, live: self.live.clone() })
    }

    /// Tells an instance of everything up to now. Costs an atomic load where nothing changed.
    pub(crate) async fn catch_up(&self, instance: &mut Instance) -> Result<(), Fault> {
        match &self.feed {
            Some(feed) if instance.cursor != Some(feed.cursor()) => {}
            _ => return Ok(()),
        }
        instance.begin();
        match timeout(limits::CATCH_UP_TIMEOUT, self.bring_up(instance)).await {
            Ok(result) => result.map_err(|fault| Fault::State(fault.to_string())),
            Err(_) => Err(Fault::State(Fault::Timeout(limits::CATCH_UP_TIMEOUT.as_millis() as u64).to_string())),
        }
    }

    async fn bring_up(&self, instance: &mut Instance) -> Result<(), Fault> {
        let Some(feed) = &self.feed else { return Ok(()) };
        let known = match instance.cursor {
            Some(cursor) => feed.changes_since(cursor),
            None => Changes::Lost,
        };
        match known {
            Changes::Since { cursor, list } => {
                let told = instance.exports.tell(&mut instance.store, &list, &self.watches).await;
                told.map_err(|error| instance.fault(&error))?;
                instance.cursor = Some(cursor);
            }
            Changes::Lost => {
                let state = feed.snapshot();
                for (resource, objects) in &state.objects {
                    let told = instance.exports.tell_all(&mut instance.store, resource, objects, &self.watches).await;
                    told.map_err(|error| instance.fault(&error))?;
                }
                instance.cursor = Some(state.cursor);
            }
        }
        Ok(())
    }
}

impl Instance {
    /// At which position of the feed it stands.
    pub(crate) fn position(&self) -> u64 {
        self.cursor.unwrap_or_default()
    }

    /// Before every call into the guest.
    pub(crate) fn begin(&mut self) {
        // The clock went on while nobody called; without this the guest would yield at once.
        self.store.set_epoch_deadline(1);
        self.store.data_mut().begin();
    }

    /// Why the guest did not answer.
    pub(crate) fn fault(&self, error: &wasmtime::Error) -> Fault {
        tracing::debug!(target: "plugin", plugin = self.store.data().shared.name, "{error:?}");
        Fault::from_engine(error, self.store.data().limiter.refused())
    }
}
