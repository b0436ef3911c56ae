//! Token buckets that all instances of a plugin share: how often something may happen, by key.
//!
//! They are in memory and belong to one version of a plugin: another version begins with full ones. Their number is bounded: of more keys,
//! those that were not asked for lately are forgotten, which fills their buckets, as upstream's EventRateLimit has it.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::limits;
use crate::lookup::{LookupError, LookupFailure};

/// How a bucket fills.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Tokens a second; finite, not negative.
    pub(crate) per_second: f64,
    /// As many as it holds, and as it begins with.
    pub(crate) burst: u32,
}

struct Bucket {
    tokens: f64,
    /// Milliseconds since 1970.
    at: u64,
}

/// The buckets of one plugin. Two generations: when the young one is full it becomes the old one, and what was not asked for meanwhile goes.
pub(crate) struct Counters {
    keys_max: usize,
    buckets: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Box<str>, Bucket>,
    old: HashMap<Box<str>, Bucket>,
}

impl Counters {
    /// None yet, and never more than these.
    pub(crate) fn new(keys_max: usize) -> Self {
        Self { keys_max, buckets: Mutex::default() }
    }

    /// Takes so many tokens at this time. False: there are not so many, and none is taken.
    pub(crate) fn take(&self, key: &str, tokens: u32, rate: Rate, now_milliseconds: u64) -> Result<bool, LookupError> {
        if key.len() > limits::COUNTER_KEY_BYTES_MAX {
            let message = format!("a key of a counter has {} bytes, more than {}", key.len(), limits::COUNTER_KEY_BYTES_MAX);
            return Err(LookupError::new(LookupFailure::TooLong, message));
        }
        if !rate.per_second.is_finite() || rate.per_second < 0.0 {
            return Err(LookupError::new(LookupFailure::Malformed, "tokens a second must be a number, and not negative"));
        }
        let mut buckets = self.buckets.lock();
        let full = Bucket { tokens: f64::from(rate.burst), at: now_milliseconds };
        let mut bucket = buckets.young.remove(key).or_else(|| buckets.old.remove(key)).unwrap_or(full);
        // A clock that is set back gives nothing, and one that is set forward fills the bucket at most.
        let seconds = now_milliseconds.saturating_sub(bucket.at) as f64 / 1000.0;
        bucket.tokens = (bucket.tokens + seconds * rate.per_second).min(f64::from(rate.burst));
        bucket.at = now_milliseconds;
        let enough = bucket.tokens >= f64::from(tokens);
        if enough {
            bucket.tokens -= f64::from(tokens);
        }
        if buckets.young.len() >= (self.keys_max / 2).max(1) {
            buckets.old = std::mem::take(&mut buckets.young);
        }
        buckets.young.insert(key.into(), bucket);
        Ok(enough)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2.0, burst: 3 };

    #[test]
    fn a_bucket_begins_full_and_fills_with_time() {
        let counters = Counters::new(10);
        let take = |key: &str, tokens, now| counters.take(key, tokens, RATE, now).expect("an answer");
        assert_eq!([take("a", 1, 0), take("a", 2, 0), take("a", 1, 0)], [true, true, false]);
        assert!(take("b", 3, 0));
        // Half a second is one token.
        assert_eq!([take("a", 1, 499), take("a", 1, 500), take("a", 1, 500)], [false, true, false]);
        // It never holds more than its burst, whatever the clock does.
        assert_eq!([take("a", 4, 100_000), take("a", 3, 100_000), take("a", 1, 0)], [false, true, false]);
        assert_eq!([take("a", 0, 0), take("b", 0, 0)], [true, true]);
    }

    #[test]
    fn keys_are_bounded_and_one_that_is_asked_for_stays() {
        let counters = Counters::new(100);
        assert_eq!(counters.take("kept", 3, RATE, 0), Ok(true));
        for number in 0..1_000 {
            assert_eq!(counters.take(&number.to_string(), 1, RATE, 0), Ok(true));
            assert_eq!(counters.take("kept", 1, RATE, 0), Ok(false));
        }
        let buckets = counters.buckets.lock();
        assert!(buckets.young.len() + buckets.old.len() <= 100);
    }

    #[test]
    fn what_is_too_long_or_no_rate_is_an_error() {
        let counters = Counters::new(1);
        let failure = |key: &str, per_second| counters.take(key, 1, Rate { per_second, burst: 1 }, 0).expect_err("refused").reason;
        assert_eq!(failure(&"x".repeat(limits::COUNTER_KEY_BYTES_MAX + 1), 1.0), LookupFailure::TooLong);
        for per_second in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(failure("a", per_second), LookupFailure::Malformed);
        }
    }
}
