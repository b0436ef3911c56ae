//! Reviews: questions to authentication and authorization, asked as objects that are answered and not stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::options::WriteOptions;
use apimachinery::query::Query;
use apimachinery::{GroupKind, Status, field};
use auth::{Attributes, Authentication, Credentials, Decision, SelectorRequirement, UserInfo};
use serde_json::{Map, Value, json};

use super::scope::Scope;
use super::view::View;
use super::{Parts, decode};
use crate::request::Authorized;
use crate::response::{self, Response};

/// `POST` of a review.
pub(crate) async fn create(parts: &Parts, scope: Scope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(&scope, &request)?;
    let media_type = decode::media_type(&request)?;
    let body = request.body.read().await?;
    let options = WriteOptions::create_from_query(&Query::parse(request.query()))?;
    let mut review = decode::object(&scope, &request, &body, media_type, &options)?;
    check_namespace(&scope, &mut review)?;
    match &*scope.requested.gvk.kind {
        "SelfSubjectReview" => self_subject(&scope, &request, &mut review),
        "TokenReview" => token(parts, &mut review).await?,
        "SelfSubjectRulesReview" => rules(&request, &mut review).await?,
        kind => access(&scope, &request, kind, &mut review).await?,
    }
    let fields = apimachinery::object::metadata_mut(&mut review);
    fields.remove("managedFields");
    Ok(response::json(&view.output, 201, &review))
}

fn check_namespace(scope: &Scope, review: &mut Value) -> Result<(), Status> {
    let namespace = apimachinery::object::namespace(review);
    if scope.requested.namespaced() && !namespace.is_empty() && namespace != scope.namespace {
        return Err(apimachinery::codec::namespace_mismatch());
    }
    if scope.requested.namespaced() {
        apimachinery::object::set_meta_str(review, "namespace", &scope.namespace);
    }
    Ok(())
}

