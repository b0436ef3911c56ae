//! What the controllers see of the server that they run in.

use std::sync::Arc;

use admission::ChainSource;
use clock::Clock;
use registry::Registry;

/// The server, as its own controllers reach it: what they ask for is decided like everybody's requests.
#[derive(Clone)]
pub struct Server {
    /// The store of all resources.
    pub registry: Arc<Registry>,
    /// Gives each of their requests the chain that decides about it.
    pub chains: Arc<dyn ChainSource>,
    /// The time, as they write it into objects.
    pub clock: Clock,
}
