//! Charges: what a write takes of objects that limit it, such as a ResourceQuota.
//!
//! A validating plugin notes them with its answer, the chain hands them on, and the registry commits them in the transaction of the object
//! itself. They belong to one answer: what is refused, fails or is tried again leaves none behind.

use std::collections::BTreeMap;

use apimachinery::GroupResource;
use apimachinery::quantity::Quantity;

/// An object that is charged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChargedObject {
    /// Of which resource.
    pub resource: GroupResource,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

/// How much of what, by the names that the object's `status.hard` has: `pods`, `requests.cpu`.
pub type Amounts = BTreeMap<String, Quantity>;

/// All that a write takes, by what it is taken of. Most writes take nothing, which costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charges(BTreeMap<ChargedObject, Amounts>);

impl Charges {
    /// Whether nothing is taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many objects are charged.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What is taken of an object; none: nothing.
    pub fn of(&self, charged: &ChargedObject) -> Option<&Amounts> {
        self.0.get(charged)
    }

    /// Takes more of an object.
    pub fn add(&mut self, charged: ChargedObject, amounts: Amounts) {
        let sums = self.0.entry(charged).or_default();
        for (name, amount) in amounts {
            sums.entry(name).and_modify(|sum| sum.add(&amount)).or_insert(amount);
        }
    }

    /// Takes what others take, too.
    pub fn extend(&mut self, others: Self) {
        if self.is_empty() {
            *self = others;
        } else {
            others.0.into_iter().for_each(|(charged, amounts)| self.add(charged, amounts));
        }
    }

    /// In the order of resource, namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = (&ChargedObject, &Amounts)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(name: &str) -> ChargedObject {
        ChargedObject { resource: GroupResource::of("", "resourcequotas"), namespace: "n".into(), name: name.into() }
    }

    fn amounts(list: &[(&str, &str)]) -> Amounts {
        list.iter().map(|(name, text)| ((*name).to_owned(), Quantity::parse(text).expect("a quantity"))).collect()
    }

    #[test]
    fn what_several_take_of_one_object_is_added_up() {
        let mut charges = Charges::default();
        assert!(charges.is_empty());
        charges.add(quota("b"), amounts(&[("pods", "1"), ("requests.cpu", "500m")]));
        let mut others = Charges::default();
        others.add(quota("b"), amounts(&[("requests.cpu", "1"), ("services", "1")]));
        others.add(quota("a"), amounts(&[("pods", "1")]));
        charges.extend(others);
        let all: Vec<_> = charges.iter().map(|(charged, _)| charged.name.as_str()).collect();
        assert_eq!(all, ["a", "b"]);
        assert_eq!(charges.of(&quota("b")), Some(&amounts(&[("pods", "1"), ("requests.cpu", "1500m"), ("services", "1")])));
    }
}
