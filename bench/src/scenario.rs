//! What is measured, in order.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::json;

use crate::Failure;
use crate::client::{Credentials, Protocol};
use crate::load::{self, Call, Outcome};
use crate::process::Server;
use crate::report::Row;

/// How much.
pub struct Sizes {
    /// Of each load.
    pub duration: Duration,
    /// For lists and memory.
    pub pods: usize,
    /// Of the fan-out.
    pub watchers: usize,
    /// Empty: every part.
    pub only: Vec<Part>,
}

/// A part of the whole. Those that read pods come after the one that makes them.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// ConfigMaps.
    Creates,
    /// Pods, and the memory that they take.
    Pods,
    /// GET.
    Reads,
    /// LIST.
    Lists,
    /// Watch.
    Watches,
    /// A second start, over the pods of the first.
    Restart,
    /// RBAC with many bindings.
    Authorization,
}

const AT_ONCE: usize = 64;
/// No load sends more than this.
const REQUESTS_MAX: usize = 500_000;
const BINDINGS: usize = 1_000;
/// Upstream's media type of binary bodies, whose watch events are of the same kind.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

struct Bench {
    server: Server,
    store: &'static str,
    rows: Vec<Row>,
}

/// Runs everything on one store.
pub async fn run(binary: &Path, etcd: Option<&Path>, store: &'static str, sizes: &Sizes) -> Result<Vec<Row>, Failure> {
    let server = Server::start(binary, etcd).await?;
    let mut bench = Bench { server, store, rows: Vec::new() };
    bench.service_account().await?;
    bench.row("start to ready", bench.server.ready_after.as_secs_f64() * 1000.0, "ms", String::new(), Some((2100.0, true)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (idle, _) = bench.server.memory_mb();
    // Upstream's server alone; its etcd is beside it in both cases.
    bench.row("resident, idle", idle, "MB", String::new(), Some((245.0, true)));
    let wanted = |part| sizes.only.is_empty() || sizes.only.contains(&part);
    if wanted(Part::Pods) {
        bench.pods(sizes).await?;
    }
    if wanted(Part::Restart) {
        bench.restart(idle).await?;
    }
    if wanted(Part::Reads) {
        bench.reads(sizes).await?;
    }
    if wanted(Part::Lists) {
        bench.lists(sizes).await?;
    }
    if wanted(Part::Creates) {
        bench.creates(sizes).await?;
    }
    if wanted(Part::Watches) {
        bench.fan_out(sizes, None).await?;
        bench.fan_out(sizes, Some(PROTOBUF)).await?;
    }
    if wanted(Part::Authorization) {
        bench.authorization(sizes).await?;
    }
    Ok(bench.rows)
}

/// 3.3 kB, as upstream's figures are for.
fn pod(name: &str) -> Bytes {
    let environment: Vec<_> =
        (0..24).map(|i| json!({ "name": format!("VARIABLE_{i}"), "value": "a value of some length, as they are in life" })).collect();
    let container = json!({
        "name": "main", "image": "registry.example.com/team/application:1.2.3", "env": environment,
        "resources": { "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "cpu": "1", "memory": "256Mi" } },
        "ports": [{ "containerPort": 8080, "name": "http" }],
        "livenessProbe": { "httpGet": { "path": "/healthz", "port": "http" } },
        "volumeMounts": [{ "name": "config", "mountPath": "/etc/application" }],
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": "application", "team": "a", "tier": "backend" }, "annotations": { "example.com/note": "n".repeat(865) } },
        "spec": { "containers": [container], "volumes": [{ "name": "config", "configMap": { "name": "application" } }] },
    });
    pod.to_string().into()
}

fn config_map(name: &str) -> Bytes {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "key": "v".repeat(900) } }).to_string().into()
}

/// The body is made once, and only its name is filled in for each request: the load generator's own work is to be small.
fn create(path: &'static str, prefix: &'static str, body: fn(&str) -> Bytes) -> impl Fn(usize) -> Call {
    const NAME: &str = "the-name-of-the-object";
    let body = body(NAME);
    let at = body.windows(NAME.len()).position(|window| window == NAME.as_bytes()).expect("the body has a name");
    move |n| {
        let body = [&body[..at], format!("{prefix}-{n}").as_bytes(), &body[at + NAME.len()..]].concat();
        Call { method: "POST", path: path.to_owned(), body: Some(body.into()) }
    }
}

fn get(path: String) -> impl Fn(usize) -> Call {
    move |_| Call { method: "GET", path: path.clone(), body: None }
}

impl Bench {
    fn row(&mut self, what: impl Into<String>, value: f64, unit: &'static str, detail: String, upstream: Option<(f64, bool)>) {
        let what = what.into();
        eprintln!("    {what}: {value:.2} {unit} {detail}");
        self.rows.push(Row { store: self.store, what, value, unit, detail, upstream });
    }

