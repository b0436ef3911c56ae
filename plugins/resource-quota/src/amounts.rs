//! Amounts by name, and what is done with them.

use std::collections::BTreeMap;

use wasmgate_sdk::quantity::Quantity;

/// Amounts by resource name: `pods`, `requests.cpu`.
pub type ResourceList = BTreeMap<String, Quantity>;

/// Adds amounts.
pub fn add(list: &mut ResourceList, more: &ResourceList) {
    for (name, amount) in more {
        add_one(list, name, *amount);
    }
}

/// Adds one amount.
pub fn add_one(list: &mut ResourceList, name: &str, amount: Quantity) {
    let sum = list.get(name).map_or(amount, |known| known.plus(amount));
    list.insert(name.to_owned(), sum);
}

/// The larger of each amount.
pub fn larger(list: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        list.entry(name.clone()).and_modify(|known| *known = (*known).max(*amount)).or_insert(*amount);
    }
}

/// What is taken beyond what was taken before, and of nothing less than nothing; what is not taken is left out.
pub fn increase(now: &ResourceList, before: &ResourceList) -> ResourceList {
    let zero = Quantity::default();
    let beyond = |name: &str, amount: Quantity| before.get(name).map_or(amount, |before| amount.minus(*before));
    let all = now.iter().map(|(name, amount)| (name.clone(), beyond(name, *amount)));
    all.filter(|(_, amount)| *amount > zero).collect()
}

/// The names, sorted: `cpu,memory`.
pub fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.join(",")
}
