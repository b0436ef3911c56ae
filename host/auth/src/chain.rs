//! The two chains: who a request comes from, and what it may do. Pure order; what a link does is its own affair.
//!
//! Authentication: the first user found is the answer. Something that is not valid is remembered, and then the links
//! that speak for nobody in particular (anonymous) are not asked: a bad token is 401, never an anonymous request.
//! Authorization: the first opinion is the answer; a link that failed denies, or has none, as its failure policy says.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Attributes, Authentication, Authenticator, Authorization, Authorizer, Credentials, Decision, Fault, Rules, UserInfo};

const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Authenticators in the order in which they are asked.
pub struct AuthenticatorChain<A: ?Sized> {
    links: Vec<Arc<A>>,
    fallback: Vec<Arc<A>>,
}

impl<A: Authenticator + ?Sized> AuthenticatorChain<A> {
    /// `fallback` is asked only where no link named a user, found anything invalid or failed.
    pub fn new(links: Vec<Arc<A>>, fallback: Vec<Arc<A>>) -> Self {
        Self { links, fallback }
    }
}

#[async_trait]
impl<A: Authenticator + ?Sized> Authenticator for AuthenticatorChain<A> {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, Fault> {
        let mut rejections: Vec<String> = Vec::new();
        let mut fault = None;
        for link in &self.links {
            match link.authenticate(credentials).await {
                Ok(Authentication::User(user)) => return Ok(Authentication::User(with_authenticated_group(user))),
                Ok(Authentication::UserFor(user, audiences)) => {
                    return Ok(Authentication::UserFor(with_authenticated_group(user), audiences));
                }
                Ok(Authentication::NoOpinion) => {}
                Ok(Authentication::Rejected(why)) => rejections.push(why),
                Err(found) => fault = fault.or(Some(found)),
            }
        }
        // A token that nobody knows is a wrong token, not the absence of one. Upstream's own token is asked first, and says so too.
        if credentials.bearer_token.is_some() && (fault.is_none() || !rejections.is_empty()) {
            rejections.insert(0, "invalid bearer token".into());
        }
        if !rejections.is_empty() {
            return Ok(Authentication::Rejected(aggregate(rejections).unwrap_or_default()));
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        for link in &self.fallback {
            match link.authenticate(credentials).await? {
                Authentication::NoOpinion => {}
                answer => return Ok(answer),
            }
        }
        Ok(Authentication::NoOpinion)
    }
}

/// Adds the group `system:authenticated`, as upstream's `group.AuthenticatedGroupAdder` does: to every user but the anonymous one.
fn with_authenticated_group(mut user: UserInfo) -> UserInfo {
    let marked = user.name == ANONYMOUS || user.groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED);
    if !marked {
        user.groups.push(AUTHENTICATED.into());
    }
    user
}

/// Authorizers in the order in which they are asked.
pub struct AuthorizerChain<A: ?Sized> {
    links: Vec<Arc<A>>,
}

impl<A: Authorizer + ?Sized> AuthorizerChain<A> {
    /// In the order of `links`.
    pub fn new(links: Vec<Arc<A>>) -> Self {
        Self { links }
    }
}

#[async_trait]
impl<A: Authorizer + ?Sized> Authorizer for AuthorizerChain<A> {
    async fn authorize(&self, attributes: &Attributes) -> Authorization {
        let mut reasons = Vec::new();
        let mut errors = Vec::new();
        for link in &self.links {
            let answer = link.authorize(attributes).await;
            if answer.decision != Decision::NoOpinion {
                return answer;
            }
            if !answer.reason.is_empty() {
                reasons.push(answer.reason);
            }
            errors.extend(answer.evaluation_error);
        }
        Authorization { decision: Decision::NoOpinion, reason: reasons.join("\n"), evaluation_error: aggregate(errors) }
    }

    async fn rules_for(&self, user: &UserInfo, namespace: &str) -> Rules {
        let mut all = Rules::default();
        let mut errors = Vec::new();
        for link in &self.links {
            let rules = link.rules_for(user, namespace).await;
            all.resource_rules.extend(rules.resource_rules);
            all.non_resource_rules.extend(rules.non_resource_rules);
            all.incomplete |= rules.incomplete;
            if !rules.evaluation_error.is_empty() {
                errors.push(rules.evaluation_error);
            }
        }
        all.evaluation_error = aggregate(errors).unwrap_or_default();
        all
    }
}

