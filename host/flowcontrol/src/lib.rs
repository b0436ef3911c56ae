//! How much may be worked on at once. A request holds a [`Seat`] from before its authorization until its answer is ready: sending it is no
//! work, and takes as long as the client likes. Anonymous requests have a small share of the seats, so that strangers keep nobody out.
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

/// One of so many seats may be taken by anonymous requests: about the share of upstream's priority level `global-default`.
const SEATS_PER_ANONYMOUS_SEAT: usize = 10;

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
    /// 0 is no limit.
    count_max: usize,
    taken_count: AtomicUsize,
    /// How many of the taken seats anonymous requests have.
    anonymous_count: AtomicUsize,
}

/// A place among the requests in flight, given back on drop.
#[derive(Debug)]
#[must_use = "a seat is given back when it is dropped"]
pub struct Seat {
    pools: Arc<Pools>,
    kind: RequestKind,
    anonymous: bool,
    privileged: bool,
}

/// Gives a request's seat to others while the request waits for its client to send its body.
#[derive(Clone, Debug)]
pub struct Leave {
    pools: Arc<Pools>,
    kind: RequestKind,
    anonymous: bool,
    privileged: bool,
}

/// While this lives the seat is given to others.
#[derive(Debug)]
#[must_use = "the seat is taken again when this is dropped"]
pub struct Away<'a> {
    leave: &'a Leave,
    back: bool,
}

impl Seat {
    /// A handle with which the body's reader can give the seat to others. It must not be used once the seat was dropped.
    pub fn leave(&self) -> Leave {
        let Self { pools, kind, anonymous, privileged } = self;
        Leave { pools: pools.clone(), kind: *kind, anonymous: *anonymous, privileged: *privileged }
    }
}

impl Leave {
    /// Gives the seat to others until [`Away::come_back`].
    pub fn go(&self) -> Away<'_> {
        self.pools.of(self.kind).leave(self.anonymous);
        Away { leave: self, back: false }
    }
}

impl Away<'_> {
    /// Takes the seat again.
    ///
    /// # Errors
    /// 429 `TooManyRequests` where no seat is free.
    pub fn come_back(mut self) -> Result<(), Status> {
        self.back = true;
        let leave = self.leave;
        // The seat is counted as taken even where it is refused: dropping the request's `Seat` counts it out again.
        let free = leave.pools.of(leave.kind).enter(leave.anonymous);
        if free || leave.privileged { Ok(()) } else { Err(too_many_requests()) }
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        if !self.back {
            // The request was given up while it waited. Its `Seat` is dropped next and counts one out, so it has to be counted in here.
            self.leave.pools.of(self.leave.kind).enter(self.leave.anonymous);
        }
    }
}

impl Pool {
    fn new(count_max: usize) -> Self {
        Self { count_max, taken_count: AtomicUsize::new(0), anonymous_count: AtomicUsize::new(0) }
    }

    /// Counts one more in, and returns whether there was room. It is counted in either case.
    fn enter(&self, anonymous: bool) -> bool {
        let room = |taken_before: usize, max: usize| self.count_max == 0 || taken_before < max;
        let anonymous_max = (self.count_max / SEATS_PER_ANONYMOUS_SEAT).max(1);
        let fits = room(self.taken_count.fetch_add(1, Ordering::AcqRel), self.count_max);
        let fits_anonymous = !anonymous || room(self.anonymous_count.fetch_add(1, Ordering::AcqRel), anonymous_max);
        fits && fits_anonymous
    }

    fn leave(&self, anonymous: bool) {
        self.taken_count.fetch_sub(1, Ordering::AcqRel);
        if anonymous {
            self.anonymous_count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl FlowControl {
    /// With all seats free.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Pools { read_only: Pool::new(limits.read_only_count_max), mutating: Pool::new(limits.mutating_count_max) }))
    }

    /// A seat, or 429. Members of `system:masters` are never turned away: an overload must not lock the administrator out.
    ///
    /// # Errors
    /// 429 `TooManyRequests` where no seat is free.
    pub fn admit(&self, kind: RequestKind, groups: &[String]) -> Result<Seat, Status> {
        let member = |wanted: &str| groups.iter().any(|group| group == wanted);
        let anonymous = member("system:unauthenticated");
        let free = self.0.of(kind).enter(anonymous);
        // The seat exists from here on, so that its drop undoes the count even where it is refused.
        let seat = Seat { pools: self.0.clone(), kind, anonymous, privileged: member("system:masters") };
        if free || seat.privileged {
            return Ok(seat);
        }
        Err(too_many_requests())
    }

    /// Requests of a kind that are in flight now.
    pub fn in_flight(&self, kind: RequestKind) -> usize {
        self.0.of(kind).taken_count.load(Ordering::Acquire)
    }
}

/// 429, in the words of upstream's filter.
pub fn too_many_requests() -> Status {
    Status::too_many_requests(TOO_MANY, RETRY_AFTER_SECONDS)
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
        self.pools.of(self.kind).leave(self.anonymous);
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
    fn a_seat_is_left_while_its_client_is_waited_for() {
        let control = FlowControl::new(Limits { read_only_count_max: 0, mutating_count_max: 1 });
        let in_flight = || control.in_flight(RequestKind::Mutating);
        let first = control.admit(RequestKind::Mutating, &[]).unwrap();
        let leave = first.leave();
        let away = leave.go();
        assert_eq!(in_flight(), 0);
        let second = control.admit(RequestKind::Mutating, &[]).unwrap();
        assert_eq!(away.come_back().unwrap_err().code, 429, "others have it by now");
        drop(first);
        assert_eq!(in_flight(), 1);
        let leave = second.leave();
        leave.go().come_back().unwrap();
        drop(leave.go());
        assert_eq!(in_flight(), 1, "given up meanwhile");
        drop(second);
        assert_eq!(in_flight(), 0);
    }

    #[test]
    fn strangers_have_a_share() {
        let control = FlowControl::new(Limits { read_only_count_max: 30, mutating_count_max: 0 });
        let stranger = ["system:unauthenticated".to_owned()];
        let seats: Vec<_> = (0..3).map(|_| control.admit(RequestKind::ReadOnly, &stranger).unwrap()).collect();
        assert_eq!(control.admit(RequestKind::ReadOnly, &stranger).unwrap_err().code, 429);
        assert_eq!(control.in_flight(RequestKind::ReadOnly), 3, "a refusal holds no seat");
        let known: Vec<_> = (0..27).map(|_| control.admit(RequestKind::ReadOnly, &[]).unwrap()).collect();
        assert!(control.admit(RequestKind::ReadOnly, &[]).is_err());
        drop(seats);
        assert!(control.admit(RequestKind::ReadOnly, &stranger).is_ok());
        drop(known);
        assert_eq!(control.in_flight(RequestKind::ReadOnly), 0);
        let unlimited: Vec<_> = (0..100).map(|_| control.admit(RequestKind::Mutating, &stranger).unwrap()).collect();
        assert_eq!(unlimited.len(), 100);
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
