//! Services: cluster addresses and node ports, given out and taken back in the transaction that writes the Service.
//!
//! Uniqueness is the store's: an address is an IPAddress object, created under the guard that it is not there, and a port a bit of the
//! one [`objectstore::RangeAllocation`] of the cluster; both are where kube-apiserver has them, so that both may run on one etcd. Two
//! servers that choose the same lose one of the commits, and choose again. Which addresses are in use is known beforehand from the watch
//! cache (`in_use`), so that a choice seldom fails.
//!
//! `registry` knows no kind: it calls [`ServiceHooks`] through its own trait. [`Masters`] keeps the Service `kubernetes` and its endpoints,
//! [`NodePortRepair`] the ports that are given out.
//!
//! **Architecture invariant:** no state that outlives a restart but the store's; the index only saves tries.

mod addresses;
mod bootstrap;
mod families;
mod family;
mod hooks;
mod in_use;
mod invalid;
mod masters;
mod node_port_repair;
mod node_ports;
mod plan;
mod range;
mod service_ranges;
mod spec;

pub use bootstrap::service_bootstrap;
pub use hooks::ServiceHooks;
pub use masters::Masters;
pub use node_port_repair::NodePortRepair;
pub use service_ranges::ServiceRanges;
