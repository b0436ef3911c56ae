//! What is counted of plugins. Labels are plugins and roles, never anything that a request says.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use admission::Operation;
use admission::chain::Round;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::fault::Fault;

/// A plugin and what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    plugin: String,
    call: &'static str,
}

/// A plugin and what went wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FaultLabels {
    plugin: String,
    kind: &'static str,
}

/// A plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PluginLabels {
    plugin: String,
}

/// Where a plugin comes from, and whether its newest version serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabels {
    plugin: String,
    origin: &'static str,
    status: &'static str,
}

/// Upstream's labels of an admission plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AdmissionLabels {
    name: String,
    operation: &'static str,
    rejected: &'static str,
    r#type: &'static str,
}

impl AdmissionLabels {
    fn new(plugin: &str, operation: Operation, round: Round, rejected: bool) -> Self {
        Self {
            name: plugin.to_owned(),
            operation: operation.as_str(),
            rejected: if rejected { "true" } else { "false" },
            r#type: if round == Round::Validating { "validate" } else { "admit" },
        }
    }
}

type CallHistogram = Family<CallLabels, Histogram, fn() -> Histogram>;
type AdmissionHistogram = Family<AdmissionLabels, Histogram, fn() -> Histogram>;

/// All of them.
#[derive(Clone)]
pub struct Metrics {
    duration: CallHistogram,
    faults: Family<FaultLabels, Counter>,
    ignored: Family<PluginLabels, Counter>,
    remembered: Family<CallLabels, Counter>,
    disagreements: Family<PluginLabels, Counter>,
    instances: Family<PluginLabels, Gauge>,
    states: Family<StateLabels, Gauge>,
    swaps: Counter,
    admission: AdmissionHistogram,
    /// How many versions of each plugin there are: the series go with the last one.
    versions: Arc<Mutex<HashMap<String, usize>>>,
}

/// What a plugin can be asked, as labels.
const CALLS: [&str; 5] = ["authenticate", "authorize", "rules-for", "admit", "validate"];
const OPERATIONS: [Operation; 4] = [Operation::Create, Operation::Update, Operation::Delete, Operation::Connect];

