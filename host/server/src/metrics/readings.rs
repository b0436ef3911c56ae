//! Metrics that are not counted but read, from what knows them, each time that `/metrics` is asked for.

use std::sync::Weak;

use cacher::Caches;
use flowcontrol::{FlowControl, RequestKind};
use procfs::WithCurrentSystemInfo as _;
use procfs::process::{LimitValue, Process};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGaugeVec, Opts, Result};

type Metrics = Vec<Box<dyn Collector>>;

/// Makes metrics anew for each answer: what is gone leaves no series, and two answers at once do not meet.
struct Readings<F> {
    descriptions: Vec<Desc>,
    read: F,
}

impl<F: Fn() -> Result<Metrics> + Send + Sync> Readings<F> {
    fn new(read: F) -> Result<Self> {
        let descriptions = read()?.iter().flat_map(|metric| metric.desc()).cloned().collect();
        Ok(Self { descriptions, read })
    }
}

impl<F: Fn() -> Result<Metrics> + Send + Sync> Collector for Readings<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.read)().unwrap_or_default().iter().flat_map(|metric| metric.collect()).collect()
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Requests in flight, by whether they change something.
pub(super) fn in_flight(flow: FlowControl) -> Result<impl Collector> {
    Readings::new(move || {
        let help = "[STABLE] Currently used inflight request limit of this apiserver per request kind";
        let gauges = IntGaugeVec::new(Opts::new("apiserver_current_inflight_requests", help), &["request_kind"])?;
        for kind in [RequestKind::ReadOnly, RequestKind::Mutating] {
            gauges.with_label_values(&[kind.as_str()]).set(whole(flow.in_flight(kind)));
        }
        Ok(vec![Box::new(gauges) as _])
    })
}

/// How many objects there are of each resource.
pub(super) fn objects(caches: Weak<Caches>) -> Result<impl Collector> {
    Readings::new(move || {
        let what = "Number of stored objects at the time of last check split by kind";
        let by_group = Opts::new("apiserver_resource_objects", format!("[ALPHA] {what}"));
        let by_group = IntGaugeVec::new(by_group, &["group", "resource"])?;
        let by_name =
            Opts::new("apiserver_storage_objects", format!("[STABLE] {what}; deprecated in favour of apiserver_resource_objects"));
        let by_name = IntGaugeVec::new(by_name, &["resource"])?;
        for cacher in caches.upgrade().iter().flat_map(|caches| caches.all()) {
            let (resource, count) = (&cacher.resource().gvr, whole(cacher.len()));
            by_name.with_label_values(&[resource.group_resource().to_string()]).set(count);
            by_group.with_label_values(&[&*resource.group, &*resource.resource]).set(count);
        }
        Ok(vec![Box::new(by_group) as _, Box::new(by_name) as _])
    })
}

/// The process, under the names of Go's client (`prometheus/process_collector.go`). `prometheus` has these of its own, but its time of the
/// processor is in whole seconds.
pub(super) fn process() -> Result<impl Collector> {
    Readings::new(|| {
        let mut metrics: Metrics = Vec::new();
        let gauge = |name: &str, help: &str, value: f64| -> Result<Box<dyn Collector>> {
            let gauge = Gauge::new(name, help)?;
            gauge.set(value);
            Ok(Box::new(gauge))
        };
        let Ok(process) = Process::myself() else { return Ok(metrics) };
        if let Ok(stat) = process.stat() {
            let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
            let cpu = Counter::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")?;
            cpu.inc_by(seconds(stat.utime + stat.stime));
            metrics.push(Box::new(cpu));
            let resident = stat.rss_bytes().get() as f64;
            metrics.push(gauge("process_resident_memory_bytes", "Resident memory size in bytes.", resident)?);
            metrics.push(gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", stat.vsize as f64)?);
            if let Ok(boot) = procfs::boot_time_secs() {
                let help = "Start time of the process since unix epoch in seconds.";
                metrics.push(gauge("process_start_time_seconds", help, boot as f64 + seconds(stat.starttime))?);
            }
        }
        if let Ok(count) = process.fd_count() {
            metrics.push(gauge("process_open_fds", "Number of open file descriptors.", count as f64)?);
        }
        if let Ok(LimitValue::Value(max)) = process.limits().map(|limits| limits.max_open_files.soft_limit) {
            metrics.push(gauge("process_max_fds", "Maximum number of open file descriptors.", max as f64)?);
        }
        Ok(metrics)
    })
}
