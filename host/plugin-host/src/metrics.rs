//! What is counted of plugins. Labels are plugins and roles, never anything that a request says.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use admission::Operation;
use admission::chain::Round;
use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::fault::Fault;
use crate::state::PluginState;

/// From 2 µs, what a call costs that hardly does anything, to the longest that a plugin may take.
const CALL_SECONDS_BUCKETS: [f64; 19] = [
    0.000_002, 0.000_003, 0.000_005, 0.000_007, 0.000_01, 0.000_015, 0.000_02, 0.000_03, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.005,
    0.025, 0.1, 0.5, 1.0, 10.0,
];
/// Upstream's.
const ADMISSION_SECONDS_BUCKETS: [f64; 6] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5];

/// The labels of [`Metrics::admission`], which are upstream's: name, operation, rejected, type.
fn admission_labels(plugin: &str, operation: Operation, round: Round, rejected: bool) -> [&str; 4] {
    let kind = if round == Round::Validating { "validate" } else { "admit" };
    [plugin, operation.as_str(), if rejected { "true" } else { "false" }, kind]
}

/// All of them.
#[derive(Clone)]
pub struct Metrics {
    /// By plugin and call, as [`Metrics::remembered`].
    duration: HistogramVec,
    /// By plugin and kind.
    faults: IntCounterVec,
    ignored: IntCounterVec,
    remembered: IntCounterVec,
    disagreements: IntCounterVec,
    instances: IntGaugeVec,
    /// By plugin, origin and status.
    states: IntGaugeVec,
    swaps: IntCounter,
    admission: HistogramVec,
    /// How many versions of each plugin there are: the series go with the last one.
    versions: Arc<Mutex<HashMap<String, usize>>>,
}

/// What a plugin can be asked, as labels.
const CALLS: [&str; 5] = ["authenticate", "authorize", "rules-for", "admit", "validate"];
const OPERATIONS: [Operation; 4] = [Operation::Create, Operation::Update, Operation::Delete, Operation::Connect];

fn added<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    /// Registers them, once for each registry.
    pub fn new(registry: &Registry) -> Self {
        Self::registered(registry).expect("the metrics' names and labels are well formed, and each is there once")
    }

    /// Counted, and shown nowhere.
    pub fn unregistered() -> Self {
        Self::new(&Registry::new())
    }

    fn registered(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| added(registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let gauges = |name: &str, help: &str, labels: &[&str]| added(registry, IntGaugeVec::new(Opts::new(name, help), labels)?);
        let histograms = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            added(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
        };
        Ok(Self {
            duration: histograms(
                "wasmgate_plugin_call_duration_seconds",
                "Time of a plugin's call, waiting for an instance included.",
                &CALL_SECONDS_BUCKETS,
                &["plugin", "call"],
            )?,
            faults: counters(
                "wasmgate_plugin_faults_total",
                "Calls that a plugin did not answer, by what went wrong.",
                &["plugin", "kind"],
            )?,
            ignored: counters("wasmgate_plugin_faults_ignored_total", "Faults passed over because of failurePolicy Ignore.", &["plugin"])?,
            remembered: counters(
                "wasmgate_plugin_answers_remembered_total",
                "Questions that a pure plugin had answered before, at the same state of what it watches: no call was made.",
                &["plugin", "call"],
            )?,
            disagreements: counters(
                "wasmgate_plugin_disagreements_total",
                "Times that a plugin in mode Warn or Shadow would have refused or changed something, or failed.",
                &["plugin"],
            )?,
            instances: gauges("wasmgate_plugin_instances", "Live instances.", &["plugin"])?,
            states: gauges("wasmgate_plugin_status", "1 for the state that each plugin is in.", &["plugin", "origin", "status"])?,
            swaps: added(registry, IntCounter::new("wasmgate_plugin_swaps_total", "Times the chain was replaced.")?)?,
            admission: histograms(
                "apiserver_admission_controller_admission_duration_seconds",
                "Admission controller latency histogram in seconds, identified by name and broken out for each operation and API resource \
                 and type (validate or admit).",
                &ADMISSION_SECONDS_BUCKETS,
                &["name", "operation", "rejected", "type"],
            )?,
            versions: Arc::default(),
        })
    }

    /// A plugin's own, looked up once.
    pub(crate) fn of(&self, plugin: &str) -> PluginMetrics {
        let mut versions = self.versions.lock();
        *versions.entry(plugin.to_owned()).or_default() += 1;
        PluginMetrics {
            all: self.clone(),
            plugin: plugin.to_owned(),
            admission: Default::default(),
            instances: self.instances.with_label_values(&[plugin]),
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
        // What was never counted has no series: the error that says so is none.
        for call in CALLS {
            let _ = self.duration.remove_label_values(&[plugin, call]);
            let _ = self.remembered.remove_label_values(&[plugin, call]);
        }
        for kind in Fault::KINDS {
            let _ = self.faults.remove_label_values(&[plugin, kind]);
        }
        let _ = self.ignored.remove_label_values(&[plugin]);
        let _ = self.disagreements.remove_label_values(&[plugin]);
        let _ = self.instances.remove_label_values(&[plugin]);
        for operation in OPERATIONS {
            for (round, rejected) in
                [(Round::Mutating, false), (Round::Mutating, true), (Round::Validating, false), (Round::Validating, true)]
            {
                let _ = self.admission.remove_label_values(&admission_labels(plugin, operation, round, rejected));
            }
        }
    }

    /// The chain was replaced.
    pub(crate) fn swapped(&self) {
        self.swaps.inc();
    }

    /// The plugins are in these states.
    pub(crate) fn show(&self, states: &[PluginState]) {
        self.states.reset();
        for state in states {
            self.states.with_label_values(&[state.name.as_str(), state.origin.as_str(), state.status.as_str()]).set(1);
        }
    }
}

/// How often no call was made.
pub(crate) type Remembered = IntCounter;

/// The metrics of one plugin.
pub(crate) struct PluginMetrics {
    all: Metrics,
    plugin: String,
    /// By operation, round and outcome; made when first needed.
    admission: [OnceLock<Histogram>; 16],
    pub(crate) instances: IntGauge,
}

impl Drop for PluginMetrics {
    fn drop(&mut self) {
        self.all.forget(&self.plugin);
    }
}

impl PluginMetrics {
    /// The histogram of one of its calls.
    pub(crate) fn call(&self, call: &'static str) -> Histogram {
        self.all.duration.with_label_values(&[self.plugin.as_str(), call])
    }

    /// Counts the answers of one of its calls that were remembered.
    pub(crate) fn remembered(&self, call: &'static str) -> Remembered {
        self.all.remembered.with_label_values(&[self.plugin.as_str(), call])
    }

    /// Counts a fault.
    pub(crate) fn fault(&self, kind: &'static str) {
        self.all.faults.with_label_values(&[self.plugin.as_str(), kind]).inc();
    }

    /// Counts a fault that was passed over.
    pub(crate) fn ignored(&self) {
        self.all.ignored.with_label_values(&[&self.plugin]).inc();
    }

    /// Counts what did not come of an answer.
    pub(crate) fn disagreed(&self) {
        self.all.disagreements.with_label_values(&[&self.plugin]).inc();
    }

    /// Upstream's histogram of an admission step.
    pub(crate) fn admission(&self, round: Round, operation: Operation, rejected: bool) -> &Histogram {
        let place = operation as usize * 4 + usize::from(round == Round::Validating) * 2 + usize::from(rejected);
        self.admission[place]
            .get_or_init(|| self.all.admission.with_label_values(&admission_labels(&self.plugin, operation, round, rejected)))
    }
}