/// Several errors in one line, as upstream's aggregate writes them: repeated ones once, more than one in brackets.
fn aggregate(errors: Vec<String>) -> Option<String> {
    let mut shown: Vec<String> = Vec::new();
    for error in errors {
        if !shown.contains(&error) {
            shown.push(error);
        }
    }
    match shown.len() {
        0 => None,
        1 => shown.pop(),
        _ => Some(format!("[{}]", shown.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    enum Says {
        User(&'static str),
        Nothing,
        Rejects(&'static str),
        Faults,
    }

    #[async_trait]
    impl Authenticator for Says {
        async fn authenticate(&self, _: &Credentials) -> Result<Authentication, Fault> {
            match self {
                Says::User(name) => Ok(Authentication::User(UserInfo { name: (*name).into(), ..Default::default() })),
                Says::Nothing => Ok(Authentication::NoOpinion),
                Says::Rejects(why) => Ok(Authentication::Rejected((*why).into())),
                Says::Faults => Err(Fault { plugin: "broken".into(), reason: "trap".into() }),
            }
        }
    }

    fn authenticated(links: &[Says], token: bool) -> String {
        let links = links.iter().cloned().map(Arc::new).collect();
        let chain = AuthenticatorChain::new(links, vec![Arc::new(Says::User(ANONYMOUS))]);
        let credentials = Credentials { bearer_token: token.then(|| "t".to_owned()), ..Credentials::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        match runtime.block_on(chain.authenticate(&credentials)) {
            Ok(Authentication::User(user) | Authentication::UserFor(user, _)) => format!("{} {:?}", user.name, user.groups),
            Ok(Authentication::NoOpinion) => "nobody".into(),
            Ok(Authentication::Rejected(why)) => format!("rejected: {why}"),
            Err(fault) => format!("fault: {fault}"),
        }
    }

    #[test]
    fn first_user_wins_and_nothing_invalid_becomes_anonymous() {
        use Says::*;
        let cases: &[(&[Says], bool, &str)] = &[
            (&[], false, "system:anonymous []"),
            (&[Nothing], false, "system:anonymous []"),
            (&[Nothing], true, "rejected: invalid bearer token"),
            (&[Nothing, User("jane")], true, "jane [\"system:authenticated\"]"),
            (&[User("jane"), User("john")], false, "jane [\"system:authenticated\"]"),
            (&[Rejects("expired"), User("jane")], true, "jane [\"system:authenticated\"]"),
            (&[Rejects("expired"), Nothing], false, "rejected: expired"),
            (&[Rejects("expired"), Rejects("expired"), Rejects("old")], true, "rejected: [invalid bearer token, expired, old]"),
            (&[Faults], false, "fault: plugin broken: trap"),
            (&[Faults, User("jane")], false, "jane [\"system:authenticated\"]"),
            (&[Faults, Rejects("expired")], true, "rejected: [invalid bearer token, expired]"),
        ];
        for (links, token, expected) in cases {
            assert_eq!(authenticated(links, *token), *expected);
        }
    }

    struct Opinion(Decision, &'static str, Option<&'static str>);

    #[async_trait]
    impl Authorizer for Opinion {
        async fn authorize(&self, _: &Attributes) -> Authorization {
            Authorization { decision: self.0, reason: self.1.into(), evaluation_error: self.2.map(Into::into) }
        }

        async fn rules_for(&self, _: &UserInfo, _: &str) -> Rules {
            Rules { incomplete: self.2.is_some(), evaluation_error: self.2.unwrap_or_default().into(), ..Default::default() }
        }
    }

    #[test]
    fn first_opinion_wins_and_an_error_never_allows() {
        use Decision::*;
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let cases: Vec<(Vec<Opinion>, &str)> = vec![
            (vec![], "NoOpinion ''"),
            (vec![Opinion(Allow, "a", None), Opinion(Deny, "b", None)], "Allow 'a'"),
            (vec![Opinion(NoOpinion, "a", Some("x")), Opinion(Deny, "b", None)], "Deny 'b'"),
            (vec![Opinion(Deny, "", Some("x")), Opinion(Allow, "b", None)], "Deny '' x"),
            (vec![Opinion(NoOpinion, "a", Some("x")), Opinion(NoOpinion, "b", Some("y"))], "NoOpinion 'a\nb' [x, y]"),
            (vec![Opinion(NoOpinion, "", Some("x"))], "NoOpinion '' x"),
        ];
        for (links, expected) in cases {
            let chain = AuthorizerChain::new(links.into_iter().map(Arc::new).collect());
            let answer = runtime.block_on(chain.authorize(&Attributes::default()));
            let error = answer.evaluation_error.map(|e| format!(" {e}")).unwrap_or_default();
            assert_eq!(format!("{:?} '{}'{error}", answer.decision, answer.reason), expected);
        }
    }
}
