//! Watches: events of a resource as a stream of JSON lines, or of messages.

use std::time::{Duration, Instant};

use apimachinery::Status;
use apimachinery::codec::protobuf as messages;
use apimachinery::options::{ListOptions, parse_resource_version};
use apimachinery::query::Query;
use bytes::{Bytes, BytesMut};
use cacher::{EventType, Update, WatchEnd, Watcher};
use clock::Clock;
use futures::Stream;
use prometheus::IntCounter;
use registry::{WatchRequest, WatchStart};
use serde_json::{Value, json};

use super::conversion::{ToRequested, Versioned};
use super::request_scope::RequestScope;
use super::view::{Form, View};
use super::{Parts, decode, read};
use crate::body::{Body, BodyError};
use crate::request::Authorized;
use crate::response::{self, Response};
use crate::websocket;

/// How often a quiet watcher that understands bookmarks is sent one; upstream's is about a minute.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// No watch lasts longer, whatever its client asks for: a clock cannot be set to any number of seconds.
const WATCH_DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Events are joined into one write up to this size.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// `GET` with `watch=true`.
pub(crate) async fn watch(parts: &Parts, scope: &RequestScope, request: &Authorized) -> Result<Response, Status> {
    let view = View::of_stream(scope, request)?;
    let options = ListOptions::from_query(&Query::parse(request.query()))?;
    let predicate = read::predicate(scope, &options)?;
    let start = start(&options)?;
    let bookmarks = options.allow_watch_bookmarks;
    let watcher = parts.registry.watch(&scope.request(request, false, None), WatchRequest { predicate, start }).await;
    let mut watcher = match watcher {
        Err(status) if matches!(status.code, 410 | 504) => return Ok(failed(&view, request, &status)),
        watcher => watcher?,
    };
    if matches!(start, WatchStart::InitialEvents(_)) && bookmarks {
        watcher.mark_initial_end();
    }
    let duration = duration(options.timeout_seconds, parts.watch_duration_min, fraction());
    let sent = parts.metrics.watch_events(&scope.requested.gvr);
    let now = parts.clock.instant();
    let (until, bookmark_at) = (now + duration, now + BOOKMARK_INTERVAL);
    let conversion = ToRequested::of(scope);
    let clock = parts.clock.clone();
    let events = Events {
        clock,
        view,
        conversion,
        watcher,
        taken: Vec::new(),
        bookmarks,
        bookmark_at,
        until,
        columns_sent: false,
        over: false,
        sent,
    };
    if websocket::is_requested(&request.headers) {
        return Ok(websocket::accept(&request.headers, !events.view.is_protobuf(), events));
    }
    let output = events.view.output.clone();
    Ok(response::events(&output, Body::stream(events.into_stream())))
}

/// A watch that cannot begin where it is asked to: as upstream has it, a stream whose only event says so.
fn failed(view: &View, request: &Authorized, status: &Status) -> Response {
    let event = document(view, "ERROR", &status.to_json());
    if websocket::is_requested(&request.headers) {
        return websocket::accept(&request.headers, !view.is_protobuf(), OneEvent(Some(unframed(view, event))));
    }
    response::events(&view.output, Body::stream(futures::stream::iter([Ok(event)])))
}

struct OneEvent(Option<Bytes>);

impl websocket::Source for OneEvent {
    async fn next(&mut self) -> Option<Vec<Bytes>> {
        Some(vec![self.0.take()?])
    }
}

fn start(options: &ListOptions) -> Result<WatchStart, Status> {
    let version = parse_resource_version(&options.resource_version).map_err(|error| decode::unclassified(500, error.to_string()))?;
    Ok(match (options.send_initial_events, version) {
        (Some(true), version) => WatchStart::InitialEvents(version.unwrap_or(0)),
        (Some(false), None | Some(0)) => WatchStart::Now,
        (_, None) => WatchStart::MostRecent,
        (_, Some(0)) => WatchStart::Any,
        (_, Some(version)) => WatchStart::After(version),
    })
}

/// How long a watch lasts: what the client asks for, else between the server's least and twice that.
fn duration(asked_seconds: Option<i64>, min: Duration, fraction: f64) -> Duration {
    match asked_seconds {
        None | Some(0) => min + min.mul_f64(fraction),
        // A negative one is over at once, as upstream has it.
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(WATCH_DURATION_MAX),
    }
}

/// Between 0 and 1, by chance, so that watches that began together do not end together.
fn fraction() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

/// An [`Update`] in the version asked for.
enum Shown {
    Event(EventType, Versioned),
    InitialEventsEnd(u64),
}

struct Events {
    clock: Clock,
    view: View,
    conversion: ToRequested,
    watcher: Watcher,
    /// Taken from the watcher, and not sent yet.
    taken: Vec<Update>,
    bookmarks: bool,
    /// When a quiet watcher is sent the next one.
    bookmark_at: Instant,
    until: Instant,
    columns_sent: bool,
    over: bool,
    /// Counts the events.
    sent: IntCounter,
}