    fn rate(&mut self, what: impl Into<String>, outcome: &Outcome, upstream: Option<f64>) {
        let cpu = outcome.server_cpu_seconds / outcome.count.max(1) as f64 * 1000.0;
        let detail = format!("p50 {:.2} ms, p99 {:.2} ms, {cpu:.3} ms of the server's CPU each", outcome.p50_ms, outcome.p99_ms);
        self.row(what, outcome.rate, "/s", detail, upstream.map(|rate| (rate, false)));
    }

    /// A load, and the processor time that it takes the server.
    async fn load(
        &self,
        credentials: &Credentials,
        protocol: Protocol,
        workers: usize,
        duration: Duration,
        make: impl Fn(usize) -> Call + Send + Sync + 'static,
    ) -> Result<Outcome, Failure> {
        let before = self.server.cpu_seconds();
        let outcome = load::run(credentials, protocol, workers, duration, REQUESTS_MAX, make).await?;
        Ok(Outcome { server_cpu_seconds: self.server.cpu_seconds() - before, ..outcome })
    }

    async fn creates(&mut self, sizes: &Sizes) -> Result<(), Failure> {
        let path = "/api/v1/namespaces/default/configmaps";
        let one = self.load(&self.server.admin, Protocol::Http2, 1, sizes.duration, create(path, "one", config_map)).await?;
        self.rate("ConfigMap create (1 KB), one by one", &one, Some(581.0));
        let many = self.load(&self.server.admin, Protocol::Http2, AT_ONCE, sizes.duration, create(path, "many", config_map)).await?;
        self.rate("ConfigMap create (1 KB), 64 at once", &many, Some(2031.0));
        Ok(())
    }

