//! A long list of different items is worked on in steps that grow with its length. There is no clock here: were each item compared with all
//! before it, this would take many minutes where it takes seconds. `benches/scaling.rs` shows the growth for every list of every kind.

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