impl Events {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
        futures::stream::unfold(self, |mut stream| async move {
            let frames = stream.frames().await?;
            Some((Ok(joined(frames)), stream))
        })
    }

    /// The next events, each as its bytes, which all watchers share; none: the watch is over. Dropping the future loses nothing.
    async fn frames(&mut self) -> Option<Vec<Bytes>> {
        while !self.over {
            if self.taken.is_empty() {
                match self.watcher.take() {
                    Err(WatchEnd::Lost(lost)) => return Some(self.end(&Status::expired(lost.to_string()))),
                    Err(WatchEnd::Removed) => return None,
                    Ok(updates) => self.taken = updates,
                }
            }
            if !self.taken.is_empty() {
                match self.shown().await {
                    Err(status) => return Some(self.end(&status)),
                    Ok(updates) => {
                        self.sent.inc_by(updates.len() as u64);
                        self.bookmark_at = self.clock.instant() + BOOKMARK_INTERVAL;
                        return Some(updates.into_iter().map(|update| self.frame(update)).collect());
                    }
                }
            }
            // Nothing is left that the watcher has not been told of, so that the bookmark says how far all is told.
            let now = self.clock.instant();
            if now >= self.until {
                return None;
            }
            if self.bookmarks && now >= self.bookmark_at {
                self.bookmark_at = now + BOOKMARK_INTERVAL;
                return Some(vec![self.bookmark(self.watcher.revision(), false)]);
            }
            let wake_at = if self.bookmarks { self.bookmark_at.min(self.until) } else { self.until };
            tokio::select! {
                () = self.watcher.ready() => {}
                () = self.clock.sleep_until(wake_at) => {}
            }
        }
        None
    }

    /// What was taken from the watcher, in the version asked for. It is forgotten only then, so that dropping the future loses nothing.
    async fn shown(&mut self) -> Result<Vec<Shown>, Status> {
        let objects = self.taken.iter().filter_map(|update| match update {
            Update::Event(_, object) => Some(object.clone()),
            Update::InitialEventsEnd(_) => None,
        });
        let mut versioned = self.conversion.objects(objects.collect()).await?.into_iter();
        let shown = std::mem::take(&mut self.taken).into_iter().filter_map(|update| match update {
            Update::Event(kind, _) => Some(Shown::Event(kind, versioned.next()?)),
            Update::InitialEventsEnd(revision) => Some(Shown::InitialEventsEnd(revision)),
        });
        Ok(shown.collect())
    }

    /// The last event, which says why it is the last.
    fn end(&mut self, status: &Status) -> Vec<Bytes> {
        self.over = true;
        vec![document(&self.view, "ERROR", &status.to_json())]
    }

    fn frame(&mut self, update: Shown) -> Bytes {
        match update {
            Shown::InitialEventsEnd(revision) => self.bookmark(revision, true),
            Shown::Event(kind, shown) => match self.view.form {
                _ if self.view.is_protobuf() => self.view.protobuf_event(kind, &shown),
                Form::Whole if self.view.is_verbatim() => shown.object.frame(kind),
                Form::Table { .. } => self.table(kind, &shown),
                _ => enveloped(kind, &self.view.object(&shown)),
            },
        }
    }

    fn table(&mut self, kind: EventType, shown: &Versioned) -> Bytes {
        let whole: Value = serde_json::from_slice(&shown.json).unwrap_or_default();
        let metadata = json!({ "resourceVersion": shown.object.revision().to_string() });
        let with_columns = !std::mem::replace(&mut self.columns_sent, true);
        line(kind.as_str(), &self.view.table(&[whole], metadata, with_columns))
    }

    fn bookmark(&mut self, revision: u64, initial_end: bool) -> Bytes {
        let (kind, api_version) = self.view.shown_kind();
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if initial_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let mut object = json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata });
        if let Form::Table { .. } = self.view.form {
            let with_columns = !std::mem::replace(&mut self.columns_sent, true);
            object = self.view.table(&[object], json!({ "resourceVersion": revision.to_string() }), with_columns);
        }
        document(&self.view, "BOOKMARK", &object)
    }
}

/// An event whose object nobody else gets.
fn document(view: &View, kind: &str, object: &Value) -> Bytes {
    if view.is_protobuf() { View::protobuf_document(kind, object) } else { line(kind, object) }
}

/// An event without what separates it from the next one in a stream: a frame of a WebSocket has its own length.
fn unframed(view: &View, event: Bytes) -> Bytes {
    if view.is_protobuf() { event.slice(messages::WATCH_FRAME_PREFIX_BYTES..) } else { event }
}

impl websocket::Source for Events {
    async fn next(&mut self) -> Option<Vec<Bytes>> {
        let frames = self.frames().await?;
        Some(frames.into_iter().map(|frame| unframed(&self.view, frame)).collect())
    }
}

/// Several events go out in one write.
fn joined(mut frames: Vec<Bytes>) -> Bytes {
    if frames.len() == 1 {
        return frames.remove(0);
    }
    let mut joined = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum::<usize>().min(WRITE_BYTES_MAX));
    frames.iter().for_each(|frame| joined.extend_from_slice(frame));
    joined.freeze()
}

fn line(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({ "type": kind, "object": object })).into()
}

fn enveloped(kind: EventType, object: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(object.len() + 40);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_str().as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_lasts_as_long_as_asked_or_between_the_least_and_twice_that() {
        let min = Duration::from_secs(1800);
        for (asked, fraction, want) in [
            (None, 0.0, 1800),
            (None, 0.5, 2700),
            (None, 1.0, 3600),
            // Upstream takes it for none at all.
            (Some(0), 0.0, 1800),
            (Some(5), 0.7, 5),
            (Some(86_400), 0.7, 86_400),
            (Some(-1), 0.7, 0),
            (Some(i64::MAX), 0.7, WATCH_DURATION_MAX.as_secs()),
        ] {
            assert_eq!(duration(asked, min, fraction), Duration::from_secs(want), "{asked:?} {fraction}");
        }
        assert_eq!(duration(None, Duration::ZERO, 1.0), Duration::ZERO);
        assert!((0..100).map(|_| fraction()).all(|fraction| (0.0..=1.0).contains(&fraction)));
        assert_ne!(fraction(), fraction());
    }
}
