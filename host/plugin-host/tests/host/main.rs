//! The plugin host with real components. `cargo xtask guests` and `cargo xtask plugins` build them.

mod bad_guests;
mod bench;
mod calls;
mod capabilities;
mod charges;
mod cost;
mod counters;
mod directory;
mod examples;
mod hot_swap;
mod http;
mod indexes;
mod manifests;
mod missing;
mod remembered;
mod requests;
mod sources;
mod tokens;
mod versions;
