//! `/metrics`, under upstream's names, and what the road itself measures.
//!
//! A request finds its series by one string that is built in a buffer that is kept, so that counting costs no allocation.

mod readings;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apimachinery::GroupVersionResource;
use apimachinery::query::Query;
use apimachinery::request_info::RequestInfo;
use cacher::Caches;
use flowcontrol::FlowControl;
use parking_lot::RwLock;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

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

/// What every metric of requests tells apart, in the order of [`Series::labels`].
const REQUEST_LABELS: [&str; 6] = ["group", "resource", "scope", "subresource", "verb", "version"];
const RESOURCE_LABELS: [&str; 3] = ["group", "version", "resource"];

/// Counts what happens. Others register theirs in [`Metrics::registry`].
pub struct Metrics {
    registry: Registry,
    series: RwLock<HashMap<Box<str>, Arc<Series>>>,
    requests: IntCounterVec,
    durations: HistogramVec,
    sli_durations: HistogramVec,
    sizes: HistogramVec,
    long_running: IntGaugeVec,
    aborts: IntCounterVec,
    authentications: ByResult,
    authorizations: ByResult,
    deprecated: IntGaugeVec,
    watch_events: IntCounterVec,
    handshake_errors: IntCounter,
    stalled: IntCounter,
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
    labels: [String; REQUEST_LABELS.len()],
    dry_run: &'static str,
    duration: Histogram,
    /// None for what has no end: its duration says nothing of the server.
    sli_duration: Option<Histogram>,
    size: Histogram,
    long_running: Option<IntGauge>,
    by_code: RwLock<Vec<(u16, IntCounter)>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// With the road's own metrics.
    pub fn new() -> Self {
        Self::registered(Registry::new()).expect("the metrics' names and labels are well formed, and each is there once")
    }

