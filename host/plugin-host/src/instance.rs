//! One running copy of a plugin: a store, its exports, and how much of the cluster's changes it has been told.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::timeout;
use wasmtime::Store;

use crate::bindings::exports::wasmgate::plugin as exports;
use crate::bindings::wasmgate::plugin::types::GroupResourceParam;
use crate::cluster::{Change, Changes, Feed};
use crate::component::Linked;
use crate::fault::Fault;
use crate::host::{HostState, Limiter, Shared};
use crate::limits;

/// What instances of a plugin are made from.
pub(crate) struct Mould {
    pub(crate) linked: Linked,
    pub(crate) shared: Arc<Shared>,
    pub(crate) memory_bytes_max: usize,
    /// JSON, as the guest gets it.
    pub(crate) config: Vec<u8>,
    /// The resources that the plugin watches.
    pub(crate) feed: Option<Arc<dyn Feed>>,
    /// How many live.
    pub(crate) live: Gauge,
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
    plugin: exports::plugin::Guest,
    pub(crate) authenticator: Option<exports::authenticator::Guest>,
    pub(crate) authorizer: Option<exports::authorizer::Guest>,
    pub(crate) rules: Option<exports::rules::Guest>,
    pub(crate) mutating: Option<exports::mutating_admission::Guest>,
    pub(crate) validating: Option<exports::validating_admission::Guest>,
    changes: Option<exports::changes::Guest>,
    /// How far it has been told; `None`: nothing yet.
    cursor: Option<u64>,
    live: Gauge,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.live.dec();
    }
}

impl Mould {
    /// A new instance, configured and told of the cluster's state.
    pub(crate) async fn cast(&self, within: Duration) -> Result<Instance, StartError> {
        match timeout(within, self.try_cast()).await {
            Ok(result) => result,
            Err(_) => Err(StartError::Fault(Fault::Timeout(within.as_millis() as u64))),
        }
    }

    async fn try_cast(&self) -> Result<Instance, StartError> {
        let state = HostState {
            shared: self.shared.clone(),
            lent: Default::default(),
            admitting: None,
            limiter: Limiter::new(self.memory_bytes_max),
            log_lines_left: limits::LOG_LINES_PER_CALL_MAX,
        };
        let mut store = Store::new(self.linked.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits::COPIED_BYTES_PER_CALL_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let mut instance = self.instantiate(store).await?;
        let Instance { plugin, store, .. } = &mut instance;
        match plugin.call_configure(&mut *store, &self.config).await {
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
        let indices = &self.linked.exports;
        /// The functions of an interface, if the plugin has it.
        macro_rules! load {
            ($field:ident) => {
                match indices.$field.as_ref().map(|indices| indices.load(&mut store, &copy)).transpose() {
                    Ok(guest) => guest,
                    Err(error) => return Err(StartError::Fault(Fault::Malformed(format!("{error:#}")))),
                }
            };
        }
        let plugin = match indices.plugin.load(&mut store, &copy) {
            Ok(guest) => guest,
            Err(error) => return Err(StartError::Fault(Fault::Malformed(format!("{error:#}")))),
        };
        let authenticator = load!(authenticator);
        let authorizer = load!(authorizer);
        let rules = load!(rules);
        let mutating = load!(mutating);
        let validating = load!(validating);
        let changes = load!(changes);
        self.live.inc();
        Ok(Instance {
            store,
            plugin,
            authenticator,
            authorizer,
            rules,
            mutating,
            validating,
            changes,
            cursor: None,
            live: self.live.clone(),
        })
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
                instance.apply(&list).await?;
                instance.cursor = Some(cursor);
            }
            Changes::Lost => {
                let state = feed.snapshot();
                instance.reset(&state.objects).await?;
                instance.cursor = Some(state.cursor);
            }
        }
        Ok(())
    }
}

impl Instance {
    /// Before every call into the guest.
    pub(crate) fn begin(&mut self) {
        // The clock went on while nobody called; without this the guest would yield at once.
        self.store.set_epoch_deadline(1);
        let state = self.store.data_mut();
        state.limiter.begin();
        state.log_lines_left = limits::LOG_LINES_PER_CALL_MAX;
    }

    /// Why the guest did not answer.
    pub(crate) fn fault(&self, error: &wasmtime::Error) -> Fault {
        tracing::debug!(target: "plugin", plugin = self.store.data().shared.name, "{error:?}");
        Fault::from_engine(error, self.store.data().limiter.refused())
    }

    async fn reset(&mut self, objects: &[(apimachinery::GroupResource, Vec<bytes::Bytes>)]) -> Result<(), Fault> {
        let Some(guest) = &self.changes else { return Ok(()) };
        for (resource, objects) in objects {
            let name = GroupResourceParam { group: &resource.group, resource: &resource.resource };
            let objects: Vec<&[u8]> = objects.iter().map(|bytes| &bytes[..]).collect();
            if let Err(error) = guest.call_reset(&mut self.store, name, &objects).await {
                return Err(self.fault(&error));
            }
        }
        Ok(())
    }

    async fn apply(&mut self, list: &[Change]) -> Result<(), Fault> {
        let Some(guest) = &self.changes else { return Ok(()) };
        for part in list.chunks(limits::CHANGES_PER_CALL_MAX) {
            let part: Vec<_> = part
                .iter()
                .map(|change| exports::changes::Changed {
                    resource: GroupResourceParam { group: &change.resource.group, resource: &change.resource.resource },
                    namespace: &change.namespace,
                    name: &change.name,
                    object: change.object.as_deref(),
                })
                .collect();
            if let Err(error) = guest.call_apply(&mut self.store, &part).await {
                return Err(self.fault(&error));
            }
        }
        Ok(())
    }
}
