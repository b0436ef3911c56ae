//! Reviews: questions to authentication and authorization, asked as objects that are answered and not stored.

mod access;

use api::kinds::action::Review;
use apimachinery::Status;
use apimachinery::options::WriteOptions;
use apimachinery::query::Query;
use auth::{Authentication, Credentials, UserInfo};
use serde_json::{Map, Value, json};

use super::request_scope::RequestScope;
use super::view::View;
use super::{Parts, decode};
use crate::request::Authorized;
use crate::response::Response;

/// `POST` of a review.
pub(crate) async fn create(parts: &Parts, scope: RequestScope, asked: Review, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(&scope, &request)?;
    let media_type = decode::media_type(&request)?;
    let body = request.read_body().await?;
    let options = WriteOptions::create_from_query(&Query::parse(request.query()))?;
    let mut review = decode::object(&scope, &request, &body, media_type, &options)?;
    check_namespace(&scope, &mut review)?;
    match asked {
        Review::SelfSubject => self_subject(&request, &mut review),
        Review::Token => token(parts, &request, &mut review).await?,
        Review::SelfSubjectRules => rules(&request, &mut review).await?,
        Review::SubjectAccess | Review::LocalSubjectAccess | Review::SelfSubjectAccess => {
            access::answer(&scope, &request, asked, &mut review).await?;
        }
    }
    let fields = apimachinery::object::metadata_mut(&mut review);
    fields.remove("managedFields");
    Ok(view.document(201, &review))
}

fn check_namespace(scope: &RequestScope, review: &mut Value) -> Result<(), Status> {
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

fn self_subject(request: &Authorized, review: &mut Value) {
    // Nothing of what was sent comes back.
    review["metadata"] = json!({ "creationTimestamp": registry::timestamp(request.context().now_seconds()) });
    review["status"] = json!({ "userInfo": user_json(&request.context().user) });
}

async fn token(parts: &Parts, request: &Authorized, review: &mut Value) -> Result<(), Status> {
    let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default().to_owned();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences: Vec<String> = strings(review.pointer("/spec/audiences"));
    let credentials =
        Credentials { certificate: None, bearer_token: Some(token), audiences: audiences.clone(), asked_for: request.context().asking() };
    let ours = parts.token_signer.as_ref().map(|signer| signer.audiences()).unwrap_or_default();
    let answer = match request.context().chain.authenticate(&credentials).await {
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
    let rules = request.context().chain.rules_for(&request.context().user, &namespace).await;
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

fn strings(list: Option<&Value>) -> Vec<String> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
