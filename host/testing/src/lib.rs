//! For tests only: the server without sockets, components and disks, with everything in the test's hands.
//!
//! ```text
//! TestServer: the road and the endpoints, as they are in earnest
//!   decided by  scripted plugins           closures in place of components
//!   stored in   FaultyStorage              conflicts, lost answers, delays, ends of watches, death; planned, or by a seed
//!     over      MemoryStorage              which keeps all of its history, to be compared with what watchers saw
//!   timed by    ManualClock                stands until it is moved
//! ```
//!
//! A test that draws from a seed is run by [`seeds::each`], which says the seed where it fails.

mod faults;
mod manual_clock;
mod memory;
pub mod plugins;
pub mod seeds;
mod test_server;

pub use faults::{Fault, FaultyStorage, Odds};
pub use manual_clock::ManualClock;
pub use memory::MemoryStorage;
pub use test_server::{Answer, Setup, TestServer, WatchEvent, WatchStream};
