//! A watch: a stream of its own to one member, until something goes wrong with it.

use async_trait::async_trait;
use etcd_client::{KeyValue, WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use storage::{Error, Event, Revision, Watch, WatchBatch, prefix_end};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::convert;
use crate::error::{NotDone, unexpected};
use crate::limits::{CALL_TIMEOUT, FRAGMENTED_EVENTS_MAX};

/// How often progress was asked for, told to all watches.
pub(crate) type ProgressRequests = watch::Sender<u64>;

/// An open watch.
pub(crate) struct EtcdWatch {
    requests: WatchRequestSender,
    responses: WatchResponseStream,
    from: Revision,
    /// Of a response whose other fragments are to come.
    fragments: Vec<Event>,
    progress: watch::Receiver<u64>,
}

impl EtcdWatch {
    /// Opens the stream and waits until etcd has said that the watch exists.
    pub(crate) async fn open(connection: &Connection, prefix: &str, from: Revision, progress: &ProgressRequests) -> Result<Self, Error> {
        let mut options = WatchOptions::new().with_start_revision(from.max(1) as i64).with_progress_notify().with_fragment();
        let end = prefix_end(prefix);
        options = options.with_range(if end.is_empty() { "\0".to_owned() } else { end });
        let key = if prefix.is_empty() { "\0" } else { prefix };
        let progress = progress.subscribe();
        let stream = connection
            .read(|mut connection| {
                let options = options.clone();
                async move { connection.watch.watch(key, Some(options)).await }
            })
            .await
            .map_err(NotDone::into_error)?;
        let (requests, responses) = stream.split();
        let mut watcher = Self { requests, responses, from, fragments: Vec::new(), progress };
        let created = timeout(CALL_TIMEOUT, watcher.response()).await;
        let created = created.map_err(|_| Error::Unavailable(format!("etcd did not begin the watch in {CALL_TIMEOUT:?}")))??;
        if !created.created() {
            return Err(unexpected("a watch that was not created"));
        }
        watcher.check(&created)?;
        Ok(watcher)
    }

    async fn response(&mut self) -> Result<WatchResponse, Error> {
        match self.responses.message().await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(Error::Unavailable("etcd ended the watch".into())),
            Err(error) => Err(NotDone::from(error).into_error()),
        }
    }

    /// A watch that etcd ended: compacted away, or for its own reasons.
    fn check(&self, response: &WatchResponse) -> Result<(), Error> {
        if response.compact_revision() > 0 {
            return Err(Error::Compacted { requested: self.from, oldest: response.compact_revision() as Revision });
        }
        if response.canceled() {
            return Err(Error::Unavailable(format!("etcd ended the watch: {}", response.cancel_reason())));
        }
        Ok(())
    }

    /// What a response delivers, if it delivers anything.
    fn take(&mut self, response: WatchResponse) -> Result<Option<WatchBatch>, Error> {
        self.check(&response)?;
        if response.created() {
            return Ok(None);
        }
        let response = response.0;
        let is_progress = response.events.is_empty();
        for event in response.events {
            let deleted = event.r#type == DELETE;
            self.fragments.push(convert_event(event.kv.map(KeyValue), deleted)?);
        }
        if response.fragment {
            return match self.fragments.len() {
                0..FRAGMENTED_EVENTS_MAX => Ok(None),
                events => Err(Error::Unavailable(format!("etcd sent {events} events in one piece"))),
            };
        }
        if !self.fragments.is_empty() {
            return Ok(Some(WatchBatch::Events(std::mem::take(&mut self.fragments))));
        }
        let revision = response.header.map_or(0, |header| header.revision as Revision);
        Ok((is_progress && revision > 0).then_some(WatchBatch::Progress(revision)))
    }
}

/// etcd's number for it.
const DELETE: i32 = 1;

fn convert_event(kv: Option<KeyValue>, deleted: bool) -> Result<Event, Error> {
    let kv = convert::key_value(kv.ok_or_else(|| unexpected("an event without a key"))?)?;
    let create_revision = if deleted { 0 } else { kv.create_revision };
    Ok(Event { key: kv.key, value: (!deleted).then_some(kv.value), revision: kv.mod_revision, create_revision })
}

#[async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<WatchBatch, Error> {
        loop {
            let response = tokio::select! {
                asked = self.progress.changed() => {
                    asked.map_err(|_| Error::Unavailable("the store is closed".into()))?;
                    self.requests.request_progress().await.map_err(|error| NotDone::from(error).into_error())?;
                    continue;
                }
                response = self.responses.message() => response,
            };
            let response = match response {
                Ok(Some(response)) => response,
                Ok(None) => return Err(Error::Unavailable("etcd ended the watch".into())),
                Err(error) => return Err(NotDone::from(error).into_error()),
            };
            if let Some(batch) = self.take(response)? {
                return Ok(batch);
            }
        }
    }
}
