//! Long lists of different items go through all that their kinds do. There is no clock here, so that work that grows with the square of the
//! length shows as a test that takes minutes in place of seconds, and as a failure only where something panics. How the work grows, for
//! every list of every kind, is measured by `benches/scaling.rs`.

mod large;

use large::Place;

/// Items of a list: about as many as a body of 3 MiB holds of the larger ones.
const ITEMS: usize = 20_000;

/// Lists that were compared item by item with all before them, or with another list.
const COMPARED: [&str; 11] = [
    ".metadata.ownerReferences",
    ".spec.containers",
    ".spec.drivers",
    ".spec.containers[].env",
    ".spec.containers[].ports",
    ".spec.containers[].volumeMounts",
    ".spec.schedulingGates",
    ".spec.tolerations",
    ".spec.topologySpreadConstraints",
    ".spec.volumes",
    ".spec.taints",
];

#[test]
fn long_lists_come_to_an_end() {
    let places: Vec<_> = Place::all().into_iter().filter(|place| COMPARED.contains(&place.shown().as_str())).collect();
    assert!(places.len() >= COMPARED.len(), "{} lists: one of {COMPARED:?} is not there", places.len());
    for place in places {
        large::prepare_and_validate(place.resource, &place.filled(ITEMS, true));
    }
}
