//! Authorizer `AlwaysAllow`: everybody may do everything. For tests, and for servers that nobody else can reach.

use wasmgate_sdk::authorization::{Attributes, NonResourceRule, ResourceRule, UserRules};
use wasmgate_sdk::prelude::*;

/// The plugin.
#[derive(Default)]
pub struct AlwaysAllow;

impl Plugin for AlwaysAllow {}

impl Authorizer for AlwaysAllow {
    fn authorize(&self, _: &Attributes) -> Authorization {
        Authorization::allow("")
    }
}

impl Rules for AlwaysAllow {
    fn rules_for(&self, _: &UserInfo, _: &str) -> UserRules {
        let all = || vec!["*".to_owned()];
        UserRules {
            resource_rules: vec![ResourceRule { verbs: all(), api_groups: all(), resources: all(), resource_names: Vec::new() }],
            non_resource_rules: vec![NonResourceRule { verbs: all(), non_resource_urls: all() }],
            ..UserRules::default()
        }
    }
}

wasmgate_sdk::plugin!(AlwaysAllow: authorizer, rules);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_refused() {
        assert_eq!(AlwaysAllow.authorize(&Attributes::default()).decision, Decision::Allow);
        assert_eq!(AlwaysAllow.rules_for(&UserInfo::default(), "any").resource_rules[0].verbs, ["*"]);
    }
}
