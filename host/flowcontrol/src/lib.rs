//! How much may be in flight at once. A request holds a [`Seat`] from before its authorization until its answer is sent.
//!
//! The two limits are upstream's (`--max-requests-inflight`, `--max-mutating-requests-inflight`). Priority levels and fair queues take the
//! place of the two pools behind the same types.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use apimachinery::Status;

/// What a request is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// `get`, `list`, `watch`, and everything else that changes nothing.
    ReadOnly,
    /// The rest.
    Mutating,
}

impl RequestKind {
    /// By the request's verb, as upstream tells them apart.
    pub fn of_verb(verb: &str) -> Self {
        if matches!(verb, "get" | "list" | "watch") { Self::ReadOnly } else { Self::Mutating }
    }

    /// `readOnly`, as in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "readOnly",
            Self::Mutating => "mutating",
        }
    }
}

/// How many requests of each kind may be in flight; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `--max-requests-inflight`.
    pub read_only_count_max: usize,
    /// `--max-mutating-requests-inflight`.
    pub mutating_count_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { read_only_count_max: 400, mutating_count_max: 200 }
    }
}

/// Upstream's words where no seat is free, and when to come again.
const TOO_MANY: &str = "Too many requests, please try again later.";
const RETRY_AFTER_SECONDS: u32 = 1;

/// Gives seats out. Clones share them.
#[derive(Clone, Debug)]
pub struct FlowControl(Arc<Pools>);

#[derive(Debug)]
struct Pools {
    read_only: Pool,
    mutating: Pool,
}

#[derive(Debug)]
struct Pool {
    count_max: usize,
    taken_count: AtomicUsize,
}

/// A place among the requests in flight, given back on drop.
#[derive(Debug)]
#[must_use = "a seat is given back when it is dropped"]
pub struct Seat {
    pools: Arc<Pools>,
    kind: RequestKind,
}

impl FlowControl {
    /// With all seats free.
    pub fn new(limits: Limits) -> Self {
        let pool = |count_max| Pool { count_max, taken_count: AtomicUsize::new(0) };
        Self(Arc::new(Pools { read_only: pool(limits.read_only_count_max), mutating: pool(limits.mutating_count_max) }))
    }

    /// A seat, or 429. Members of `system:masters` are never turned away: an overload must not lock the administrator out.
    pub fn admit(&self, kind: RequestKind, groups: &[String]) -> Result<Seat, Status> {
        let pool = self.0.of(kind);
        let taken_before = pool.taken_count.fetch_add(1, Ordering::AcqRel);
        // From here on the drop gives it back.
        let seat = Seat { pools: self.0.clone(), kind };
        let free = pool.count_max == 0 || taken_before < pool.count_max;
        if free || groups.iter().any(|group| group == "system:masters") {
            return Ok(seat);
        }
        Err(Status::too_many_requests(TOO_MANY, RETRY_AFTER_SECONDS))
    }

    /// Requests of a kind that are in flight now.
    pub fn in_flight(&self, kind: RequestKind) -> usize {
        self.0.of(kind).taken_count.load(Ordering::Acquire)
    }
}

impl Pools {
    fn of(&self, kind: RequestKind) -> &Pool {
        match kind {
            RequestKind::ReadOnly => &self.read_only,
            RequestKind::Mutating => &self.mutating,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.pools.of(self.kind).taken_count.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_run_out_and_come_back() {
        let control = FlowControl::new(Limits { read_only_count_max: 1, mutating_count_max: 0 });
        let masters = ["system:masters".to_owned()];
        let first = control.admit(RequestKind::ReadOnly, &[]).unwrap();
        let refused = control.admit(RequestKind::ReadOnly, &[]).unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (429, TOO_MANY));
        assert_eq!(control.in_flight(RequestKind::ReadOnly), 1, "a refusal holds no seat");
        let privileged = control.admit(RequestKind::ReadOnly, &masters).unwrap();
        assert_eq!(control.in_flight(RequestKind::ReadOnly), 2);
        let unlimited = control.admit(RequestKind::Mutating, &[]).unwrap();
        drop((first, privileged, unlimited));
        assert_eq!(control.in_flight(RequestKind::ReadOnly), 0);
        assert!(control.admit(RequestKind::ReadOnly, &[]).is_ok());
    }

    #[test]
    fn verbs_are_told_apart_as_upstream_does() {
        for (verb, kind) in
            [("get", "readOnly"), ("watch", "readOnly"), ("post", "mutating"), ("deletecollection", "mutating"), ("proxy", "mutating")]
        {
            assert_eq!(RequestKind::of_verb(verb).as_str(), kind, "{verb}");
        }
    }
}
