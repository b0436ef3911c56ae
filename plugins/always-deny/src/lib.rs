//! Authorizer `AlwaysDeny`: nobody may do anything. For tests.

use wasmgate_sdk::authorization::{Attributes, UserRules};
use wasmgate_sdk::prelude::*;

/// The plugin.
#[derive(Default)]
pub struct AlwaysDeny;

impl Plugin for AlwaysDeny {}

impl Authorizer for AlwaysDeny {
    // No opinion and not a denial, as upstream: with another mode behind it, that one decides.
    fn authorize(&self, _: &Attributes) -> Authorization {
        Authorization::no_opinion("Everything is forbidden.")
    }
}

impl Rules for AlwaysDeny {
    fn rules_for(&self, _: &UserInfo, _: &str) -> UserRules {
        UserRules::default()
    }
}

wasmgate_sdk::plugin!(AlwaysDeny: authorizer, rules);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_allowed() {
        let answer = AlwaysDeny.authorize(&Attributes::default());
        assert_eq!((answer.decision, answer.reason.as_str()), (Decision::NoOpinion, "Everything is forbidden."));
        assert_eq!(AlwaysDeny.rules_for(&UserInfo::default(), "any"), UserRules::default());
    }
}