fn user_json(user: &UserInfo) -> Value {
    let mut shown = Map::new();
    if !user.name.is_empty() {
        shown.insert("username".into(), user.name.clone().into());
    }
    if !user.uid.is_empty() {
        shown.insert("uid".into(), user.uid.clone().into());
    }
    if !user.groups.is_empty() {
        shown.insert("groups".into(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        shown.insert("extra".into(), json!(user.extra));
    }
    shown.into()
}

fn self_subject(scope: &Scope, request: &Authorized, review: &mut Value) {
    apimachinery::object::set_meta_str(review, "creationTimestamp", &registry::timestamp(scope.now_seconds));
    review["status"] = json!({ "userInfo": user_json(&request.user) });
}

async fn token(parts: &Parts, review: &mut Value) -> Result<(), Status> {
    let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default().to_owned();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences: Vec<String> = strings(review.pointer("/spec/audiences"));
    let credentials = Credentials { certificate: None, bearer_token: Some(token), audiences: audiences.clone() };
    let ours = parts.token_signer.as_ref().map(|signer| signer.audiences()).unwrap_or_default();
    let answer = match parts.authenticator.authenticate(&credentials).await {
        // Who says nothing of audiences speaks for this server's.
        Ok(Authentication::User(user)) => Ok(Authentication::UserFor(user, ours)),
        answer => answer,
    };
    review["status"] = match answer {
        Ok(Authentication::UserFor(user, met)) if is_known(&user) && meets(&audiences, &met) => {
            let mut status = json!({ "authenticated": true, "user": user_json(&user) });
            let met: Vec<&String> = met.iter().filter(|audience| audiences.is_empty() || audiences.contains(audience)).collect();
            if !met.is_empty() {
                status["audiences"] = json!(met);
            }
            status
        }
        Ok(Authentication::Rejected(why)) => json!({ "user": {}, "error": why }),
        Ok(_) => json!({ "user": {}, "error": "invalid bearer token" }),
        Err(fault) => json!({ "user": {}, "error": fault.to_string() }),
    };
    // The token is a secret; upstream clears it from the answer.
    if let Some(spec) = review["spec"].as_object_mut() {
        spec.remove("token");
    }
    Ok(())
}

fn is_known(user: &UserInfo) -> bool {
    !user.groups.iter().any(|group| group == "system:unauthenticated")
}

/// Whether the credentials are meant for somebody who was asked for. A plugin that did not look at that is not believed.
fn meets(asked: &[String], met: &[String]) -> bool {
    asked.is_empty() || met.iter().any(|audience| asked.contains(audience))
}

async fn rules(request: &Authorized, review: &mut Value) -> Result<(), Status> {
    let namespace = review.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let rules = request.authorizer().rules_for(&request.user, &namespace).await;
    let resource_rules: Vec<Value> = rules
        .resource_rules
        .iter()
        .map(|rule| {
            let mut shown = json!({ "verbs": rule.verbs });
            put_list(&mut shown, "apiGroups", &rule.api_groups);
            put_list(&mut shown, "resources", &rule.resources);
            put_list(&mut shown, "resourceNames", &rule.resource_names);
            shown
        })
        .collect();
    let non_resource_rules: Vec<Value> = rules
        .non_resource_rules
        .iter()
        .map(|rule| {
            let mut shown = json!({ "verbs": rule.verbs });
            put_list(&mut shown, "nonResourceURLs", &rule.non_resource_urls);
            shown
        })
        .collect();
    let mut status = json!({ "resourceRules": resource_rules, "nonResourceRules": non_resource_rules, "incomplete": rules.incomplete });
    if !rules.evaluation_error.is_empty() {
        status["evaluationError"] = rules.evaluation_error.into();
    }
    review["status"] = status;
    // Upstream answers with an empty spec.
    review["spec"] = json!({});
    Ok(())
}

fn put_list(object: &mut Value, name: &str, list: &[String]) {
    if !list.is_empty() {
        object[name] = json!(list);
    }
}

/// SubjectAccessReview and its two narrower forms.
async fn access(scope: &Scope, request: &Authorized, kind: &str, review: &mut Value) -> Result<(), Status> {
    let myself = kind == "SelfSubjectAccessReview";
    let errors = validate_access(scope, kind, review);
    if !errors.is_empty() {
        return Err(Status::invalid(&GroupKind::of("authorization.k8s.io", ""), "", &errors));
    }
    let user = if myself { request.user.clone() } else { Arc::new(subject(review)) };
    let (attributes, unreadable) = attributes(review, user);
    let answer = request.authorizer().authorize(&attributes).await;
    let mut status = json!({ "allowed": answer.decision == Decision::Allow });
    if answer.decision == Decision::Deny {
        status["denied"] = true.into();
    }
    if !answer.reason.is_empty() {
        status["reason"] = answer.reason.into();
    }
    if let Some(error) = answer.evaluation_error.filter(|_| answer.decision != Decision::Allow).or(unreadable) {
        status["evaluationError"] = error.into();
    }
    review["status"] = status;
    Ok(())
}

fn validate_access(scope: &Scope, kind: &str, review: &Value) -> Vec<field::Error> {
    let spec = field::Path::new("spec");
    let resource = review.pointer("/spec/resourceAttributes");
    let other = review.pointer("/spec/nonResourceAttributes");
    let mut errors = Vec::new();
    match (resource, other) {
        (Some(_), Some(_)) => errors.push(field::Error::invalid(
            &spec.child("nonResourceAttributes"),
            "nonResourceAttributes",
            "cannot be specified in combination with resourceAttributes",
        )),
        (None, None) => errors.push(field::Error::invalid(
            &spec.child("resourceAttributes"),
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    let user = review.pointer("/spec/user").and_then(Value::as_str).unwrap_or_default();
    if kind != "SelfSubjectAccessReview" && user.is_empty() && strings(review.pointer("/spec/groups")).is_empty() {
        errors.push(field::Error::invalid(&spec.child("user"), user, "at least one of user or group must be specified"));
    }
    if kind == "LocalSubjectAccessReview" {
        let namespace = resource.and_then(|r| r.get("namespace")).and_then(Value::as_str).unwrap_or_default();
        if namespace != scope.namespace {
            errors.push(field::Error::invalid(
                &spec.child("resourceAttributes").child("namespace"),
                namespace,
                "must match metadata.namespace",
            ));
        }
    }
    errors
}

fn subject(review: &Value) -> UserInfo {
    let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let extra: BTreeMap<String, Vec<String>> = review
        .pointer("/spec/extra")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, values)| (key.to_ascii_lowercase(), strings(Some(values))))
        .collect();
    UserInfo { name: text("/spec/user"), uid: text("/spec/uid"), groups: strings(review.pointer("/spec/groups")), extra }
}

fn attributes(review: &Value, user: Arc<UserInfo>) -> (Attributes, Option<String>) {
    if let Some(resource) = review.pointer("/spec/resourceAttributes") {
        let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let version = Some(text("version")).filter(|version| !version.is_empty()).unwrap_or_else(|| "*".into());
        let attributes = Attributes {
            user,
            verb: text("verb"),
            namespace: text("namespace"),
            api_group: text("group"),
            api_version: version,
            resource: text("resource"),
            subresource: text("subresource"),
            name: text("name"),
            resource_request: true,
            path: String::new(),
            field_selector: requirements(resource.pointer("/fieldSelector/requirements")),
            label_selector: requirements(resource.pointer("/labelSelector/requirements")),
        };
        return (attributes, None);
    }
    let text = |name: &str| {
        review.pointer("/spec/nonResourceAttributes").and_then(|a| a.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    (Attributes { user, verb: text("verb"), path: text("path"), ..Attributes::default() }, None)
}

fn requirements(list: Option<&Value>) -> Vec<SelectorRequirement> {
    let text = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|item| SelectorRequirement { key: text(item, "key"), operator: text(item, "operator"), values: strings(item.get("values")) })
        .collect()
}

fn strings(list: Option<&Value>) -> Vec<String> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
