//! A load: so many workers, each sending one request after the other, for a time and up to a count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::Failure;
use crate::client::{Credentials, Protocol};

/// HTTP/2 streams share connections, so many to one.
const STREAMS_PER_CONNECTION: usize = 16;

/// A request to send.
pub struct Call {
    /// `GET`.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// JSON.
    pub body: Option<Bytes>,
}

/// What a load came to.
pub struct Outcome {
    /// Requests a second.
    pub rate: f64,
    /// Latencies in milliseconds: median and 99th percentile.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Requests that were answered.
    pub count: usize,
    /// Mean size of an answer.
    pub bytes: f64,
    /// Processor time that the server used meanwhile.
    pub server_cpu_seconds: f64,
}

/// Puts a load on the server. `make` makes the n-th request; an answer of 400 or above ends the load with an error.
pub async fn run(
    credentials: &Credentials,
    protocol: Protocol,
    workers: usize,
    duration: Duration,
    count_max: usize,
    make: impl Fn(usize) -> Call + Send + Sync + 'static,
) -> Result<Outcome, Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let make = Arc::new(make);
    let mut clients = Vec::with_capacity(workers);
    for i in 0..workers {
        let shared = if i % STREAMS_PER_CONNECTION == 0 { None } else { clients.last().and_then(crate::client::Client::share) };
        clients.push(match shared {
            Some(client) => client,
            None => credentials.connect(protocol).await?,
        });
    }
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mut client in clients {
        let (next, make) = (next.clone(), make.clone());
        tasks.spawn(async move {
            let (mut latencies, mut bytes) = (Vec::new(), 0);
            while started.elapsed() < duration {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count_max {
                    break;
                }
                let call = make(n);
                let sent = Instant::now();
                let (code, size) = client.request(call.method, &call.path, call.body).await?;
                if code >= 400 {
                    return Err(Failure::from(format!("{} {}: {code}", call.method, call.path)));
                }
                latencies.push(sent.elapsed());
                bytes += size;
            }
            Ok((latencies, bytes))
        });
    }
    let (mut latencies, mut bytes) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (some, size) = done??;
        latencies.extend(some);
        bytes += size;
    }
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort();
    let at = |quantile: f64| {
        let index = ((latencies.len() as f64 * quantile) as usize).min(latencies.len().saturating_sub(1));
        latencies.get(index).map_or(0.0, |d| d.as_secs_f64() * 1000.0)
    };
    let count = latencies.len();
    Ok(Outcome {
        rate: count as f64 / elapsed,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        count,
        bytes: bytes as f64 / count.max(1) as f64,
        server_cpu_seconds: 0.0,
    })
}
