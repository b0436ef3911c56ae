//! Bodies: what a client sends, read once and bounded; what we answer, in chunks that are never copied.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use apimachinery::Status;
use bytes::{Bytes, BytesMut};
use flowcontrol::{Away, Leave};
use futures::Stream;
use futures::future::BoxFuture;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::upgrade::Upgraded;

use crate::limits;
use crate::shutdown::Shutdown;

/// What a client sent. Nothing is read from the connection before [`RequestBody::read`].
#[derive(Debug, Default)]
pub struct RequestBody {
    source: Source,
    /// The seat of its request (`flowcontrol`), which is given to others while the client is waited for.
    seat: Option<Leave>,
}

#[derive(Debug, Default)]
enum Source {
    #[default]
    Empty,
    Bytes(Bytes),
    Connection(hyper::body::Incoming),
}

impl RequestBody {
    /// A body that is in memory, for tests and for requests that the server makes to itself.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Source::Bytes(bytes.into()).into()
    }

    pub(crate) fn from_connection(incoming: hyper::body::Incoming) -> Self {
        if incoming.is_end_stream() { Self::default() } else { Source::Connection(incoming).into() }
    }

    /// From now on the request's seat is given to others while the client's bytes are waited for.
    pub(crate) fn leaves(&mut self, seat: Leave) {
        self.seat = Some(seat);
    }

    /// Whether the body is known to be empty.
    pub fn is_empty(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Bytes(bytes) => bytes.is_empty(),
            Source::Connection(incoming) => incoming.is_end_stream(),
        }
    }

    /// Reads all of it, once: 413 where it is larger than [`limits::BODY_BYTES_MAX`], 408-like `Timeout` where it takes too long,
    /// 400 where the client breaks off.
    ///
    /// # Errors
    /// The three that are named above.
    pub async fn read(&mut self) -> Result<Bytes, Status> {
        self.read_within(limits::BODY_BYTES_MAX, limits::BODY_READ_DURATION_MAX).await
    }

    /// [`Self::read`] with other bounds.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_within(&mut self, bytes_max: usize, duration_max: Duration) -> Result<Bytes, Status> {
        match std::mem::take(&mut self.source) {
            Source::Empty => Ok(Bytes::new()),
            Source::Bytes(bytes) if bytes.len() > bytes_max => Err(too_large(bytes_max)),
            Source::Bytes(bytes) => Ok(bytes),
            Source::Connection(incoming) => {
                let mut reading = std::pin::pin!(tokio::time::timeout(duration_max, collect(incoming, bytes_max)));
                let read = match futures::poll!(reading.as_mut()) {
                    // Most bodies fit into the first frame.
                    Poll::Ready(read) => read,
                    Poll::Pending => {
                        let away = self.seat.as_ref().map(Leave::go);
                        let read = reading.await;
                        away.map_or(Ok(()), Away::come_back)?;
                        read
                    }
                };
                read.unwrap_or_else(|_| Err(Status::timeout("timed out reading the request body", 1)))
            }
        }
    }
}

impl From<Source> for RequestBody {
    fn from(source: Source) -> Self {
        Self { source, seat: None }
    }
}

/// A request that is refused unread leaves its body behind. HTTP/1 has to close its connection on that, and a client that sends its next
/// request meanwhile sees it break: what is left is thrown away beside the answer, where it is little.
impl Drop for RequestBody {
    fn drop(&mut self) {
        let Source::Connection(incoming) = std::mem::take(&mut self.source) else { return };
        if incoming.size_hint().lower() > limits::UNREAD_BODY_BYTES_MAX as u64 {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(limits::UNREAD_BODY_DURATION_MAX, drain(incoming, limits::UNREAD_BODY_BYTES_MAX)));
        }
    }
}

fn too_large(bytes_max: usize) -> Status {
    Status::too_large(format!("limit is {bytes_max}"))
}

