//! `/healthz`, `/livez` and `/readyz`: named checks in a fixed order, with upstream's texts.
//!
//! The list is public, so that it says which check failed and not why. The reason stands at the check's own path, which needs a
//! permission; a check of ours that [`Health::tells`] has it in the list as well, for clients who have that permission.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apimachinery::field::go_quote as quoted;
use apimachinery::query::Query;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use parking_lot::RwLock;

use crate::response::{self, Response};

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Probe {
    Healthz,
    Livez,
    Readyz,
}

impl Probe {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Healthz, Self::Livez, Self::Readyz];

    /// `readyz`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthz => "healthz",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
        }
    }
}

type CheckFn = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

#[derive(Clone)]
struct Check {
    name: String,
    run: CheckFn,
    /// Lines that fail nothing and are shown to whoever may know why the check fails.
    remarks: Option<RemarkFn>,
}

type RemarkFn = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// Whether the client may read a path.
pub type MayRead<'a> = &'a (dyn Fn(String) -> BoxFuture<'a, bool> + Send + Sync);

/// What an endpoint looks at.
#[derive(Clone, Default)]
struct Checks {
    checks: Vec<Check>,
}

/// The checks. Clones share them.
#[derive(Clone, Default)]
pub struct Health(Arc<RwLock<[Checks; 3]>>);

/// A step of the start that is over or not.
#[derive(Clone, Debug, Default)]
pub struct Flag(Arc<AtomicBool>);

impl Flag {
    /// It is over.
    pub fn done(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

impl Health {
    /// Without any check: everything passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check to some endpoints, behind those that are there. One of the same name is replaced in its place.
    pub fn check(&self, probes: &[Probe], name: impl Into<String>, run: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        let run = Arc::new(run);
        self.check_async(probes, name, move || {
            let run = run.clone();
            Box::pin(async move { run() })
        });
    }

    /// The same with a check that waits.
    pub fn check_async(
        &self,
        probes: &[Probe],
        name: impl Into<String>,
        run: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) {
        let check = Check { name: name.into(), run: Arc::new(run), remarks: None };
        let mut all = self.0.write();
        for probe in probes {
            let checks = &mut all[*probe as usize].checks;
            match checks.iter_mut().find(|there| there.name == check.name) {
                Some(there) => *there = check.clone(),
                None => checks.push(check.clone()),
            }
        }
    }

    /// From here on the list says why this check fails, and `remarks` that fail nothing behind upstream's word `warn:`, to clients who
    /// may read the check's own path.
    pub fn tells(&self, name: &str, remarks: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        let remarks: RemarkFn = Arc::new(remarks);
        let mut all = self.0.write();
        for check in all.iter_mut().flat_map(|all| &mut all.checks).filter(|check| check.name == name) {
            check.remarks = Some(remarks.clone());
        }
    }

    /// A check that fails with `not finished` until its flag is done: upstream's post-start hooks.
    pub fn flag(&self, probes: &[Probe], name: impl Into<String>) -> Flag {
        let flag = Flag::default();
        let seen = flag.clone();
        self.check(probes, name, move || if seen.0.load(Ordering::Acquire) { Ok(()) } else { Err("not finished".into()) });
        flag
    }

    /// Takes a check away: a plugin that is gone.
    pub fn remove(&self, name: &str) {
        self.0.write().iter_mut().for_each(|all| all.checks.retain(|check| check.name != name));
    }

    /// Every path that is served, for the index.
    pub fn paths(&self) -> Vec<String> {
        let all = self.0.read();
        let of = |probe: Probe| {
            let checks = all[probe as usize].checks.iter().map(move |check| format!("/{}/{}", probe.name(), check.name));
            std::iter::once(format!("/{}", probe.name())).chain(checks)
        };
        Probe::ALL.into_iter().flat_map(of).collect()
    }

    /// What a check says; none where there is no such check.
    pub async fn outcome(&self, probe: Probe, name: &str) -> Option<Result<(), String>> {
        let run = self.0.read()[probe as usize].checks.iter().find(|check| check.name == name)?.run.clone();
        Some(run().await)
    }

    /// Answers a path such as `/readyz` or `/livez/etcd`; `None` where it is none of these endpoints. Any method is served alike.
    pub async fn answer(&self, path: &str, raw_query: &str, may_read: MayRead<'_>) -> Option<Response> {
        let (first, rest) = path.strip_prefix('/')?.split_once('/').map_or((&path[1..], None), |(first, rest)| (first, Some(rest)));
        let probe = Probe::ALL.into_iter().find(|probe| probe.name() == first)?;
        // Checks may wait: the list is copied, so that no lock is held meanwhile.
        let checks = self.0.read()[probe as usize].clone();
        Some(match rest {
            None => all(probe, &checks, raw_query, may_read).await,
            Some(name) => match checks.checks.iter().find(|check| check.name == name) {
                Some(check) => one(check).await,
                None => response::page_not_found(),
            },
        })
    }
}

async fn one(check: &Check) -> Response {
    match (check.run)().await {
        Ok(()) => response::text(200, "ok"),
        Err(why) => response::text_error(500, &format!("internal server error: {why}")),
    }
}

async fn all(probe: Probe, all: &Checks, raw_query: &str, may_read: MayRead<'_>) -> Response {
    let name = probe.name();
    let may_know_of = |check: &Check| may_read(format!("/{name}/{}", check.name));
    let query = Query::parse(raw_query);
    let mut excluded: BTreeSet<&str> = query.all("exclude").collect();
    let verbose = query.get("verbose").is_some();
    let (mut lines, mut failed) = (String::new(), false);
    let excluding = excluded.clone();
    for check in &all.checks {
        let check_name = &check.name;
        let _ = if excluding.contains(check_name.as_str()) {
            excluded.remove(check_name.as_str());
            writeln!(lines, "[+]{check_name} excluded: ok")
        } else if let Err(why) = (check.run)().await {
            failed = true;
            tracing::info!(probe = name, check = check_name, why, "health check failed");
            let told = check.remarks.is_some() && may_know_of(check).await;
            writeln!(lines, "[-]{check_name} failed: {}", if told { &why } else { "reason withheld" })
        } else {
            writeln!(lines, "[+]{check_name} ok")
        };
    }
    if !excluded.is_empty() {
        let unknown: Vec<String> = excluded.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(lines, "warn: some health checks cannot be excluded: no matches for {}", unknown.join(","));
    }
    for check in all.checks.iter().filter(|_| verbose || failed) {
        let remarks = check.remarks.as_ref().map(|remarks| remarks()).unwrap_or_default();
        if !remarks.is_empty() && may_know_of(check).await {
            remarks.iter().for_each(|remark| lines.push_str(&format!("warn: {remark}\n")));
        }
    }
    if failed {
        return response::text_error(500, &format!("{lines}{name} check failed"));
    }
    let text = if verbose { Bytes::from(format!("{lines}{name} check passed\n")) } else { Bytes::from_static(b"ok") };
    let mut response = response::text(200, text);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(health: &Health, path: &str, query: &str) -> String {
        answer_to(health, path, query, "none").await
    }

    /// To a client who may read this path.
    async fn answer_to(health: &Health, path: &str, query: &str, readable: &'static str) -> String {
        let may_read = |path: String| -> BoxFuture<'_, bool> { Box::pin(async move { path == readable }) };
        let Some(response) = health.answer(path, query, &may_read).await else { return "none".into() };
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap();
        format!("{code} {}", String::from_utf8_lossy(&body))
    }

    #[tokio::test]
    async fn texts_are_upstream_s() {
        let health = Health::new();
        health.check(&Probe::ALL, "ping", || Ok(()));
        let started = health.flag(&[Probe::Readyz], "poststarthook/rbac/bootstrap-roles");
        let rows = [
            ("/healthz", "", "200 ok"),
            ("/healthz", "verbose", "200 [+]ping ok\nhealthz check passed\n"),
            ("/healthz", "verbose=&exclude=ping", "200 [+]ping excluded: ok\nhealthz check passed\n"),
            (
                "/healthz",
                "verbose&exclude=x&exclude=y",
                "200 [+]ping ok\nwarn: some health checks cannot be excluded: no matches for \"x\",\"y\"\nhealthz check passed\n",
            ),
            ("/healthz/ping", "verbose", "200 ok"),
            ("/healthz/nope", "", "404 404 page not found\n"),
            ("/healthz/", "", "404 404 page not found\n"),
            ("/readyz", "", "500 [+]ping ok\n[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\nreadyz check failed\n"),
            ("/readyz/poststarthook/rbac/bootstrap-roles", "", "500 internal server error: not finished\n"),
            ("/livez/poststarthook/rbac/bootstrap-roles", "", "404 404 page not found\n"),
            ("/readyzz", "", "none"),
        ];
        for (path, query, want) in rows {
            assert_eq!(answer(&health, path, query).await, want, "{path}?{query}");
        }
        started.done();
        assert_eq!(answer(&health, "/readyz", "").await, "200 ok");
        health.remove("ping");
        assert_eq!(answer(&health, "/readyz/ping", "").await, "404 404 page not found\n");
    }

    #[tokio::test]
    async fn reasons_are_for_those_who_may_read_the_check() {
        let health = Health::new();
        let fails = Flag::default();
        let failing = fails.clone();
        health.check(&Probe::ALL, "etcd", || Ok(()));
        health.check(
            &[Probe::Readyz],
            "plugins",
            move || {
                if failing.0.load(Ordering::Acquire) { Err("x: no component".into()) } else { Ok(()) }
            },
        );
        health.tells("plugins", || vec!["plugin y is old".into()]);
        let rows = [
            ("/readyz", "", "none", "200 ok"),
            ("/readyz", "verbose", "none", "200 [+]etcd ok\n[+]plugins ok\nreadyz check passed\n"),
            ("/readyz", "verbose", "/readyz/etcd", "200 [+]etcd ok\n[+]plugins ok\nreadyz check passed\n"),
            ("/readyz", "verbose", "/readyz/plugins", "200 [+]etcd ok\n[+]plugins ok\nwarn: plugin y is old\nreadyz check passed\n"),
        ];
        for (path, query, readable, want) in rows {
            assert_eq!(answer_to(&health, path, query, readable).await, want, "{query} {readable}");
        }
        fails.done();
        for (readable, want) in [
            ("none", "500 [+]etcd ok\n[-]plugins failed: reason withheld\nreadyz check failed\n"),
            ("/livez/plugins", "500 [+]etcd ok\n[-]plugins failed: reason withheld\nreadyz check failed\n"),
            ("/readyz/plugins", "500 [+]etcd ok\n[-]plugins failed: x: no component\nwarn: plugin y is old\nreadyz check failed\n"),
        ] {
            assert_eq!(answer_to(&health, "/readyz", "", readable).await, want, "{readable}");
        }
    }
}
