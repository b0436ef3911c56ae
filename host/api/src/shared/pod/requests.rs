//! What all containers of a pod ask for together.

use std::collections::BTreeMap;

use apimachinery::quantity::Quantity;
use serde_json::Value;

use crate::shared::value::{entries, list, text};

/// The sum of what containers ask for, as a scheduler sees it.
pub(crate) fn aggregate(spec: &Value, which: &str) -> BTreeMap<String, Quantity> {
    type Sums = BTreeMap<String, Quantity>;
    fn add(to: &mut Sums, more: &Sums) {
        for (name, quantity) in more {
            to.entry(name.clone()).or_insert(Quantity::ZERO).add(quantity);
        }
    }
    fn raise(to: &mut Sums, name: String, quantity: Quantity) {
        let most = to.entry(name).or_insert(Quantity::ZERO);
        if *most < quantity {
            *most = quantity;
        }
    }
    let of = |container: &Value| -> Sums {
        entries(&container["resources"], which).filter_map(|(name, value)| Some((name.clone(), Quantity::of_json(value)?))).collect()
    };
    let mut sums = Sums::new();
    for container in list(spec, "containers") {
        add(&mut sums, &of(container));
    }
    let (mut sidecars, mut init) = (Sums::new(), Sums::new());
    for container in list(spec, "initContainers") {
        let mut these = of(container);
        if text(container, "restartPolicy") == "Always" {
            add(&mut sums, &these);
            add(&mut sidecars, &these);
            these = sidecars.clone();
        } else {
            add(&mut these, &sidecars);
        }
        for (name, quantity) in these {
            raise(&mut init, name, quantity);
        }
    }
    for (name, quantity) in init {
        raise(&mut sums, name, quantity);
    }
    sums
}
