//! What the requests of one connection share: who the client is, which answers are on their way, and whether it still reads them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::body::Upgrade;
use crate::limits::{self, ConnectionLimits};
use crate::socket::SocketState;
use crate::strangers::Stranger;
use crate::tls::Peer;

/// What requests of one connection share.
#[derive(Debug)]
pub struct Connection {
    /// The client's address.
    pub remote: SocketAddr,
    pub(crate) peer: Option<Peer>,
    pub(crate) http2: bool,
    /// Notified where the connection is to take no further requests: after the answer to an anonymous one over HTTP/2, upstream's defence
    /// against rapid reset (CVE-2023-44487, `pkg/endpoints/filters/authentication.go`).
    pub(crate) close: Notify,
    socket: Arc<SocketState>,
    /// Whether anybody has been authenticated on the connection; none on [`Connection::internal`].
    stranger: Option<Arc<Stranger>>,
    /// Bounds the requests that are worked on at once before anybody was authenticated on the connection.
    stranger_places: Semaphore,
    under_way: Mutex<UnderWay>,
    next_id: AtomicU64,
    /// What an HTTP/1.1 connection is used for once its last request is answered: a WebSocket.
    pub(crate) upgrade: Mutex<Option<(OnUpgrade, Upgrade)>>,
}

#[derive(Debug)]
struct UnderWay {
    /// By [`Ticket::id`]; none while the answer is being made.
    requests: BTreeMap<u64, Option<Sending>>,
    idle_since: Instant,
    /// The sum over all requests.
    unsent_bytes: u64,
}

/// An answer on its way.
#[derive(Debug)]
struct Sending {
    since: Instant,
    /// Since when the client has not taken what it was sent; none: it has taken everything that there was to send.
    offered_at: Option<Instant>,
    /// Bytes of the answer that are in memory for this client alone, and that it has not taken.
    unsent_bytes: u64,
    /// A watch has no end by which it would have to be sent.
    is_watch: bool,
}

/// A request under way on its connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    connection: Arc<Connection>,
    id: u64,
}

impl Connection {
    pub(crate) fn new(
        remote: SocketAddr,
        peer: Option<Peer>,
        http2: bool,
        socket: Arc<SocketState>,
        stranger: Option<Arc<Stranger>>,
    ) -> Arc<Self> {
        let under_way = UnderWay { requests: BTreeMap::new(), idle_since: Instant::now(), unsent_bytes: 0 };
        let (close, next_id, under_way) = (Notify::new(), AtomicU64::new(0), Mutex::new(under_way));
        let stranger_places = Semaphore::new(limits::REQUESTS_PER_STRANGER_MAX);
        let upgrade = Mutex::default();
        Arc::new(Self { remote, peer, http2, close, socket, stranger, stranger_places, under_way, next_id, upgrade })
    }

    /// Stands for a connection in requests that the server makes to itself and in tests.
    pub fn internal() -> Arc<Self> {
        Self::new(SocketAddr::from(([127, 0, 0, 1], 0)), None, false, Arc::default(), None)
    }

    /// Waits until the request may be worked on: before anybody was authenticated on the connection, few are at once
    /// ([`limits::REQUESTS_PER_STRANGER_MAX`]). Hold what is returned for as long as that takes.
    pub(crate) async fn stranger_place(&self) -> Option<SemaphorePermit<'_>> {
        let stranger = self.stranger.as_ref().is_some_and(|stranger| !stranger.is_known());
        // The semaphore is never closed, so that acquiring cannot fail.
        if stranger { self.stranger_places.acquire().await.ok() } else { None }
    }

    /// A request on this connection was authenticated, and not as anonymous.
    pub(crate) fn introduce(&self) {
        if let Some(stranger) = &self.stranger {
            stranger.introduce();
        }
    }

    /// A request has come; it is under way until the ticket is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Ticket {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.under_way.lock().requests.insert(id, None);
        Ticket { connection: self.clone(), id }
    }

    /// Whether more than [`limits::UNSENT_BYTES_PER_CONNECTION_MAX`] of answers wait for the client to read them: it is given no more then.
    pub(crate) fn is_overfull(&self) -> bool {
        self.under_way.lock().unsent_bytes > limits::UNSENT_BYTES_PER_CONNECTION_MAX
    }

    /// What the connection is found at, now and then.
    pub(crate) fn activity(&self, now: Instant, limits: &ConnectionLimits) -> Activity {
        let stalled = |since: Instant| now.duration_since(since) > limits.send_stall_duration_max;
        let given_up = |sending: &Sending| {
            sending.offered_at.is_some_and(stalled) || (!sending.is_watch && now.duration_since(sending.since) > limits::SEND_DURATION_MAX)
        };
        let under_way = self.under_way.lock();
        if self.socket.blocked_since().is_some_and(stalled) || under_way.requests.values().flatten().any(given_up) {
            Activity::Stalled
        } else if under_way.requests.is_empty() && now.duration_since(under_way.idle_since) > limits.idle_duration_max {
            Activity::Idle
        } else {
            Activity::Busy
        }
    }
}

