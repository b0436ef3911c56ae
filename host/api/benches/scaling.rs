//! How the work on an object grows with the length of each of its lists and maps: the processor's time for four times as many items over
//! that for so many. Linear work shows as about 4, quadratic work as about 16. Lists that take less than 60 ms are passed over.
//!
//! `cargo bench --package wasmgate-api --bench scaling [-- PART-OF-A-PLACE]`

#[path = "../tests/large/mod.rs"]
mod large;

use std::fs;

use large::Place;

/// Items of the smaller object.
const ITEMS: usize = 4_000;
/// How many times as many the larger one has.
const TIMES: usize = 4;
/// Less work than this says nothing, in nanoseconds.
const WORK_MIN: f64 = 60e6;
/// Growth that is worth a look.
const RATIO_MAX: f64 = 8.0;

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let places: Vec<_> = Place::all().into_iter().filter(|place| place.shown().contains(&only)).collect();
    println!("{:>9} {:>9} {:>6}  list", "ms", "ms, more", "times");
    for (i, place) in places.iter().enumerate() {
        for (different, what) in [(true, "different"), (false, "alike")] {
            eprint!("\r{}/{}\x1b[K", i + 1, places.len());
            let more = work(place, ITEMS * TIMES, different);
            if more < WORK_MIN {
                continue;
            }
            let less = work(place, ITEMS, different);
            let (times, look) = (more / less, if more / less > RATIO_MAX { "  <-- look" } else { "" });
            let shown = format!("{} {}, {what}{look}", place.resource.gvk.kind, place.shown());
            println!("\r{:9.1} {:9.1} {times:6.1}  {shown}", less / 1e6, more / 1e6);
        }
    }
    eprint!("\r\x1b[K");
}

/// The processor's time for an object with so many items at a place, in nanoseconds: the better of two.
fn work(place: &Place, items: usize, different: bool) -> f64 {
    let object = place.filled(items, different);
    let measure = || {
        let start = processor_time();
        large::prepare_and_validate(place.resource, &object);
        processor_time() - start
    };
    measure().min(measure())
}

/// The thread's time on a processor, in nanoseconds.
fn processor_time() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's time on a processor");
    stat.split(' ').next().and_then(|text| text.parse().ok()).expect("its first number")
}
