//! Speaking for somebody else (`Impersonate-*` headers), which is itself authorized.
//!
//! Two ways, as upstream has had since KEP-5284: constrained ones, which ask for a verb of their own on whom one wants to be *and* on what
//! one then wants to do, and the old one, which asks for `impersonate` and then allows everything. They are tried from narrow to wide; what
//! a user succeeded with last is tried first. The first refusal is what the client gets to see.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use apimachinery::Status;
use apimachinery::field::go_quote as quoted;
use apimachinery::query::unescape;
use apimachinery::validation::name::{is_dns1123_label, is_dns1123_subdomain};
use auth::{Attributes, Authorizer, Decision, UserInfo, forbidden};
use http::HeaderMap;
use http::header::HeaderName;
use parking_lot::Mutex;

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const UID: HeaderName = HeaderName::from_static("impersonate-uid");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// From here on a wildcard is tried before one check for each value.
const CHECKS_BEFORE_WILDCARD_MAX: usize = 4;
/// Users whose last successful mode is remembered.
const REMEMBERED_USERS_COUNT_MAX: usize = 10_000;

const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Takes the wanted user out of the headers; `None` where nobody is impersonated.
///
/// # Errors
/// 400 where groups, uid or extra come without a user.
pub fn wanted(headers: &mut HeaderMap) -> Result<Option<UserInfo>, Status> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let extra_names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(EXTRA_PREFIX)).cloned().collect();
    if extra_names.is_empty() && ![USER, UID, GROUP].iter().any(|name| headers.contains_key(name)) {
        return Ok(None);
    }
    let mut user = UserInfo {
        name: headers.get(USER).map(text).unwrap_or_default(),
        uid: headers.get(UID).map(text).unwrap_or_default(),
        groups: headers.get_all(GROUP).iter().map(text).collect(),
        extra: BTreeMap::new(),
    };
    for name in &extra_names {
        let key = &name.as_str()[EXTRA_PREFIX.len()..];
        let key = unescape(key, false).unwrap_or_else(|| key.to_owned());
        user.extra.entry(key).or_default().extend(headers.get_all(name).iter().map(text));
    }
    if user.name.is_empty() {
        let nothing = user.uid.is_empty() && user.groups.is_empty() && user.extra.is_empty();
        return if nothing {
            Ok(None)
        } else {
            Err(Status::bad_request(format!("requested {} without impersonating a user name", shown(&user))))
        };
    }
    // Nothing behind this filter may behave differently because somebody is impersonated.
    for name in extra_names.iter().chain(&[USER, UID, GROUP]) {
        headers.remove(name);
    }
    Ok(Some(user))
}

/// Go's `%#v` of the wanted user, which is what upstream shows.
fn shown(user: &UserInfo) -> String {
    let list = |values: &[String]| format!("[]string{{{}}}", values.iter().map(|v| quoted(v)).collect::<Vec<_>>().join(", "));
    let groups = if user.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&user.groups) };
    let extra: Vec<String> = user.extra.iter().map(|(key, values)| format!("{}:{}", quoted(key), list(values))).collect();
    let extra =
        if extra.is_empty() { "map[string][]string(nil)".to_owned() } else { format!("map[string][]string{{{}}}", extra.join(", ")) };
    format!("&user.DefaultInfo{{Name:{}, UID:{}, Groups:{groups}, Extra:{extra}}}", quoted(&user.name), quoted(&user.uid))
}

/// A way to be somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    UserInfo,
    Legacy,
}

impl Mode {
    const ALL: [Self; 5] = [Self::AssociatedNode, Self::ArbitraryNode, Self::ServiceAccount, Self::UserInfo, Self::Legacy];

    fn name(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Legacy => "",
        }
    }

    fn verb(self) -> String {
        if self == Self::Legacy { "impersonate".into() } else { format!("impersonate:{}", self.name()) }
    }

    fn is_constrained(self) -> bool {
        self != Self::Legacy
    }

    /// Whether the mode is about such a user at all.
    fn applies(self, wanted: &UserInfo, requestor: &UserInfo) -> bool {
        let only_name = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        match self {
            Self::AssociatedNode => {
                let own_node = requestor.extra.get("authentication.kubernetes.io/node-name").filter(|nodes| nodes.len() == 1);
                only_name
                    && service_account(&requestor.name).is_some()
                    && node_name(&wanted.name).is_some_and(|node| own_node.is_some_and(|own| own[0] == node))
            }
            Self::ArbitraryNode => only_name && node_name(&wanted.name).is_some(),
            Self::ServiceAccount => only_name && service_account(&wanted.name).is_some(),
            Self::UserInfo => node_name(&wanted.name).is_none() && service_account(&wanted.name).is_none(),
            Self::Legacy => true,
        }
    }
}

/// Which mode worked last for whom.
#[derive(Debug, Default)]
pub struct Impersonation {
    last_mode: Mutex<HashMap<String, Mode>>,
}

