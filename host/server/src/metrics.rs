//! `/metrics`, under upstream's names, and what the road itself measures.
//!
//! A request finds its series by one string that is built in a buffer that is kept, so that counting costs no allocation.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use apimachinery::GroupVersionResource;
use apimachinery::query::Query;
use apimachinery::request_info::RequestInfo;
use cacher::Caches;
use flowcontrol::{FlowControl, RequestKind};
use parking_lot::{Mutex, RwLock};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::body::Body;
use crate::response::{self, Response};

/// Distinct requests (verb, resource, scope, …) that are told apart; further ones are counted together. Only served resources have a series
/// of their own, but custom ones are any number.
const SERIES_COUNT_MAX: usize = 4096;

const DURATION_BUCKETS: [f64; 23] =
    [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0];
/// Of authentication and of authorization: upstream's, which grow by two.
const DECISION_BUCKETS: [f64; 15] =
    [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384];
const SIZE_BUCKETS: [f64; 7] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

type Labels = Vec<(&'static str, String)>;

/// Counts what happens. Others register theirs with [`Metrics::register`].
pub struct Metrics {
    registry: Mutex<Registry>,
    series: RwLock<HashMap<Box<str>, Arc<Series>>>,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    sli_durations: Family<Labels, Histogram, fn() -> Histogram>,
    sizes: Family<Labels, Histogram, fn() -> Histogram>,
    long_running: Family<Labels, Gauge>,
    aborts: Family<Labels, Counter>,
    authentications: ByResult,
    authorizations: ByResult,
    deprecated: Family<Labels, Gauge>,
    watch_events: Family<Labels, Counter>,
    handshake_errors: Counter,
    stalled: Counter,
    started: SystemTime,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What a request is about in the table of kinds, as metrics name it. Nothing that a client wrote becomes a label by any other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served<'a> {
    /// The resource in the version asked for.
    pub resource: &'a GroupVersionResource,
    /// `status`; empty for the resource itself.
    pub subresource: &'a str,
}

/// All that is counted of one sort of request.
struct Series {
    labels: Labels,
    dry_run: String,
    duration: Histogram,
    /// None for what has no end: its duration says nothing of the server.
    sli_duration: Option<Histogram>,
    size: Histogram,
    long_running: Option<Gauge>,
    by_code: RwLock<Vec<(u16, Counter)>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// With the road's own metrics.
    pub fn new() -> Self {
        type Histograms = Family<Labels, Histogram, fn() -> Histogram>;
        let durations: Histograms = Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let sli_durations: Histograms = Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let sizes: Histograms = Family::new_with_constructor(|| Histogram::new(SIZE_BUCKETS));
        let metrics = Self {
            registry: Mutex::new(Registry::default()),
            series: RwLock::default(),
            requests: Family::default(),
            durations,
            sli_durations,
            sizes,
            long_running: Family::default(),
            aborts: Family::default(),
            authentications: ByResult::new(&AUTHENTICATION_RESULTS),
            authorizations: ByResult::new(&AUTHORIZATION_RESULTS),
            deprecated: Family::default(),
            watch_events: Family::default(),
            handshake_errors: Counter::default(),
            stalled: Counter::default(),
            started: SystemTime::now(),
        };
        metrics.register(|registry| {
            let all = &metrics;
            registry.register("apiserver_request", "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code", all.requests.clone());
            registry.register("apiserver_request_duration_seconds", "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component", all.durations.clone());
            registry.register("apiserver_response_sizes", "[STABLE] Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component", all.sizes.clone());
            registry.register("apiserver_longrunning_requests", "[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component", all.long_running.clone());
            registry.register("apiserver_request_aborts", "[ALPHA] Number of requests which apiserver aborted possibly due to a timeout, for each group, version, verb, resource, subresource and scope", all.aborts.clone());
            registry.register("apiserver_request_sli_duration_seconds", "[ALPHA] Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component", all.sli_durations.clone());
            registry.register("authentication_attempts", "[ALPHA] Counter of authenticated attempts", all.authentications.counts.clone());
            registry.register("authentication_duration_seconds", "[ALPHA] Authentication duration in seconds broken out by result", all.authentications.durations.clone());
            registry.register("authorization_attempts", "[ALPHA] Counter of authorization attempts broken down by result", all.authorizations.counts.clone());
            registry.register("authorization_duration_seconds", "[ALPHA] Authorization duration in seconds broken out by result", all.authorizations.durations.clone());
            registry.register("apiserver_requested_deprecated_apis", "[STABLE] Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and removed_release", all.deprecated.clone());
            registry.register("apiserver_watch_events", "[ALPHA] Number of events sent in watch clients", all.watch_events.clone());
            registry.register("apiserver_tls_handshake_errors", "[ALPHA] Number of requests dropped with 'TLS handshake error from' error", all.handshake_errors.clone());
            registry.register("wasmgate_stalled_connections", "Connections that were cut because their client did not read what it was sent", all.stalled.clone());
        });
        metrics
    }

    /// Registers more: counters without the `_total` of their name.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock());
    }

    /// Adds the gauges of requests in flight.
    pub fn watch_flow_control(&self, flow: &FlowControl) {
        self.register(|registry| registry.register_collector(Box::new(InFlight(flow.clone()))));
    }

    /// Adds the gauges of stored objects.
    pub(crate) fn watch_caches(&self, caches: &Arc<Caches>) {
        self.register(|registry| registry.register_collector(Box::new(Objects(Arc::downgrade(caches)))));
    }

    /// A request for what is to go in a later release.
    pub(crate) fn requested_deprecated(&self, resource: &GroupVersionResource, subresource: &str) {
        let mut labels = of_resource(resource);
        labels.extend([("subresource", subresource.to_owned()), ("removed_release", String::new())]);
        self.deprecated.get_or_create(&labels).set(1);
    }

    /// Counts the events that are sent of a resource.
    pub(crate) fn watch_events(&self, resource: &GroupVersionResource) -> Counter {
        self.watch_events.get_or_create_owned(&of_resource(resource))
    }

    /// A connection was cut whose client did not read.
    pub(crate) fn stalled(&self) {
        self.stalled.inc();
    }

    /// A request whose handshake failed.
    pub(crate) fn handshake_failed(&self) {
        self.handshake_errors.inc();
    }

    /// An answer of the authenticators, and how long it took.
    pub(crate) fn authenticated(&self, success: bool, took: Duration) {
        self.authentications.count(AUTHENTICATION_RESULTS[usize::from(success)], took);
    }

    /// An answer of the authorizers, and how long it took.
    pub(crate) fn authorized(&self, result: &'static str, took: Duration) {
        self.authorizations.count(result, took);
    }

    /// Begins to measure a request. What it gives is dropped when the answer is sent, or when nobody waits for it any more.
    pub(crate) fn begin(
        self: &Arc<Self>,
        method: &http::Method,
        info: &RequestInfo,
        raw_query: &str,
        apply: bool,
        received: Instant,
    ) -> Measured {
        let (verb, dry_run) = (verb_of(method, info, apply), dry_run_of(raw_query));
        Measured { metrics: self.clone(), verb, dry_run, series: None, received, code: None, bytes: 0 }
    }

    fn series_of(&self, labels: &[(&'static str, &str); 6], dry_run: &'static str, long_running: bool) -> Arc<Series> {
        thread_local!(static KEY: RefCell<String> = const { RefCell::new(String::new()) });
        KEY.with_borrow_mut(|key| {
            key.clear();
            let values = labels.iter().map(|(_, value)| *value);
            for part in values.chain([dry_run, if long_running { "1" } else { "" }]) {
                key.push_str(part);
                key.push('\0');
            }
            if let Some(series) = self.series.read().get(key.as_str()) {
                return series.clone();
            }
            let mut all = self.series.write();
            let full = all.len() >= SERIES_COUNT_MAX;
            if full {
                key.clear();
            }
            all.entry(key.as_str().into()).or_insert_with(|| Arc::new(self.new_series(labels, dry_run, long_running, full))).clone()
        })
    }

    fn new_series(&self, labels: &[(&'static str, &str); 6], dry_run: &'static str, long_running: bool, full: bool) -> Series {
        let value = |text: &str| if full { "other".to_owned() } else { text.to_owned() };
        let component = ("component", "apiserver".to_owned());
        let labels: Labels = std::iter::once(component).chain(labels.iter().map(|(name, text)| (*name, value(text)))).collect();
        let with_dry_run: Labels = labels.iter().cloned().chain([("dry_run", dry_run.to_owned())]).collect();
        Series {
            duration: self.durations.get_or_create_owned(&with_dry_run),
            sli_duration: (!long_running).then(|| self.sli_durations.get_or_create_owned(&labels)),
            size: self.sizes.get_or_create_owned(&labels),
            long_running: long_running.then(|| self.long_running.get_or_create_owned(&labels)),
            by_code: RwLock::default(),
            dry_run: dry_run.to_owned(),
            labels,
        }
    }

    /// Answers `/metrics`, in Prometheus's text format.
    pub fn answer(&self) -> Response {
        let mut text = String::new();
        // Writing to a string fails for nothing but a metric's own error; what was written till then is still an answer.
        let _ = prometheus_client::encoding::text::encode_registry(&mut text, &self.registry.lock());
        let mut text = to_prometheus_text(&text);
        let _ = self.write_process(&mut text);
        response::with_type(200, "text/plain; version=0.0.4; charset=utf-8", Body::full(text))
    }

    fn write_process(&self, out: &mut String) -> std::fmt::Result {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        gauge(out, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge", started)?;
        writeln!(out, "# HELP kubernetes_build_info [BETA] A metric with a constant '1' value labeled by major, minor and git version.")?;
        writeln!(out, "# TYPE kubernetes_build_info gauge")?;
        let version = api::version::version_info();
        let part = |name: &str| version[name].as_str().unwrap_or_default();
        writeln!(
            out,
            "kubernetes_build_info{{git_version=\"{}\",major=\"{}\",minor=\"{}\",platform=\"{}\"}} 1",
            part("gitVersion"),
            part("major"),
            part("minor"),
            part("platform")
        )?;

        /// What every Linux on the architectures that we build for has.
        const PAGE_BYTES: f64 = 4096.0;
        const TICKS_PER_SECOND: f64 = 100.0;
        let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return Ok(()) };
        // The name in parentheses may hold spaces: what follows it is counted from `state`, the third field.
        let fields: Vec<f64> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0.0);
        gauge(
            out,
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            "counter",
            (field(14) + field(15)) / TICKS_PER_SECOND,
        )?;
        gauge(out, "process_resident_memory_bytes", "Resident memory size in bytes.", "gauge", field(24) * PAGE_BYTES)?;
        gauge(out, "process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge", field(23))?;
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            gauge(out, "process_open_fds", "Number of open file descriptors.", "gauge", files.count() as f64)?;
        }
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let max = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
        max.map_or(Ok(()), |max: f64| gauge(out, "process_max_fds", "Maximum number of open file descriptors.", "gauge", max))
    }
}

fn gauge(out: &mut String, name: &str, help: &str, kind: &str, value: f64) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}")
}