    /// The account that pods run as. On the embedded store a controller makes it; on etcd that is another process's work.
    async fn service_account(&self) -> Result<(), Failure> {
        let body = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } }).to_string();
        let mut client = self.server.admin.connect(Protocol::Http1).await?;
        match client.request("POST", "/api/v1/namespaces/default/serviceaccounts", Some(body.into())).await?.0 {
            201 | 409 => Ok(()),
            code => Err(format!("POST of the default service account: {code}").into()),
        }
    }

    async fn pods(&mut self, sizes: &Sizes) -> Result<(), Failure> {
        let path = "/api/v1/namespaces/default/pods";
        let one = self.load(&self.server.admin, Protocol::Http2, 1, sizes.duration, create(path, "one", pod)).await?;
        self.rate("Pod create, one by one", &one, Some(343.0));
        self.plugin_rows(&[], " of a pod's creation").await?;
        let many = self.load(&self.server.admin, Protocol::Http2, AT_ONCE, sizes.duration, create(path, "many", pod)).await?;
        self.rate("Pod create, 64 at once", &many, Some(865.0));
        // Up to the number for lists and memory.
        let there = one.count + many.count;
        if there < sizes.pods {
            load::run(
                &self.server.admin,
                Protocol::Http2,
                AT_ONCE,
                Duration::from_secs(120),
                sizes.pods - there,
                create(path, "more", pod),
            )
            .await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (resident, _) = self.server.memory_mb();
        self.row(format!("resident with {} pods", there.max(sizes.pods)), resident, "MB", String::new(), Some((982.0, true)));
        Ok(())
    }

    /// The same pods in a process that has met nothing but them: what they take without what their creation left behind.
    async fn restart(&mut self, idle: f64) -> Result<(), Failure> {
        let pods: serde_json::Value = serde_json::from_slice(&self.server.admin.body("/api/v1/pods?limit=1").await?)?;
        let count = pods["items"].as_array().map_or(0, Vec::len) as u64 + pods["metadata"]["remainingItemCount"].as_u64().unwrap_or(0);
        self.server.restart().await?;
        let ready = self.server.ready_after.as_secs_f64() * 1000.0;
        self.row(format!("start to ready with {count} pods"), ready, "ms", String::new(), None);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (resident, _) = self.server.memory_mb();
        let detail = format!("{:.1} kB a pod", (resident - idle) * 1024.0 / count.max(1) as f64);
        self.row(format!("resident after a start with {count} pods"), resident, "MB", detail, None);
        Ok(())
    }

    async fn reads(&mut self, sizes: &Sizes) -> Result<(), Failure> {
        let path = "/api/v1/namespaces/default/pods/one-0";
        for (protocol, name) in [(Protocol::Http2, "HTTP/2"), (Protocol::Http1, "HTTP/1.1")] {
            let one = self.load(&self.server.admin, protocol, 1, sizes.duration, get(path.into())).await?;
            self.rate(format!("GET pod, one by one, {name}"), &one, (protocol == Protocol::Http2).then_some(994.0));
            let many = self.load(&self.server.admin, protocol, AT_ONCE, sizes.duration, get(path.into())).await?;
            self.rate(format!("GET pod, 64 at once, {name}"), &many, (protocol == Protocol::Http2).then_some(2997.0));
        }
        Ok(())
    }

    async fn lists(&mut self, sizes: &Sizes) -> Result<(), Failure> {
        let all = "/api/v1/pods";
        for (query, upstream) in [("", 1100.0), ("?resourceVersion=0", 1100.0)] {
            let list = load::run(&self.server.admin, Protocol::Http2, 1, sizes.duration, 50, get(format!("{all}{query}"))).await?;
            let detail = format!("{:.0} MB", list.bytes / 1e6);
            // Upstream's list had 74 MB; a list of another size is compared by its rate.
            self.row(
                format!("LIST of all pods{query}"),
                list.p50_ms * 74e6 / list.bytes,
                "ms",
                format!("for 74 MB; measured {:.0} ms for {detail}", list.p50_ms),
                Some((upstream, true)),
            );
        }
        // By the pod and not by the byte, as the bytes are fewer: with the list in JSON beside it in the same run.
        let binary = self.server.admin.accepting(PROTOBUF);
        let list = load::run(&binary, Protocol::Http2, 1, sizes.duration, 50, get(all.to_owned())).await?;
        self.row("LIST of all pods, protobuf", list.p50_ms, "ms", format!("{:.0} MB", list.bytes / 1e6), None);
        let (_, peak) = self.server.memory_mb();
        self.row("resident, peak with lists", peak, "MB", String::new(), Some((1171.0, true)));
        Ok(())
    }

    /// Watchers of one namespace, while objects are created there.
    async fn fan_out(&mut self, sizes: &Sizes, media_type: Option<&'static str>) -> Result<(), Failure> {
        let admin = &self.server.admin;
        let watching = media_type.map_or_else(|| admin.clone(), |media_type| admin.accepting(media_type));
        let seen = Arc::new(AtomicUsize::new(0));
        let mut watchers = tokio::task::JoinSet::new();
        for _ in 0..sizes.watchers {
            let seen = seen.clone();
            let mut client = watching.connect(Protocol::Http1).await?;
            let response = client.send("GET", "/api/v1/namespaces/kube-public/configmaps?watch=true&resourceVersion=0", None).await?;
            watchers.spawn(async move {
                let mut body = response.into_body();
                let mut events = EventCounter::new(media_type);
                while let Some(Ok(frame)) = body.frame().await {
                    seen.fetch_add(frame.data_ref().map_or(0, |data| events.count(data)), Ordering::Relaxed);
                }
                drop(client);
            });
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = seen.load(Ordering::Relaxed);
        let path = "/api/v1/namespaces/kube-public/configmaps";
        let started = Instant::now();
        let made = load::run(
            admin,
            Protocol::Http2,
            AT_ONCE,
            sizes.duration,
            REQUESTS_MAX,
            create(path, if media_type.is_some() { "binary" } else { "fan" }, config_map),
        )
        .await?;
        let want = made.count * sizes.watchers;
        // Until all have arrived, or nothing arrives any more.
        let mut last = (seen.load(Ordering::Relaxed), Instant::now());
        while seen.load(Ordering::Relaxed) - before < want && last.1.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = seen.load(Ordering::Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
        let arrived = seen.load(Ordering::Relaxed) - before;
        let rate = arrived as f64 / (last.1.duration_since(started)).as_secs_f64();
        let share = 100.0 * arrived as f64 / want.max(1) as f64;
        // Upstream: 495 creates/s to 1,000 watchers, of which 60 to 80 % arrive.
        self.row(
            format!("events to {} watchers{}, 64 creating", sizes.watchers, if media_type.is_some() { " in protobuf" } else { "" }),
            rate,
            "/s",
            format!("{share:.0} % arrived, {:.0} creates/s", made.rate),
            media_type.is_none().then_some((495.0 * 1000.0 * 0.7, false)),
        );
        watchers.abort_all();
        Ok(())
    }

    /// A user with one binding among many.
    async fn authorization(&mut self, sizes: &Sizes) -> Result<(), Failure> {
        let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
        // A role with rules of its own: aggregated ones are empty until a controller fills them.
        let binding = |n: usize| {
            let user = if n == 0 { "bench".to_owned() } else { format!("user-{n}") };
            let body = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": format!("bench-{n}") },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:aggregate-to-view" },
                "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user }],
            });
            Call { method: "POST", path: path.into(), body: Some(body.to_string().into()) }
        };
        load::run(&self.server.admin, Protocol::Http2, AT_ONCE, Duration::from_secs(60), BINDINGS, binding).await?;
        let user: Credentials = self.server.admin.with_token("bench-token");
        let pods = || get("/api/v1/namespaces/default/pods/one-0".into());
        let outcome = self.load(&user, Protocol::Http2, AT_ONCE, sizes.duration, pods()).await?;
        self.rate(format!("GET pod as a user with one of {BINDINGS} bindings"), &outcome, None);
        // One by one, so that what is measured is the call and not the wait for a core.
        let before = self.plugin_calls().await?;
        load::run(&user, Protocol::Http2, 1, sizes.duration, REQUESTS_MAX, pods()).await?;
        self.plugin_rows(&before, &format!(" with {BINDINGS} bindings")).await?;
        Ok(())
    }

    /// What plugins' calls cost since `before`, from the server's own metrics: the median as the edge of its bucket.
    async fn plugin_rows(&mut self, before: &[PluginCalls], when: &str) -> Result<(), Failure> {
        for calls in self.plugin_calls().await? {
            let since = match before.iter().find(|other| (&other.plugin, &other.call) == (&calls.plugin, &calls.call)) {
                Some(before) => calls.since(before),
                None => calls,
            };
            if since.count > 0.0 {
                let detail = format!("mean {:.1} µs of {:.0} calls", since.seconds / since.count * 1e6, since.count);
                self.row(
                    format!("{}, {}, median{when}", since.plugin, since.call),
                    since.median_at_most() * 1e6,
                    "µs at most",
                    detail,
                    None,
                );
            }
        }
        Ok(())
    }

    /// From `/metrics`.
    async fn plugin_calls(&self) -> Result<Vec<PluginCalls>, Failure> {
        let text = String::from_utf8_lossy(&self.server.admin.body("/metrics").await?).into_owned();
        let mut found: Vec<PluginCalls> = Vec::new();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("wasmgate_plugin_call_duration_seconds_") else { continue };
            let Some((labels, value)) = rest.split_once("} ") else { continue };
            let label = |name: &str| {
                labels.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
            };
            let (plugin, call, value): (_, _, f64) = (label("plugin"), label("call"), value.trim().parse()?);
            let at = found.iter().position(|calls| calls.plugin == plugin && calls.call == call).unwrap_or_else(|| {
                found.push(PluginCalls { plugin, call, ..PluginCalls::default() });
                found.len() - 1
            });
            match labels.split('{').next() {
                Some("count") => found[at].count = value,
                Some("sum") => found[at].seconds = value,
                Some("bucket") => found[at].buckets.push((label("le").parse().unwrap_or(f64::INFINITY), value)),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Counts the events of a watch as their bytes arrive, without reading them.
enum EventCounter {
    /// One in each line.
    Json,
    /// Each behind its length, four bytes in the order of the network.
    Protobuf {
        /// What has come of the next length.
        length: Vec<u8>,
        /// What is still to come of the event that has begun.
        left: usize,
    },
}

impl EventCounter {
    fn new(media_type: Option<&str>) -> Self {
        if media_type.is_some() { Self::Protobuf { length: Vec::new(), left: 0 } } else { Self::Json }
    }

    /// Events that are complete with these bytes, or have begun.
    fn count(&mut self, mut data: &[u8]) -> usize {
        let Self::Protobuf { length, left } = self else { return memchr::memchr_iter(b'\n', data).count() };
        let mut events = 0;
        while !data.is_empty() {
            let skipped = data.len().min(*left);
            (*left, data) = (*left - skipped, &data[skipped..]);
            let taken = data.len().min(size_of::<u32>() - length.len());
            length.extend_from_slice(&data[..taken]);
            data = &data[taken..];
            if let Ok(bytes) = <[u8; 4]>::try_from(&**length) {
                (*left, events) = (u32::from_be_bytes(bytes) as usize, events + 1);
                length.clear();
            }
        }
        events
    }
}

/// The histogram of one plugin's calls.
#[derive(Clone, Default)]
struct PluginCalls {
    plugin: String,
    call: String,
    count: f64,
    seconds: f64,
    /// Upper edges in seconds, and how many calls took no longer.
    buckets: Vec<(f64, f64)>,
}

impl PluginCalls {
    fn since(&self, before: &Self) -> Self {
        let buckets = self.buckets.iter().zip(&before.buckets).map(|((edge, now), (_, then))| (*edge, now - then)).collect();
        Self { count: self.count - before.count, seconds: self.seconds - before.seconds, buckets, ..self.clone() }
    }

    /// The edge of the bucket that the median lies in.
    fn median_at_most(&self) -> f64 {
        self.buckets.iter().find(|(_, count)| *count >= self.count / 2.0).map_or(f64::INFINITY, |(edge, _)| *edge)
    }
}