impl Impersonation {
    /// Authorizes the change of user. `attributes` are the request's, with the user who sent it.
    ///
    /// # Errors
    /// 403 where the user may not be impersonated.
    pub async fn impersonate(&self, authorizer: &dyn Authorizer, wanted: &UserInfo, attributes: &Attributes) -> Result<UserInfo, Status> {
        let requestor = &attributes.user;
        let last = self.last_mode.lock().get(&requestor.name).copied();
        let mut refused = None;
        for mode in last.into_iter().chain(Mode::ALL.into_iter().filter(|mode| Some(*mode) != last)) {
            if !mode.applies(wanted, requestor) {
                continue;
            }
            match (Check { authorizer, mode, requestor }).run(wanted, attributes).await {
                Ok(user) => {
                    self.remember(&requestor.name, mode);
                    return Ok(user);
                }
                Err(status) => refused = refused.or(Some(status)),
            }
        }
        // The old mode applies to everybody, so that there is always a first refusal.
        Err(refused.unwrap_or_else(|| Status::internal("all impersonation modes failed")))
    }

    fn remember(&self, requestor: &str, mode: Mode) {
        let mut last = self.last_mode.lock();
        if last.get(requestor) == Some(&mode) {
            return;
        }
        if last.len() >= REMEMBERED_USERS_COUNT_MAX {
            // It only orders the attempts.
            last.clear();
        }
        last.insert(requestor.to_owned(), mode);
    }
}

struct Check<'a> {
    authorizer: &'a dyn Authorizer,
    mode: Mode,
    requestor: &'a Arc<UserInfo>,
}

impl Check<'_> {
    async fn run(&self, wanted: &UserInfo, attributes: &Attributes) -> Result<UserInfo, Status> {
        if self.mode.is_constrained() {
            let verb = format!("impersonate-on:{}:{}", self.mode.name(), attributes.verb);
            self.allowed(Attributes { verb, user: self.asker(), ..attributes.clone() }).await?;
        }
        let mut user = wanted.clone();
        self.name(wanted, &mut user).await?;
        if !wanted.uid.is_empty() {
            self.allowed(self.about("authentication.k8s.io", "uids", &wanted.uid)).await?;
        }
        self.groups(&wanted.groups).await?;
        self.extra(&wanted.extra).await?;

        let missing = |user: &UserInfo, group: &str| !user.groups.iter().any(|g| g == group);
        if user.name == "system:anonymous" {
            if missing(&user, UNAUTHENTICATED) {
                user.groups.push(UNAUTHENTICATED.into());
            }
        } else if missing(&user, UNAUTHENTICATED) && missing(&user, AUTHENTICATED) {
            user.groups.push(AUTHENTICATED.into());
        }
        Ok(user)
    }

    async fn name(&self, wanted: &UserInfo, user: &mut UserInfo) -> Result<(), Status> {
        let mut asked = self.about(self.user_group(), "users", &wanted.name);
        if let Some(node) = node_name(&wanted.name).filter(|_| self.mode.is_constrained()) {
            asked.resource = "nodes".into();
            // An answer about one's own node must hold for all of them, as upstream has it.
            asked.name = if self.mode == Mode::AssociatedNode { "*".into() } else { node.to_owned() };
            user.groups = vec!["system:nodes".into()];
        }
        if let Some((namespace, name)) = service_account(&wanted.name) {
            asked.resource = "serviceaccounts".into();
            asked.namespace = namespace.to_owned();
            asked.name = name.to_owned();
            if wanted.groups.is_empty() {
                user.groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
            }
        }
        self.allowed(asked).await
    }

    async fn groups(&self, groups: &[String]) -> Result<(), Status> {
        let about = |name: &str| self.about(self.user_group(), "groups", name);
        if self.mode.is_constrained() {
            if groups.iter().any(String::is_empty) {
                return Err(forbidden(&about(""), "impersonating the empty string group is not allowed"));
            }
            if groups.iter().any(|group| group == "system:masters") {
                return Err(forbidden(&about("system:masters"), "impersonating the system:masters group is not allowed"));
            }
            if groups.len() >= CHECKS_BEFORE_WILDCARD_MAX && self.allowed(about("*")).await.is_ok() {
                return Ok(());
            }
        }
        for group in groups {
            self.allowed(about(group)).await?;
        }
        Ok(())
    }

    async fn extra(&self, extra: &BTreeMap<String, Vec<String>>) -> Result<(), Status> {
        let about =
            |key: &str, value: &str| Attributes { subresource: key.to_owned(), ..self.about("authentication.k8s.io", "userextras", value) };
        if self.mode.is_constrained() {
            if let Some(why) = extra.iter().find_map(|(key, values)| extra_problem(key, values)) {
                return Err(forbidden(&about("", ""), &why));
            }
            let many = extra.values().map(Vec::len).sum::<usize>().max(extra.len()) >= CHECKS_BEFORE_WILDCARD_MAX;
            if many && self.allowed(about("*", "*")).await.is_ok() {
                return Ok(());
            }
        }
        for (key, values) in extra {
            for value in values {
                self.allowed(about(key, value)).await?;
            }
        }
        Ok(())
    }

    /// Users and groups are of the core group in the old mode.
    fn user_group(&self) -> &'static str {
        if self.mode.is_constrained() { "authentication.k8s.io" } else { "" }
    }

    fn about(&self, api_group: &str, resource: &str, name: &str) -> Attributes {
        Attributes {
            user: self.asker(),
            verb: self.mode.verb(),
            api_group: api_group.into(),
            api_version: "v1".into(),
            resource: resource.into(),
            name: name.into(),
            resource_request: true,
            ..Attributes::default()
        }
    }

    /// For one's own node the names of the extra keys are shown in place of the values, which differ from node to node.
    fn asker(&self) -> Arc<UserInfo> {
        if self.mode != Mode::AssociatedNode {
            return self.requestor.clone();
        }
        let keys = self.requestor.extra.keys().cloned().collect();
        let extra = BTreeMap::from([("authentication.kubernetes.io/associated-node-keys".to_owned(), keys)]);
        Arc::new(UserInfo { extra, ..UserInfo::clone(self.requestor) })
    }

    async fn allowed(&self, attributes: Attributes) -> Result<(), Status> {
        let answer = self.authorizer.authorize(&attributes).await;
        if answer.decision == Decision::Allow {
            return Ok(());
        }
        let why = match (answer.evaluation_error, answer.reason) {
            (Some(error), reason) if reason.is_empty() => error,
            (Some(error), reason) => format!("{error}: {reason}"),
            (None, reason) => reason,
        };
        Err(forbidden(&attributes, &why))
    }
}