fn of_resource(resource: &GroupVersionResource) -> Labels {
    vec![("group", resource.group.to_string()), ("version", resource.version.to_string()), ("resource", resource.resource.to_string())]
}

const AUTHENTICATION_RESULTS: [&str; 2] = ["failure", "success"];
const AUTHORIZATION_RESULTS: [&str; 4] = ["allowed", "denied", "error", "no-opinion"];

/// How often, and how long it took, by result. Each result's own are looked up once: every request counts here twice.
struct ByResult {
    counts: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    known: Vec<(&'static str, Counter, Histogram)>,
}

impl ByResult {
    fn new(results: &[&'static str]) -> Self {
        let counts: Family<Labels, Counter> = Family::default();
        let durations: Family<Labels, Histogram, fn() -> Histogram> = Family::new_with_constructor(|| Histogram::new(DECISION_BUCKETS));
        let known = |result: &&'static str| {
            let labels = vec![("result", (*result).to_owned())];
            (*result, counts.get_or_create_owned(&labels), durations.get_or_create_owned(&labels))
        };
        let known = results.iter().map(known).collect();
        Self { counts, durations, known }
    }

    fn count(&self, result: &str, took: Duration) {
        if let Some((_, count, duration)) = self.known.iter().find(|(known, ..)| *known == result) {
            count.inc();
            duration.observe(took.as_secs_f64());
        }
    }
}

fn verb_of(method: &http::Method, info: &RequestInfo, apply: bool) -> &'static str {
    if matches!(info.subresource.as_str(), "attach" | "exec" | "proxy" | "portforward" | "log") && info.is_resource_request {
        return "CONNECT";
    }
    match &*info.verb {
        "list" => return "LIST",
        "watch" => return "WATCH",
        _ => {}
    }
    match method.as_str() {
        "GET" | "HEAD" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" if apply => "APPLY",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

fn scope_of(info: &RequestInfo) -> &'static str {
    if !info.name.is_empty() || info.verb == "create" {
        "resource"
    } else if !info.namespace.is_empty() {
        "namespace"
    } else if info.is_resource_request {
        "cluster"
    } else {
        ""
    }
}

fn dry_run_of(raw_query: &str) -> &'static str {
    if !raw_query.contains("dryRun") {
        return "";
    }
    let query = Query::parse(raw_query);
    match query.get("dryRun") {
        None => "",
        Some(_) if query.all("dryRun").all(|value| value == "All") => "All",
        Some(_) => "invalid",
    }
}

