//! The socket: binds, accepts with a bound, and drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

use crate::limits::{self, ConnectionLimits};
use crate::road::Road;
use crate::serving;
use crate::shutdown::Phase;
use crate::strangers::Strangers;
use crate::tls::Tls;

/// Connections that wait to be accepted.
const BACKLOG_COUNT_MAX: u32 = 4096;
/// A pause where the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address}: {source}")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every connection ended by itself.
    Clean,
    /// So many had to be cut.
    Cut(usize),
}

/// A port that is taken and still closed: whoever connects is refused.
#[derive(Debug)]
pub struct ReservedPort {
    socket: TcpSocket,
    address: SocketAddr,
}

impl ReservedPort {
    /// Takes it; port 0 takes a free one.
    pub fn take(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let socket = bind(address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A server that listens. Nothing is accepted before [`Server::serve`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    tls: Tls,
    limits: ConnectionLimits,
}

impl Server {
    /// Takes a port and opens it; port 0 takes a free one.
    pub fn bind(address: SocketAddr, tls: Tls, limits: ConnectionLimits) -> Result<Self, BindError> {
        Self::open(ReservedPort::take(address)?, tls, limits)
    }

    /// Opens the port.
    pub fn open(port: ReservedPort, tls: Tls, limits: ConnectionLimits) -> Result<Self, BindError> {
        let ReservedPort { socket, address } = port;
        let listener = socket.listen(BACKLOG_COUNT_MAX).map_err(|source| BindError { address, source })?;
        Ok(Self { listener, tls, limits })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound socket has an address")
    }

    /// Serves until the road's shutdown drains, then waits for what is under way, and cuts what takes longer than `drain_duration_max`.
    pub async fn serve(self, road: Arc<Road>, drain_duration_max: Duration) -> Drained {
        let Self { listener, tls, limits } = self;
        let places = Arc::new(Semaphore::new(limits.connections_count_max));
        let strangers = Arc::new(Strangers::default());
        let shutdown = road.shutdown().clone();
        let accepting = async {
            loop {
                let (stream, remote) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        // The process has no file left for it.
                        strangers.evict_oldest();
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                if places.available_permits() == 0 {
                    strangers.evict_oldest();
                }
                // Never closed, so that there is always a permit to wait for.
                let Ok(place) = places.clone().acquire_owned().await else { return };
                let (tls, road, stranger) = (tls.clone(), road.clone(), Arc::new(strangers.arrive()));
                tokio::spawn(async move {
                    tokio::select! {
                        () = serving::serve(stream, remote, tls, road, limits, stranger.clone()) => {}
                        () = stranger.evicted() => tracing::debug!(%remote, "connection cut, to make room for another"),
                    }
                    drop(place);
                });
            }
        };
        tokio::select! {
            () = accepting => {}
            () = shutdown.draining() => {}
        }
        drop(listener);

        let all = u32::try_from(limits.connections_count_max).unwrap_or(u32::MAX);
        let drained = tokio::time::timeout(drain_duration_max, places.acquire_many(all)).await;
        let cut = limits.connections_count_max - places.available_permits();
        match drained {
            Ok(_) => Drained::Clean,
            Err(_) => {
                shutdown.advance(Phase::Over);
                Drained::Cut(cut)
            }
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it. A kernel that does not know it holds more.
    let _ = socket2::SockRef::from(&socket).set_tcp_notsent_lowat(limits::SOCKET_UNSENT_BYTES_MAX);
    socket.bind(address)?;
    Ok(socket)
}