impl Metrics {
    /// Registers them. Once for each server.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        registry.register(
            "wasmgate_plugin_call_duration_seconds",
            "Time of a plugin's call, waiting for an instance included",
            metrics.duration.clone(),
        );
        registry.register("wasmgate_plugin_faults", "Calls that a plugin did not answer, by what went wrong", metrics.faults.clone());
        registry.register(
            "wasmgate_plugin_answers_remembered",
            "Questions that a pure plugin had answered before, at the same state of what it watches: no call was made",
            metrics.remembered.clone(),
        );
        registry.register(
            "wasmgate_plugin_disagreements",
            "Times that a plugin in mode Warn or Shadow would have refused or changed something, or failed",
            metrics.disagreements.clone(),
        );
        registry.register("wasmgate_plugin_faults_ignored", "Faults passed over because of failurePolicy Ignore", metrics.ignored.clone());
        registry.register("wasmgate_plugin_instances", "Live instances", metrics.instances.clone());
        registry.register("wasmgate_plugin_status", "1 for the state that each plugin is in", metrics.states.clone());
        registry.register("wasmgate_plugin_swaps", "Times the chain was replaced", metrics.swaps.clone());
        registry.register(
            "apiserver_admission_controller_admission_duration_seconds",
            "Admission controller latency histogram in seconds, identified by name and broken out for each operation and API resource and type \
             (validate or admit).",
            metrics.admission.clone(),
        );
        metrics
    }

    /// Counted, and shown nowhere.
    pub fn unregistered() -> Self {
        Self {
            duration: Family::new_with_constructor(|| {
                Histogram::new([
                    0.000_002, 0.000_003, 0.000_005, 0.000_007, 0.000_01, 0.000_015, 0.000_02, 0.000_03, 0.000_05, 0.000_1, 0.000_2,
                    0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 10.0,
                ])
            }),
            faults: Family::default(),
            ignored: Family::default(),
            remembered: Family::default(),
            disagreements: Family::default(),
            instances: Family::default(),
            states: Family::default(),
            swaps: Counter::default(),
            admission: Family::new_with_constructor(|| Histogram::new([0.005, 0.025, 0.1, 0.5, 1.0, 2.5])),
            versions: Arc::default(),
        }
    }

    /// A plugin's own, looked up once.
    pub(crate) fn of(&self, plugin: &str) -> PluginMetrics {
        let mut versions = self.versions.lock();
        *versions.entry(plugin.to_owned()).or_default() += 1;
        PluginMetrics {
            all: self.clone(),
            plugin: plugin.to_owned(),
            admission: Default::default(),
            instances: self.instances.get_or_create_owned(&PluginLabels { plugin: plugin.to_owned() }),
        }
    }

    /// A version of a plugin is gone, and the plugin's series with the last one.
    fn forget(&self, plugin: &str) {
        let mut versions = self.versions.lock();
        let left = versions.get(plugin).map_or(0, |count| count - 1);
        if left > 0 {
            versions.insert(plugin.to_owned(), left);
            return;
        }
        versions.remove(plugin);
        for call in CALLS {
            self.duration.remove(&CallLabels { plugin: plugin.to_owned(), call });
            self.remembered.remove(&CallLabels { plugin: plugin.to_owned(), call });
        }
        for kind in Fault::KINDS {
            self.faults.remove(&FaultLabels { plugin: plugin.to_owned(), kind });
        }
        self.ignored.remove(&PluginLabels { plugin: plugin.to_owned() });
        self.disagreements.remove(&PluginLabels { plugin: plugin.to_owned() });
        self.instances.remove(&PluginLabels { plugin: plugin.to_owned() });
        for operation in OPERATIONS {
            for (round, rejected) in
                [(Round::Mutating, false), (Round::Mutating, true), (Round::Validating, false), (Round::Validating, true)]
            {
                self.admission.remove(&AdmissionLabels::new(plugin, operation, round, rejected));
            }
        }
    }

    /// The chain was replaced.
    pub(crate) fn swapped(&self) {
        self.swaps.inc();
    }

    /// The plugins are in these states.
    pub(crate) fn show(&self, states: &[crate::set::PluginState]) {
        self.states.clear();
        for state in states {
            let labels = StateLabels { plugin: state.name.clone(), origin: state.origin.as_str(), status: state.status.as_str() };
            self.states.get_or_create(&labels).set(1);
        }
    }
}

/// How often no call was made.
pub(crate) type Remembered = Counter;

/// The metrics of one plugin.
pub(crate) struct PluginMetrics {
    all: Metrics,
    plugin: String,
    /// By operation, round and outcome; made when first needed.
    admission: [OnceLock<Histogram>; 16],
    pub(crate) instances: Gauge,
}

impl Drop for PluginMetrics {
    fn drop(&mut self) {
        self.all.forget(&self.plugin);
    }
}

impl PluginMetrics {
    /// The histogram of one of its calls.
    pub(crate) fn call(&self, call: &'static str) -> Histogram {
        self.all.duration.get_or_create_owned(&CallLabels { plugin: self.plugin.clone(), call })
    }

    /// Counts the answers of one of its calls that were remembered.
    pub(crate) fn remembered(&self, call: &'static str) -> Remembered {
        self.all.remembered.get_or_create_owned(&CallLabels { plugin: self.plugin.clone(), call })
    }

    /// Counts a fault.
    pub(crate) fn fault(&self, kind: &'static str) {
        self.all.faults.get_or_create(&FaultLabels { plugin: self.plugin.clone(), kind }).inc();
    }

    /// Counts a fault that was passed over.
    pub(crate) fn ignored(&self) {
        self.all.ignored.get_or_create(&PluginLabels { plugin: self.plugin.clone() }).inc();
    }

    /// Counts what did not come of an answer.
    pub(crate) fn disagreed(&self) {
        self.all.disagreements.get_or_create(&PluginLabels { plugin: self.plugin.clone() }).inc();
    }

    /// Upstream's histogram of an admission step.
    pub(crate) fn admission(&self, round: Round, operation: Operation, rejected: bool) -> &Histogram {
        let place = operation as usize * 4 + usize::from(round == Round::Validating) * 2 + usize::from(rejected);
        self.admission[place]
            .get_or_init(|| self.all.admission.get_or_create_owned(&AdmissionLabels::new(&self.plugin, operation, round, rejected)))
    }
}