/// A request that is being measured.
pub(crate) struct Measured {
    metrics: Arc<Metrics>,
    verb: &'static str,
    dry_run: &'static str,
    /// None until it is known to be about something that is served, and may be.
    series: Option<Arc<Series>>,
    received: Instant,
    code: Option<u16>,
    bytes: u64,
}

impl Measured {
    /// It was authorized. What it is about may be told from now on: a resource that is served, or one of upstream's paths.
    pub(crate) fn authorized(&mut self, info: &RequestInfo, served: Option<Served<'_>>) {
        let path = match info.path.as_str() {
            // For these the path stands as the subresource, as upstream has it; other paths are not told apart.
            path @ ("/healthz" | "/livez" | "/readyz" | "/metrics") => path,
            _ => "",
        };
        let (group, resource, subresource, version) = match served {
            Some(Served { resource, subresource }) => (&*resource.group, &*resource.resource, subresource, &*resource.version),
            None if path.is_empty() => return,
            None => ("", "", path, ""),
        };
        let labels = [
            ("group", group),
            ("resource", resource),
            ("scope", scope_of(info)),
            ("subresource", subresource),
            ("verb", self.verb),
            ("version", version),
        ];
        let series = self.metrics.series_of(&labels, self.dry_run, info.is_long_running());
        if let Some(gauge) = &series.long_running {
            gauge.inc();
        }
        self.series = Some(series);
    }