/// Takes in and throws away what is left of a body, up to a bound: a client that is still sending would otherwise see
/// its connection break, and not the answer.
async fn drain(mut incoming: hyper::body::Incoming, bytes_max: usize) {
    let mut left = bytes_max;
    while let Some(Ok(frame)) = incoming.frame().await {
        match frame.data_ref().map_or(Some(left), |chunk| left.checked_sub(chunk.len())) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// 413, once the client has sent the rest or has had the time to.
async fn refused(incoming: hyper::body::Incoming, bytes_max: usize) -> Status {
    let rest = drain(incoming, limits::REFUSED_BODY_BYTES_MAX);
    // A client that sends no more and does not end its body is answered all the same.
    let _ = tokio::time::timeout(limits::UNREAD_BODY_DURATION_MAX, rest).await;
    too_large(bytes_max)
}

/// Bytes of one body that is arriving, counted among those of all.
struct Arriving(usize);

static ARRIVING_BYTES: AtomicUsize = AtomicUsize::new(0);

impl Arriving {
    fn add(&mut self, bytes: usize) -> Result<(), Status> {
        self.0 += bytes;
        let before = ARRIVING_BYTES.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > limits::ARRIVING_BYTES_MAX { Err(flowcontrol::too_many_requests()) } else { Ok(()) }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        ARRIVING_BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

async fn collect(mut incoming: hyper::body::Incoming, bytes_max: usize) -> Result<Bytes, Status> {
    if incoming.size_hint().lower() > bytes_max as u64 {
        return Err(refused(incoming, bytes_max).await);
    }
    let mut arriving = Arriving(0);
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|e| Status::bad_request(format!("the request body could not be read: {e}")))?;
        let Ok(chunk) = frame.into_data() else { continue };
        let so_far = rest.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + chunk.len() > bytes_max {
            return Err(refused(incoming, bytes_max).await);
        }
        arriving.add(chunk.len())?;
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&chunk),
            None if first.is_empty() => first = chunk,
            None => {
                let hint = usize::try_from(incoming.size_hint().lower()).unwrap_or(0);
                let mut joined = BytesMut::with_capacity(first.len() + chunk.len() + hint);
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&chunk);
                rest = Some(joined);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// A stream of chunks. An error breaks the response off: the client sees that it is not whole.
pub type ChunkStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// Why a response ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("the response was broken off: {0}")]
pub struct BodyError(pub String);

/// What we answer.
#[derive(Default)]
pub struct Body {
    kind: Kind,
    /// Taken from `kind` and not yet by the connection.
    piece: Bytes,
    /// Dropped with the body.
    on_sent: Option<Box<dyn OnBodySent>>,
}

/// Runs on what an HTTP/1.1 connection becomes after its handshake: a WebSocket.
pub(crate) type UpgradedTask = Box<dyn FnOnce(Upgraded, Shutdown) -> BoxFuture<'static, ()> + Send>;

/// What a connection becomes after its answer.
pub(crate) struct Upgrade {
    run: UpgradedTask,
    on_sent: Option<Box<dyn OnBodySent>>,
}

impl std::fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upgrade").finish_non_exhaustive()
    }
}

impl Upgrade {
    /// Runs to its end; what the request holds is let go then.
    pub(crate) async fn run(self, io: Upgraded, shutdown: Shutdown) {
        let Self { run, on_sent } = self;
        run(io, shutdown).await;
        drop(on_sent);
    }
}

/// Lives as long as a response's body, and is told how far it is sent.
pub(crate) trait OnBodySent: Send {
    /// The connection has taken so many bytes, and comes again when the client took them.
    fn taken(&mut self, bytes: usize);
    /// The connection has asked for more than there is yet.
    fn source_pending(&mut self);
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Chunks {
        chunks: VecDeque<Bytes>,
        bytes_left: u64,
    },
    Stream(ChunkStream),
    /// Nothing: the connection becomes another one.
    Upgrade(UpgradedTask),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.kind {
            Kind::Empty => "Body::Empty",
            Kind::Full(_) => "Body::Full",
            Kind::Chunks { .. } => "Body::Chunks",
            Kind::Stream(_) => "Body::Stream",
            Kind::Upgrade(_) => "Body::Upgrade",
        })
    }
}

impl Body {
    /// Nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// One piece; its length is announced.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Kind::Full(bytes.into()).into()
    }

    /// Several pieces, whose total length is announced. Small ones are joined as they are sent.
    pub fn chunks(chunks: impl Into<VecDeque<Bytes>>) -> Self {
        let chunks = chunks.into();
        let bytes_left = chunks.iter().map(|c| c.len() as u64).sum();
        Kind::Chunks { chunks, bytes_left }.into()
    }

    /// A stream. Every chunk is sent as soon as it is there.
    pub fn stream(stream: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static) -> Self {
        Kind::Stream(Box::pin(stream)).into()
    }

    /// Nothing, and what goes on with the connection once the answer (101) is sent.
    pub(crate) fn upgrade(run: UpgradedTask) -> Self {
        Kind::Upgrade(run).into()
    }

    /// What goes on with the connection, where something does, and what lives as long as that.
    pub(crate) fn take_upgrade(&mut self) -> Option<Upgrade> {
        match std::mem::take(&mut self.kind) {
            Kind::Upgrade(run) => Some(Upgrade { run, on_sent: self.on_sent.take() }),
            other => {
                self.kind = other;
                None
            }
        }
    }

    /// Whether its length is known now.
    pub fn len(&self) -> Option<u64> {
        let left = match &self.kind {
            Kind::Empty | Kind::Upgrade(_) => 0,
            Kind::Full(bytes) => bytes.len() as u64,
            Kind::Chunks { bytes_left, .. } => *bytes_left,
            Kind::Stream(_) => return None,
        };
        Some(left + self.piece.len() as u64)
    }

    /// Bytes that this body alone holds: a list's chunks are mostly the cache's, and a stream's are made as they are sent.
    pub(crate) fn own_bytes(&self) -> u64 {
        if let Kind::Full(bytes) = &self.kind { bytes.len() as u64 } else { 0 }
    }

    /// Whether it is certainly empty.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Whether it has an end that is known: a watch has not.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Stream(_))
    }

    /// Ties something's life to the body's.
    pub(crate) fn with_on_sent(mut self, on_sent: Box<dyn OnBodySent>) -> Self {
        self.on_sent = Some(on_sent);
        self
    }

    /// Replaces a stream by what `wrap` makes of it; other bodies stay as they are.
    pub(crate) fn map_stream(mut self, wrap: impl FnOnce(ChunkStream) -> ChunkStream) -> Self {
        self.kind = match self.kind {
            Kind::Stream(stream) => Kind::Stream(wrap(stream)),
            other => other,
        };
        self
    }

    /// All of it, for tests and for writers that must see the whole.
    pub async fn collect(self) -> Result<Bytes, BodyError> {
        BodyExt::collect(self).await.map(http_body_util::Collected::to_bytes)
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { kind, ..Self::default() }
    }
}