impl Ticket {
    /// The answer is ready; `unsent_bytes` of it are held for it alone.
    pub(crate) fn answered(&self, unsent_bytes: u64, is_watch: bool) {
        let now = Instant::now();
        let mut under_way = self.connection.under_way.lock();
        under_way.unsent_bytes += unsent_bytes;
        if let Some(request) = under_way.requests.get_mut(&self.id) {
            *request = Some(Sending { since: now, offered_at: Some(now), unsent_bytes, is_watch });
        }
    }

    /// `bytes` more of the answer were handed to hyper, which asks for the next when the client has room for it.
    pub(crate) fn offered(&self, bytes: usize) {
        let mut under_way = self.connection.under_way.lock();
        let Some(Some(sending)) = under_way.requests.get_mut(&self.id) else { return };
        sending.offered_at = Some(Instant::now());
        let taken = sending.unsent_bytes.min(bytes as u64);
        sending.unsent_bytes -= taken;
        under_way.unsent_bytes -= taken;
    }

    /// hyper asks for more of a stream than there is yet: the client has taken everything so far.
    pub(crate) fn source_pending(&self) {
        if let Some(Some(sending)) = self.connection.under_way.lock().requests.get_mut(&self.id) {
            sending.offered_at = None;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut under_way = self.connection.under_way.lock();
        if let Some(Some(sending)) = under_way.requests.remove(&self.id) {
            under_way.unsent_bytes -= sending.unsent_bytes;
        }
        if under_way.requests.is_empty() {
            under_way.idle_since = Instant::now();
        }
    }
}

/// What a connection is found at when it is looked after.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// A request is under way, and its client takes what it is sent.
    Busy,
    /// No request has been under way for as long as a connection may be kept for the next.
    Idle,
    /// A client has not taken what it was sent for too long.
    Stalled,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_client_that_takes_something_now_and_then_is_not_given_up() {
        let limits = ConnectionLimits::default();
        let stall = limits.send_stall_duration_max;
        let connection = Connection::internal();
        let activity = |after: Duration| connection.activity(Instant::now() + after, &limits);
        let ticket = connection.begin();
        assert_eq!(activity(10 * stall), Activity::Busy, "a handler works as long as its request may");
        ticket.answered(1000, false);
        assert_eq!(activity(stall / 2), Activity::Busy);
        assert_eq!(activity(stall + Duration::from_secs(1)), Activity::Stalled);
        // Taken just now: the time begins anew.
        ticket.offered(100);
        assert_eq!(activity(stall / 2), Activity::Busy);
        ticket.source_pending();
        assert_eq!(activity(10 * stall), Activity::Busy, "nothing is there to be taken");
        assert_eq!(activity(limits::SEND_DURATION_MAX + stall), Activity::Stalled, "but an answer has an end");
        drop(ticket);
        assert_eq!(activity(stall), Activity::Busy);
        assert_eq!(activity(limits.idle_duration_max + stall), Activity::Idle);

        let watch = connection.begin();
        watch.answered(0, true);
        watch.source_pending();
        assert_eq!(activity(10 * limits::SEND_DURATION_MAX), Activity::Busy, "a watch has none");
        watch.offered(10);
        assert_eq!(activity(stall + Duration::from_secs(1)), Activity::Stalled);
    }

    #[tokio::test]
    async fn a_stranger_s_requests_wait_for_each_other() {
        use futures::FutureExt as _;
        let stranger = Arc::new(Arc::new(crate::strangers::Strangers::default()).arrive());
        let connection = Connection::new(SocketAddr::from(([127, 0, 0, 1], 0)), None, true, Arc::default(), Some(stranger));
        let mut places = Vec::new();
        for _ in 0..limits::REQUESTS_PER_STRANGER_MAX {
            places.push(connection.stranger_place().await.expect("a place"));
        }
        assert!(connection.stranger_place().now_or_never().is_none(), "one more than may be");
        drop(places.pop());
        assert!(connection.stranger_place().now_or_never().is_some_and(|place| place.is_some()));
        connection.introduce();
        let free = (0..100).all(|_| connection.stranger_place().now_or_never().is_some_and(|place| place.is_none()));
        assert!(free, "who is known needs none");
    }

    #[test]
    fn unread_answers_are_bounded() {
        let connection = Connection::internal();
        let tickets: Vec<Ticket> = (0..3).map(|_| connection.begin()).collect();
        tickets[0].answered(limits::UNSENT_BYTES_PER_CONNECTION_MAX, false);
        assert!(!connection.is_overfull());
        tickets[1].answered(100, false);
        assert!(connection.is_overfull());
        tickets[1].offered(99);
        assert!(connection.is_overfull());
        tickets[0].offered(1);
        tickets[2].answered(0, true);
        tickets[2].offered(1000);
        assert!(!connection.is_overfull());
        drop(tickets);
        assert_eq!(connection.under_way.lock().unsent_bytes, 0);
    }
}