    /// What it was answered with.
    pub(crate) fn answered(&mut self, code: u16) {
        self.code = Some(code);
    }

    /// Bytes of the body that were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The time since it was received.
    pub(crate) fn elapsed(&self) -> Duration {
        self.received.elapsed()
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let series = self.series.take().unwrap_or_else(|| {
            // Refused, or about nothing that is served: counted by its verb and its answer alone.
            let labels = [("group", ""), ("resource", ""), ("scope", ""), ("subresource", ""), ("verb", self.verb), ("version", "")];
            self.metrics.series_of(&labels, self.dry_run, false)
        });
        if let Some(gauge) = &series.long_running {
            gauge.dec();
        }
        let Some(code) = self.code else {
            self.metrics.aborts.get_or_create(&series.labels).inc();
            return;
        };
        let counted = series.by_code.read().iter().find(|(known, _)| *known == code).map(|(_, counter)| counter.inc());
        if counted.is_none() {
            let labels: Labels =
                series.labels.iter().cloned().chain([("code", code.to_string()), ("dry_run", series.dry_run.clone())]).collect();
            let counter = self.metrics.requests.get_or_create_owned(&labels);
            counter.inc();
            series.by_code.write().push((code, counter));
        }
        let seconds = self.elapsed().as_secs_f64();
        series.duration.observe(seconds);
        if let Some(sli_duration) = &series.sli_duration {
            sli_duration.observe(seconds);
        }
        // As upstream: only reads have sizes that tell anything.
        if matches!(self.verb, "GET" | "LIST") {
            series.size.observe(self.bytes as f64);
        }
    }
}

/// Requests in flight, read when they are asked for.
#[derive(Debug)]
struct InFlight(FlowControl);

