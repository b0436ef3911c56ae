//! Authorizer `SystemMasters`: the group `system:masters` may do everything. It stands before every configured mode, so that
//! whoever holds the cluster's own certificate is never locked out.

use wasmgate_sdk::authorization::{Attributes, UserRules};
use wasmgate_sdk::prelude::*;

const GROUP: &str = "system:masters";

/// The plugin.
#[derive(Default)]
pub struct SystemMasters;

impl Plugin for SystemMasters {}

impl Authorizer for SystemMasters {
    fn authorize(&self, attributes: &Attributes) -> Authorization {
        if attributes.user.groups.iter().any(|group| group == GROUP) { Authorization::allow("") } else { Authorization::no_opinion("") }
    }
}

/// Upstream's privileged group adds no rules to a review.
impl Rules for SystemMasters {
    fn rules_for(&self, _: &UserInfo, _: &str) -> UserRules {
        UserRules::default()
    }
}

wasmgate_sdk::plugin!(SystemMasters: authorizer, rules);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_group_counts() {
        let rows = [
            (UserInfo::new("a").group(GROUP), Decision::Allow),
            (UserInfo::new("a").group("x").group(GROUP), Decision::Allow),
            (UserInfo::new(GROUP), Decision::NoOpinion),
            (UserInfo::new("a").group("system:masters2"), Decision::NoOpinion),
        ];
        for (user, want) in rows {
            assert_eq!(SystemMasters.rules_for(&user, "any"), UserRules::default());
            let attributes = Attributes { user, ..Attributes::default() };
            assert_eq!(SystemMasters.authorize(&attributes).decision, want, "{attributes:?}");
        }
    }
}
