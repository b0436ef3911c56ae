//! The end of the process, and its beginning as systemd sees it. SIGTERM or SIGINT asks for a drain; a second one ends the
//! process at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The exit code after a second signal: the one that a shell gives for SIGINT, so that it is told from a failure of the server's.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// Listens for signals from now on. The receiver's value becomes true at the first one.
///
/// Must be called within the runtime, before the port opens: a signal that comes earlier ends the process.
pub fn listen() -> io::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!("{name}: shutting down; a second signal ends the process at once");
        notify(sd_notify::NotifyState::Stopping);
        sender.send_replace(true);
        let name = next().await;
        tracing::warn!("{name} again: ending without waiting for requests");
        std::process::exit(EXIT_SECOND_SIGNAL);
    });
    Ok(receiver)
}

/// Tells systemd (`Type=notify`) that the server is ready. Without systemd it does nothing.
pub fn notify_ready() {
    notify(sd_notify::NotifyState::Ready);
}

fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::warn!("systemd could not be notified: {error}");
    }
}
