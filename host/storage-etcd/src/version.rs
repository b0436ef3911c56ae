//! Whether the cluster can be trusted with progress requests.
//!
//! Below 3.4.25 and 3.5.8 etcd answers one before the watch has delivered everything
//! (<https://github.com/etcd-io/etcd/issues/15220>). One old member is enough to be wrong.

use std::sync::atomic::{AtomicBool, Ordering};

use storage::Error;
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::options::Options;

pub(crate) struct Versions {
    options: Options,
    progress: AtomicBool,
    /// A member may have been replaced since it was asked.
    stale: AtomicBool,
    asking: Mutex<()>,
}

impl Versions {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, progress: AtomicBool::new(false), stale: AtomicBool::new(true), asking: Mutex::default() }
    }

    /// Something went wrong with the connection: ask again before the next progress request.
    pub(crate) fn doubt(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// Whether progress can be asked for.
    pub(crate) async fn progress(&self) -> Result<bool, Error> {
        if self.stale.load(Ordering::Acquire) {
            self.ask().await?;
        }
        Ok(self.progress.load(Ordering::Acquire))
    }

    /// Asks every member, each by itself: a call on the shared channel reaches any of them. At least one must answer.
    pub(crate) async fn ask(&self) -> Result<(), Error> {
        let _one_at_a_time = self.asking.lock().await;
        if !self.stale.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let answers = futures::future::join_all(self.options.endpoints.iter().map(|endpoint| self.ask_one(endpoint))).await;
        let mut trusted = Vec::new();
        let mut last_error = Error::Unavailable("etcd: no endpoint is given".into());
        for (endpoint, answer) in self.options.endpoints.iter().zip(answers) {
            match answer {
                Ok(version) => {
                    tracing::info!(endpoint, version, "etcd answers");
                    trusted.push(is_trusted(&version));
                }
                Err(error) => {
                    tracing::warn!(endpoint, %error, "etcd does not answer");
                    last_error = error;
                }
            }
        }
        if trusted.is_empty() {
            self.doubt();
            return Err(last_error);
        }
        if trusted.len() < self.options.endpoints.len() {
            // The silent member may be older: ask again next time.
            self.doubt();
        }
        self.progress.store(trusted.iter().all(|trusted| *trusted), Ordering::Release);
        Ok(())
    }

    async fn ask_one(&self, endpoint: &str) -> Result<String, Error> {
        let connection = Connection::new(&[endpoint.to_owned()], &self.options).await?;
        let status = connection.read(|mut connection| async move { connection.maintenance.status().await }).await;
        Ok(status.map_err(|error| error.into_error())?.version().to_owned())
    }
}

fn is_trusted(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
    let mut number = || numbers.next().flatten();
    match (number(), number(), number()) {
        (Some(3), Some(4), Some(patch)) => patch >= 25,
        (Some(3), Some(5), Some(patch)) => patch >= 8,
        (Some(major), Some(minor), _) => (major, minor) >= (3, 6),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_versions_are_trusted() {
        let cases = [
            ("3.3.27", false),
            ("3.4.23", false),
            ("3.4.25", true),
            ("3.5.1", false),
            ("3.5.8", true),
            ("3.5.21", true),
            ("3.6.0-rc.1", true),
            ("4.0.0", true),
            ("", false),
            ("3.5.x", false),
        ];
        for (version, expected) in cases {
            assert_eq!(is_trusted(version), expected, "{version}");
        }
    }
}