/// The next piece to send: small pieces are joined up to a frame's size, because each frame costs the connection more than the copy does.
fn next_joined(chunks: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let first = chunks.pop_front()?;
    if first.len() >= limits::FRAME_BYTES_MAX || chunks.is_empty() {
        return Some(first);
    }
    let mut joined = BytesMut::with_capacity(limits::FRAME_BYTES_MAX);
    joined.extend_from_slice(&first);
    while let Some(next) = chunks.pop_front_if(|next| joined.len() + next.len() <= limits::FRAME_BYTES_MAX) {
        joined.extend_from_slice(&next);
    }
    Some(joined.freeze())
}

/// The next frame of a piece that may be larger than one. `last`: nothing comes after the piece.
fn next_frame(piece: &mut Bytes, last: bool) -> Bytes {
    let frame_bytes = match piece.len() {
        len if len > limits::FRAME_BYTES_MAX => limits::FRAME_BYTES_MAX,
        len if last && len > limits::LAST_FRAME_BYTES_MAX => len - limits::LAST_FRAME_BYTES_MAX,
        len => len,
    };
    piece.split_to(frame_bytes)
}

impl Body {
    /// Fills `piece` where it is empty; none: there is nothing more.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<(), BodyError>>> {
        if !self.piece.is_empty() {
            return Poll::Ready(Some(Ok(())));
        }
        let next = match &mut self.kind {
            Kind::Empty | Kind::Upgrade(_) => None,
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
                (!bytes.is_empty()).then_some(bytes)
            }
            Kind::Chunks { chunks, bytes_left } => {
                let chunk = next_joined(chunks);
                *bytes_left -= chunk.as_ref().map_or(0, |c| c.len() as u64);
                chunk
            }
            Kind::Stream(stream) => match futures::ready!(stream.as_mut().poll_next(context)) {
                None => {
                    // Frees what the stream holds before the connection gets round to dropping the response.
                    self.kind = Kind::Empty;
                    None
                }
                Some(Ok(chunk)) => Some(chunk),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            },
        };
        Poll::Ready(next.map(|next| {
            self.piece = next;
            Ok(())
        }))
    }

    /// Whether the piece is the last that there is. A stream does not know.
    fn is_last_piece(&self) -> bool {
        match &self.kind {
            Kind::Empty | Kind::Upgrade(_) => true,
            Kind::Chunks { chunks, .. } => chunks.is_empty(),
            Kind::Full(_) | Kind::Stream(_) => false,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let there = match this.poll_piece(context) {
            Poll::Ready(there) => there,
            Poll::Pending => {
                this.on_sent.iter_mut().for_each(|on_sent| on_sent.source_pending());
                return Poll::Pending;
            }
        };
        Poll::Ready(there.map(|there| {
            there?;
            let last = this.is_last_piece();
            let frame = next_frame(&mut this.piece, last);
            this.on_sent.iter_mut().for_each(|on_sent| on_sent.taken(frame.len()));
            Ok(Frame::data(frame))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.len().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames(mut body: Body) -> Vec<usize> {
        let mut sizes = Vec::new();
        let mut left = body.len();
        while let Some(frame) = body.frame().await {
            sizes.push(frame.unwrap().into_data().unwrap().len());
            left = left.map(|left| left - sizes[sizes.len() - 1] as u64);
            assert_eq!(body.len(), left);
        }
        assert!(body.is_empty());
        sizes
    }

    #[tokio::test]
    async fn large_bodies_are_sent_in_pieces_and_keep_their_end_back() {
        let bytes = |count: usize| Bytes::from(vec![b'x'; count]);
        let (max, last) = (limits::FRAME_BYTES_MAX, limits::LAST_FRAME_BYTES_MAX);
        for (body, want) in [
            (Body::empty(), vec![]),
            (Body::full(bytes(last)), vec![last]),
            (Body::full(bytes(last + 1)), vec![1, last]),
            (Body::full(bytes(3 * max)), vec![max, max, max - last, last]),
            (Body::chunks(VecDeque::from([bytes(10), bytes(20)])), vec![30]),
            (Body::chunks(VecDeque::from([bytes(max + 5), bytes(7)])), vec![max, 5, 7]),
            (Body::chunks(VecDeque::from([bytes(max)])), vec![max - last, last]),
            (Body::stream(futures::stream::iter([Ok(bytes(max + 1)), Ok(bytes(1))])), vec![max, 1, 1]),
        ] {
            assert_eq!(frames(body).await, want);
        }
    }
}
