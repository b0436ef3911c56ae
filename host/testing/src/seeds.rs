//! Numbers from a seed, and tests that are run with many of them.

/// Numbers that look random and follow from a seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number (splitmix64).
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several, of which there is at least one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// Says the seed where a test panics.
struct SaidOnPanic(u64);

impl Drop for SaidOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {0}; once more: WASMGATE_SEED={0}", self.0);
        }
    }
}

/// Runs a test with `count` seeds, each on a runtime of one thread of its own. `WASMGATE_SEEDS` in the environment is another count,
/// `WASMGATE_SEED` the only seed.
///
/// # Panics
/// Where the test does, having said with which seed.
pub fn each<F: Future<Output = ()>>(count: u64, test: impl Fn(u64) -> F) {
    let number = |name: &str| {
        std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} must be a number, and is {text:?}")))
    };
    let seeds = match number("WASMGATE_SEED") {
        Some(only) => only..only + 1,
        None => 1..number("WASMGATE_SEEDS").unwrap_or(count) + 1,
    };
    for seed in seeds {
        let _said = SaidOnPanic(seed);
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test(seed));
    }
}