    fn registered(registry: Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| added(&registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let gauges = |name: &str, help: &str, labels: &[&str]| added(&registry, IntGaugeVec::new(Opts::new(name, help), labels)?);
        let of_requests = |name: &str, help: &str| Opts::new(name, help).const_label("component", "apiserver");
        let histograms = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let options = HistogramOpts::new(name, help).const_label("component", "apiserver").buckets(buckets.to_vec());
            added(&registry, HistogramVec::new(options, labels)?)
        };
        let with = |more: &[&'static str]| [&REQUEST_LABELS, more].concat();
        added(&registry, build_info()?)?;
        registry.register(Box::new(readings::process()?))?;
        Ok(Self {
            series: RwLock::default(),
            requests: added(
                &registry,
                IntCounterVec::new(
                    of_requests(
                        "apiserver_request_total",
                        "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
                    ),
                    &with(&["code", "dry_run"]),
                )?,
            )?,
            durations: histograms(
                "apiserver_request_duration_seconds",
                "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
                &DURATION_BUCKETS,
                &with(&["dry_run"]),
            )?,
            sli_durations: histograms(
                "apiserver_request_sli_duration_seconds",
                "[ALPHA] Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component.",
                &DURATION_BUCKETS,
                &REQUEST_LABELS,
            )?,
            sizes: histograms(
                "apiserver_response_sizes",
                "[STABLE] Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.",
                &SIZE_BUCKETS,
                &REQUEST_LABELS,
            )?,
            long_running: added(
                &registry,
                IntGaugeVec::new(
                    of_requests(
                        "apiserver_longrunning_requests",
                        "[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component.",
                    ),
                    &REQUEST_LABELS,
                )?,
            )?,
            aborts: added(
                &registry,
                IntCounterVec::new(
                    of_requests(
                        "apiserver_request_aborts_total",
                        "[ALPHA] Number of requests which apiserver aborted possibly due to a timeout, for each group, version, verb, resource, subresource and scope.",
                    ),
                    &REQUEST_LABELS,
                )?,
            )?,
            authentications: ByResult::new(
                &registry,
                ["authentication_attempts", "[ALPHA] Counter of authenticated attempts."],
                ["authentication_duration_seconds", "[ALPHA] Authentication duration in seconds broken out by result."],
                &AUTHENTICATION_RESULTS,
            )?,
            authorizations: ByResult::new(
                &registry,
                ["authorization_attempts_total", "[ALPHA] Counter of authorization attempts broken down by result."],
                ["authorization_duration_seconds", "[ALPHA] Authorization duration in seconds broken out by result."],
                &AUTHORIZATION_RESULTS,
            )?,
            deprecated: gauges(
                "apiserver_requested_deprecated_apis",
                "[STABLE] Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and removed_release.",
                &[&RESOURCE_LABELS[..], &["subresource", "removed_release"]].concat(),
            )?,
            watch_events: counters("apiserver_watch_events_total", "[ALPHA] Number of events sent in watch clients.", &RESOURCE_LABELS)?,
            handshake_errors: added(
                &registry,
                IntCounter::new(
                    "apiserver_tls_handshake_errors_total",
                    "[ALPHA] Number of requests dropped with 'TLS handshake error from' error.",
                )?,
            )?,
            stalled: added(
                &registry,
                IntCounter::new(
                    "wasmgate_stalled_connections_total",
                    "Connections that were cut because their client did not read what it was sent.",
                )?,
            )?,
            registry,
        })
    }

    /// Where `/metrics` takes them from.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds the gauges of requests in flight. Call it once.
    pub fn watch_flow_control(&self, flow: &FlowControl) {
        self.read(readings::in_flight(flow.clone()));
    }

    /// Adds the gauges of stored objects. Call it once.
    pub(crate) fn watch_caches(&self, caches: &Arc<Caches>) {
        self.read(readings::objects(Arc::downgrade(caches)));
    }

    fn read(&self, collector: prometheus::Result<impl Collector + 'static>) {
        let registered = collector.and_then(|collector| self.registry.register(Box::new(collector)));
        registered.expect("the metrics' names and labels are well formed, and each is there once");
    }

    /// A request for what is to go in a later release.
    pub(crate) fn requested_deprecated(&self, resource: &GroupVersionResource, subresource: &str) {
        let [group, version, resource] = of_resource(resource);
        self.deprecated.with_label_values(&[group, version, resource, subresource, ""]).set(1);
    }

    /// Counts the events that are sent of a resource.
    pub(crate) fn watch_events(&self, resource: &GroupVersionResource) -> IntCounter {
        self.watch_events.with_label_values(&of_resource(resource))
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

    fn series_of(&self, labels: &[&str; REQUEST_LABELS.len()], dry_run: &'static str, long_running: bool) -> Arc<Series> {
        thread_local!(static KEY: RefCell<String> = const { RefCell::new(String::new()) });
        KEY.with_borrow_mut(|key| {
            key.clear();
            for part in labels.iter().copied().chain([dry_run, if long_running { "1" } else { "" }]) {
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

    fn new_series(&self, labels: &[&str; REQUEST_LABELS.len()], dry_run: &'static str, long_running: bool, full: bool) -> Series {
        let labels = labels.map(|value| if full { "other".to_owned() } else { value.to_owned() });
        Series {
            duration: self.durations.with_label_values(&with(&labels, &[dry_run])),
            sli_duration: (!long_running).then(|| self.sli_durations.with_label_values(&labels)),
            size: self.sizes.with_label_values(&labels),
            long_running: long_running.then(|| self.long_running.with_label_values(&labels)),
            by_code: RwLock::default(),
            dry_run,
            labels,
        }
    }

    /// Answers `/metrics`, in Prometheus's text format.
    pub fn answer(&self) -> Response {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics are left out");
        }
        response::with_type(200, "text/plain; version=0.0.4; charset=utf-8", Body::full(text))
    }
}

fn added<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn build_info() -> prometheus::Result<IntGauge> {
    let version = api::version::version_info();
    let labels = [("git_version", "gitVersion"), ("major", "major"), ("minor", "minor"), ("platform", "platform")];
    let options = Opts::new("kubernetes_build_info", "[BETA] A metric with a constant '1' value labeled by major, minor and git version.");
    let options =
        labels.into_iter().fold(options, |options, (label, field)| options.const_label(label, version[field].as_str().unwrap_or_default()));
    let info = IntGauge::with_opts(options)?;
    info.set(1);
    Ok(info)
}

fn with<'a>(labels: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    labels.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// In the order of [`RESOURCE_LABELS`].
fn of_resource(resource: &GroupVersionResource) -> [&str; RESOURCE_LABELS.len()] {
    [&resource.group, &resource.version, &resource.resource]
}

const AUTHENTICATION_RESULTS: [&str; 2] = ["failure", "success"];
const AUTHORIZATION_RESULTS: [&str; 4] = ["allowed", "denied", "error", "no-opinion"];

/// How often, and how long it took, by result. Each result's own are looked up once: every request counts here twice.
struct ByResult(Vec<(&'static str, IntCounter, Histogram)>);

impl ByResult {
    /// A counter and a histogram, each by its name and what it is.
    fn new(registry: &Registry, counter: [&str; 2], histogram: [&str; 2], results: &[&'static str]) -> prometheus::Result<Self> {
        let counts = added(registry, IntCounterVec::new(Opts::new(counter[0], counter[1]), &["result"])?)?;
        let options = HistogramOpts::new(histogram[0], histogram[1]).buckets(DECISION_BUCKETS.to_vec());
        let durations = added(registry, HistogramVec::new(options, &["result"])?)?;
        let known = |result: &&'static str| (*result, counts.with_label_values(&[result]), durations.with_label_values(&[result]));
        Ok(Self(results.iter().map(known).collect()))
    }

    fn count(&self, result: &str, took: Duration) {
        if let Some((_, count, duration)) = self.0.iter().find(|(known, ..)| *known == result) {
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
        let labels = [group, resource, scope_of(info), subresource, self.verb, version];
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
            self.metrics.series_of(&["", "", "", "", self.verb, ""], self.dry_run, false)
        });
        if let Some(gauge) = &series.long_running {
            gauge.dec();
        }
        let Some(code) = self.code else {
            self.metrics.aborts.with_label_values(&series.labels).inc();
            return;
        };
        let counted = series.by_code.read().iter().find(|(known, _)| *known == code).map(|(_, counter)| counter.inc());
        if counted.is_none() {
            let counter = self.metrics.requests.with_label_values(&with(&series.labels, &[&code.to_string(), series.dry_run]));
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
            "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"namespace\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 2",
            "{code=\"201\",component=\"apiserver\",dry_run=\"All\",group=\"apps\",resource=\"deployments\",scope=\"resource\",subresource=\"\",verb=\"POST\",version=\"v1\"} 1",
            "verb=\"LIST\",version=\"v1\",le=\"10000\"} 2",
            "apiserver_longrunning_requests{component=\"apiserver\",group=\"\",resource=\"pods\",scope=\"cluster\",subresource=\"\",verb=\"WATCH\",version=\"v1\"} 0",
            "apiserver_request_aborts_total{",
            "# TYPE authentication_attempts counter\n",
            "\nauthentication_attempts{result=\"success\"} 1",
            "\nauthentication_duration_seconds_count{result=\"success\"} 1",
            "\nauthorization_attempts_total{result=\"denied\"} 1",
            "\nauthorization_duration_seconds_bucket{result=\"denied\",le=\"0.008\"} 1",
            "\napiserver_requested_deprecated_apis{group=\"\",removed_release=\"\",resource=\"endpoints\",subresource=\"\",version=\"v1\"} 1",
            "\napiserver_watch_events_total{group=\"\",resource=\"endpoints\",version=\"v1\"} 3",
            "\n# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ",
            "\nprocess_resident_memory_bytes ",
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
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
        let line = "apiserver_request_total{code=\"404\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"\",scope=\"\",subresource=\"\",verb=\"PATCH\"";
        assert!(text.contains(line), "{text}");
    }
}