impl prometheus_client::collector::Collector for InFlight {
    fn encode(&self, mut encoder: prometheus_client::encoding::DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let family: Family<Labels, Gauge<i64, AtomicI64>> = Family::default();
        for kind in [RequestKind::ReadOnly, RequestKind::Mutating] {
            let labels = vec![("request_kind", kind.as_str().to_owned())];
            family.get_or_create(&labels).set(i64::try_from(self.0.in_flight(kind)).unwrap_or(i64::MAX));
        }
        let help = "[STABLE] Currently used inflight request limit of this apiserver per request kind";
        let encoder =
            encoder.encode_descriptor("apiserver_current_inflight_requests", help, None, prometheus_client::metrics::MetricType::Gauge)?;
        prometheus_client::encoding::EncodeMetric::encode(&family, encoder)
    }
}

/// How many objects there are, read when it is asked for.
#[derive(Debug)]
struct Objects(Weak<Caches>);

impl prometheus_client::collector::Collector for Objects {
    fn encode(&self, mut encoder: prometheus_client::encoding::DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(caches) = self.0.upgrade() else { return Ok(()) };
        let (by_name, by_group): (Family<Labels, Gauge>, Family<Labels, Gauge>) = Default::default();
        for cacher in caches.all() {
            let resource = &cacher.resource().gvr;
            let count = i64::try_from(cacher.len()).unwrap_or(i64::MAX);
            by_name.get_or_create(&vec![("resource", resource.group_resource().to_string())]).set(count);
            let labels = vec![("group", resource.group.to_string()), ("resource", resource.resource.to_string())];
            by_group.get_or_create(&labels).set(count);
        }
        let what = "Number of stored objects at the time of last check split by kind";
        for (name, help, family) in [
            ("apiserver_resource_objects", format!("[ALPHA] {what}"), by_group),
            ("apiserver_storage_objects", format!("[STABLE] {what}; deprecated in favour of apiserver_resource_objects"), by_name),
        ] {
            let encoder = encoder.encode_descriptor(name, &help, None, prometheus_client::metrics::MetricType::Gauge)?;
            prometheus_client::encoding::EncodeMetric::encode(&family, encoder)?;
        }
        Ok(())
    }
}

/// Counters that upstream named before the suffix became the rule.
const COUNTERS_WITHOUT_SUFFIX: [&str; 2] = ["authentication_attempts", "authenticated_user_requests"];

