//! How many files the process may have open: each connection is one.

/// Files that are kept free for everything but clients' connections: the store, plugins, etcd.
const RESERVED_COUNT: u64 = 256;

/// Raises the soft limit to the hard one, as Go's runtime does for upstream, and gives how many connections there may be.
pub fn connections_count_max(wanted: usize) -> usize {
    let may_open = raise().unwrap_or(u64::MAX);
    let for_connections = may_open.saturating_sub(RESERVED_COUNT).max(may_open / 2);
    wanted.min(usize::try_from(for_connections).unwrap_or(usize::MAX)).max(1)
}

/// Raises the limit, and gives the new one; none where the system does not say.
fn raise() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls are given a valid pointer to a struct of the type that they take, and keep none of it.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return None;
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 {
            limit = raised;
        }
    }
    Some(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_room_for_a_connection() {
        assert_eq!(connections_count_max(0), 1);
        assert!((1..=20_000).contains(&connections_count_max(20_000)));
        assert_eq!(raise(), raise(), "raised once and for all");
    }
}