/// `system:node:NAME`.
fn node_name(user: &str) -> Option<&str> {
    user.strip_prefix("system:node:").filter(|name| is_dns1123_subdomain(name).is_empty())
}

/// `system:serviceaccount:NAMESPACE:NAME`.
fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (is_dns1123_label(namespace).is_empty() && is_dns1123_subdomain(name).is_empty()).then_some((namespace, name))
}

fn extra_problem(key: &str, values: &[String]) -> Option<String> {
    if key.is_empty() {
        return Some("impersonating the empty string key in extra is not allowed".into());
    }
    let valid = key.split_once('/').is_some_and(|(domain, path)| is_dns1123_subdomain(domain).is_empty() && is_url_path(path));
    if !valid {
        return Some(format!(
            "impersonating an invalid key in extra is not allowed: extra.key: Invalid value: {}: must be a domain-prefixed path (such as \
             \"acme.io/foo\")",
            quoted(key)
        ));
    }
    if key != key.to_lowercase() {
        return Some(format!("impersonating a non-lowercase key in extra is not allowed: {}", quoted(key)));
    }
    if values.is_empty() {
        return Some("impersonating empty values in extra is not allowed".into());
    }
    values.iter().any(String::is_empty).then(|| "impersonating the empty string value in extra is not allowed".into())
}

fn is_url_path(path: &str) -> bool {
    !path.is_empty() && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_taken_out_or_refused() {
        let parse = |rows: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in rows {
                headers.append(*name, value.parse().unwrap());
            }
            (wanted(&mut headers), headers.len())
        };
        assert_eq!(parse(&[("accept", "x")]), (Ok(None), 1));
        let (user, left) = parse(&[
            ("impersonate-user", "x"),
            ("impersonate-group", "a"),
            ("impersonate-group", "b"),
            ("impersonate-extra-acme.com%2fproject", "p"),
            ("accept", "x"),
        ]);
        let user = user.unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.groups.len(), &user.extra["acme.com/project"][..], left), ("x", 2, &["p".to_owned()][..], 1));
        let (refused, _) = parse(&[("impersonate-extra-scopes", "u")]);
        assert_eq!(
            refused.unwrap_err().message,
            r#"requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string(nil), Extra:map[string][]string{"scopes":[]string{"u"}}} without impersonating a user name"#
        );
        let (refused, _) = parse(&[("impersonate-group", "g"), ("impersonate-uid", "u")]);
        assert!(refused.unwrap_err().message.contains(r#"UID:"u", Groups:[]string{"g"}, Extra:map[string][]string(nil)}"#));
    }

    #[test]
    fn names_say_whose_they_are() {
        assert_eq!(service_account("system:serviceaccount:ns:default"), Some(("ns", "default")));
        for name in ["system:serviceaccount:bad", "system:serviceaccount:ns:a:b", "system:serviceaccount::x", "x"] {
            assert_eq!(service_account(name), None, "{name}");
        }
        assert_eq!((node_name("system:node:n1"), node_name("system:node:")), (Some("n1"), None));
    }
}
