//! The socket below TLS: tells since when its client takes nothing, and outlives the connection for as long as the client needs to read
//! the last answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::limits;

/// A socket whose state can be asked for from outside.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Always there until the drop.
    stream: Option<TcpStream>,
    state: Arc<SocketState>,
}

/// What the connection's keeper sees of its socket.
#[derive(Debug, Default)]
pub(crate) struct SocketState {
    /// Something waits to be sent since then, and the kernel takes no more of it.
    blocked_since: Mutex<Option<Instant>>,
    /// Left behind by the drop.
    left: Mutex<Option<TcpStream>>,
}

impl Socket {
    /// Around an accepted socket.
    pub(crate) fn new(stream: TcpStream) -> (Self, Arc<SocketState>) {
        // Small answers and events must not wait for the client's acknowledgement of the ones before.
        let _ = stream.set_nodelay(true);
        let state = Arc::new(SocketState::default());
        (Self { stream: Some(stream), state: state.clone() }, state)
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("there until the drop"))
    }

    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let mut blocked_since = self.state.blocked_since.lock();
        if result.is_ready() {
            *blocked_since = None;
        } else {
            blocked_since.get_or_insert_with(Instant::now);
        }
        result
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        *self.state.left.lock() = self.stream.take();
    }
}

impl SocketState {
    /// Since when something waits to be sent and nothing is taken.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        *self.blocked_since.lock()
    }

    /// Takes in what the client still sends, for a while: closing a socket with unread bytes would tear the last answer out of the client's
    /// hands.
    pub(crate) async fn linger(&self) {
        let Some(mut stream) = self.left.lock().take() else { return };
        let drain = async {
            let mut buffer = vec![0; 16 * 1024];
            let mut left = limits::LINGER_BYTES_MAX;
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                let Some(rest) = left.checked_sub(count) else { return };
                left = rest;
            }
        };
        let _ = tokio::time::timeout(limits::LINGER_DURATION_MAX, drain).await;
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = self.stream().poll_write(context, bytes);
        self.written(result)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = self.stream().poll_write_vectored(context, slices);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