/// Turns OpenMetrics into Prometheus's older text format, which is what upstream sends: there a counter's `_total` is part of its name.
fn to_prometheus_text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        let _ = if line.starts_with("# HELP ") {
            help = line;
            Ok(())
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" && !COUNTERS_WITHOUT_SUFFIX.contains(&name) { "_total" } else { "" };
            let help = help.strip_prefix("# HELP ").and_then(|h| h.strip_prefix(name)).unwrap_or_default();
            let kind = if kind == "unknown" { "untyped" } else { kind };
            writeln!(out, "# HELP {name}{suffix}{help}\n# TYPE {name}{suffix} {kind}")
        } else if line.starts_with('#') {
            Ok(())
        } else {
            let odd = COUNTERS_WITHOUT_SUFFIX.iter().find_map(|name| Some((name, line.strip_prefix(name)?.strip_prefix("_total")?)));
            match odd {
                Some((name, rest)) => writeln!(out, "{name}{rest}"),
                None => writeln!(out, "{line}"),
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(metrics: &Metrics) -> String {
        let body = metrics.answer().into_body().collect().await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn request(metrics: &Arc<Metrics>, method: http::Method, path: &str, query: &str, code: Option<u16>) {
        let info = RequestInfo::parse(method.as_str(), path, Some(query)).unwrap();
        let mut measured = metrics.begin(&method, &info, query, false, Instant::now());
        let resource = info.group_version_resource();
        let served = info.is_resource_request.then_some(Served { resource: &resource, subresource: &info.subresource });
        measured.authorized(&info, served);
        measured.sent(2000);
        if let Some(code) = code {
            measured.answered(code);
        }
    }

    #[tokio::test]
    async fn requests_are_counted_under_upstream_s_names() {
        let metrics = Arc::new(Metrics::new());
        request(&metrics, http::Method::GET, "/api/v1/namespaces/n/pods", "", Some(200));
        request(&metrics, http::Method::GET, "/api/v1/namespaces/n/pods", "", Some(200));
        request(&metrics, http::Method::POST, "/apis/apps/v1/namespaces/n/deployments", "dryRun=All", Some(201));
        request(&metrics, http::Method::GET, "/api/v1/pods", "watch=1", None);
        metrics.authenticated(true, Duration::ZERO);
        metrics.authorized("denied", Duration::from_millis(5));
        let endpoints = GroupVersionResource::of("", "v1", "endpoints");
        metrics.requested_deprecated(&endpoints, "");
        metrics.watch_events(&endpoints).inc_by(3);
        let text = text(&metrics).await;
        for line in [
            "# TYPE apiserver_request_total counter",
            "apiserver_request_total{component=\"apiserver\",group=\"\",resource=\"pods\",scope=\"namespace\",subresource=\"\",verb=\"LIST\",version=\"v1\",code=\"200\",dry_run=\"\"} 2",
            "resource=\"deployments\",scope=\"resource\",subresource=\"\",verb=\"POST\",version=\"v1\",code=\"201\",dry_run=\"All\"} 1",
            "apiserver_response_sizes_bucket{le=\"10000.0\"",
            "apiserver_longrunning_requests{component=\"apiserver\",group=\"\",resource=\"pods\",scope=\"cluster\",subresource=\"\",verb=\"WATCH\",version=\"v1\"} 0",
            "apiserver_request_aborts_total{",
            "# TYPE authentication_attempts counter\n",
            "\nauthentication_attempts{result=\"success\"} 1",
            "\nauthentication_duration_seconds_count{result=\"success\"} 1",
            "\nauthorization_attempts_total{result=\"denied\"} 1",
            "\nauthorization_duration_seconds_bucket{le=\"0.008\",result=\"denied\"} 1",
            "\napiserver_requested_deprecated_apis{group=\"\",version=\"v1\",resource=\"endpoints\",subresource=\"\",removed_release=\"\"} 1",
            "\napiserver_watch_events_total{group=\"\",version=\"v1\",resource=\"endpoints\"} 3",
            "process_resident_memory_bytes ",
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
        assert!(!text.contains("# EOF"));
        assert!(!text.contains(
            "apiserver_request_sli_duration_seconds_count{component=\"apiserver\",group=\"\",resource=\"pods\",scope=\"cluster\""
        ));
    }

    #[tokio::test]
    async fn series_are_bounded() {
        let metrics = Arc::new(Metrics::new());
        for n in 0..SERIES_COUNT_MAX + 10 {
            request(&metrics, http::Method::GET, &format!("/apis/x/v1/r{n}"), "", Some(200));
        }
        assert_eq!(metrics.series.read().len(), SERIES_COUNT_MAX + 1);
        assert!(text(&metrics).await.contains("resource=\"other\""));
    }

    #[tokio::test]
    async fn what_is_not_served_or_not_allowed_is_no_label() {
        let metrics = Arc::new(Metrics::new());
        let marker = "madeup";
        for (path, query) in [
            ("/apis/madeup.example.com/v1/madeups/madeup", ""),
            ("/api/madeup/namespaces/madeup/pods/madeup/madeup", "watch=1&dryRun=madeup"),
            ("/api/v1/watch/madeups", ""),
            ("/api/v1/namespaces/n/pods/p/log/madeup", ""),
            ("/madeup", ""),
            ("/healthz/madeup", ""),
        ] {
            for method in [http::Method::GET, http::Method::PATCH, http::Method::from_bytes(b"MADEUP").unwrap()] {
                let info = RequestInfo::parse(method.as_str(), path, Some(query)).unwrap();
                // Refused before it was authorized, and authorized without being served.
                metrics.begin(&method, &info, query, false, Instant::now()).answered(403);
                let mut measured = metrics.begin(&method, &info, query, false, Instant::now());
                measured.authorized(&info, None);
                measured.answered(404);
            }
        }
        let text = text(&metrics).await;
        assert!(!text.to_lowercase().contains(marker), "{text}");
        let line = "apiserver_request_total{component=\"apiserver\",group=\"\",resource=\"\",scope=\"\",subresource=\"\",verb=\"PATCH\"";
        assert!(text.contains(line), "{text}");
    }
}
