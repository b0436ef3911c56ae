//! Between the generated bindings and the SDK's own types. Nothing here decides anything.

use crate::bindings::imports::wasmgate::plugin as host;
use crate::bindings::{authenticator, authorizer, mutating_admission, rules, validating_admission};
use crate::json::{Config, Json};
use crate::request::current;
use crate::{Plugin, admission, authentication, authorization, user};

/// A type that [`plugin!`](crate::plugin) makes: it knows where the instance's state is.
pub trait Hosted {
    /// The plugin.
    type Plugin: Plugin;

    /// Lends the state. The host never calls an instance from within a call, so it is never lent twice.
    fn with<R>(f: impl FnOnce(&mut Self::Plugin) -> R) -> R;
}

/// The host's handle of a request.
pub(crate) type HostRequest = host::requests::Request;

impl From<host::types::LookupError> for crate::lookup::LookupError {
    fn from(error: host::types::LookupError) -> Self {
        use crate::lookup::LookupFailure;
        let reason = match error.reason {
            host::types::LookupFailure::NotGranted => LookupFailure::NotGranted,
            host::types::LookupFailure::TooLong => LookupFailure::TooLong,
            host::types::LookupFailure::TooLarge => LookupFailure::TooLarge,
            host::types::LookupFailure::NotNow => LookupFailure::NotNow,
            host::types::LookupFailure::Malformed => LookupFailure::Malformed,
            host::types::LookupFailure::Unavailable => LookupFailure::Unavailable,
        };
        Self { reason, message: error.message }
    }
}

/// JSON from the host.
pub(crate) fn json_in(text: String) -> Json {
    Json(text.into_bytes())
}

/// JSON for the host. What is no UTF-8 is none.
fn json_out(json: Json) -> String {
    String::from_utf8(json.0).unwrap_or_default()
}

pub(crate) fn user_in(user: host::types::UserInfo) -> user::UserInfo {
    user::UserInfo {
        name: user.name,
        uid: user.uid,
        groups: user.groups,
        extra: user.extra.into_iter().map(|extra| (extra.key, extra.values)).collect(),
    }
}

fn user_out(user: user::UserInfo) -> host::types::UserInfo {
    host::types::UserInfo {
        name: user.name,
        uid: user.uid,
        groups: user.groups,
        extra: user.extra.into_iter().map(|(key, values)| host::types::Extra { key, values }).collect(),
    }
}

use crate::bindings::plugin::exports::wasmgate::plugin::plugin as plugin_export;

impl<T: Hosted> plugin_export::Guest for T {
    fn configure(config: String) -> Result<(), String> {
        T::with(|plugin| plugin.configure(Config(Json(config.into_bytes()))))
    }
}

use authenticator::exports::wasmgate::plugin::authenticator as authenticator_export;

impl<T: Hosted> authenticator_export::Guest for T
where
    T::Plugin: authentication::Authenticator,
{
    fn authenticate(request: HostRequest, input: String) -> Result<Option<authenticator_export::Authenticated>, String> {
        let request = &request;
        use authentication::{Authentication, Authenticator};
        let credentials = request.credentials().map(credentials_in).unwrap_or_default();
        let authenticated = |user, audiences| Ok(Some(authenticator_export::Authenticated { user: user_out(user), audiences }));
        match current::during(request, input.into_bytes(), || T::with(|plugin| plugin.authenticate(&credentials))) {
            Authentication::User(user) => authenticated(user, None),
            Authentication::UserFor(user, audiences) => authenticated(user, Some(audiences)),
            Authentication::NoOpinion => Ok(None),
            Authentication::Rejected(why) => Err(why),
        }
    }
}

fn credentials_in(credentials: host::requests::Credentials) -> authentication::Credentials {
    let certificate = |peer: host::requests::PeerCertificate| authentication::PeerCertificate {
        der: peer.der,
        common_name: peer.common_name,
        organizations: peer.organizations,
        uid: peer.uid,
        sha256: peer.sha256,
        chain_error: peer.chain_error,
    };
    authentication::Credentials {
        certificate: credentials.certificate.map(certificate),
        bearer_token: credentials.bearer_token,
        audiences: credentials.audiences,
    }
}

use authorizer::exports::wasmgate::plugin::authorizer as authorizer_export;

impl<T: Hosted> authorizer_export::Guest for T
where
    T::Plugin: authorization::Authorizer,
{
    fn authorize(request: HostRequest, input: String) -> authorizer_export::Authorization {
        let request = &request;
        use authorization::{Authorizer, Decision, Effect};
        let attributes = access_in(request);
        let answer = current::during(request, input.into_bytes(), || T::with(|plugin| plugin.authorize(&attributes)));
        let condition = |condition: authorization::Condition| authorizer_export::Condition {
            id: condition.id,
            expression: condition.expression,
            effect: match condition.effect {
                Effect::Allow => authorizer_export::Effect::Allow,
                Effect::Deny => authorizer_export::Effect::Deny,
                Effect::NoOpinion => authorizer_export::Effect::NoOpinion,
            },
        };
        let decision = match answer.decision {
            Decision::Allow => authorizer_export::Decision::Allow,
            Decision::Deny => authorizer_export::Decision::Deny,
            Decision::NoOpinion => authorizer_export::Decision::NoOpinion,
            Decision::Conditional(conditions) => authorizer_export::Decision::Conditional(conditions.into_iter().map(condition).collect()),
        };
        authorizer_export::Authorization { decision, reason: answer.reason, evaluation_error: answer.evaluation_error }
    }
}

fn access_in(request: &HostRequest) -> authorization::Attributes {
    use authorization::{SelectorOperator, SelectorRequirement};
    let requirement = |requirement: host::requests::SelectorRequirement| SelectorRequirement {
        key: requirement.key,
        operator: match requirement.operator {
            host::requests::SelectorOperator::In => SelectorOperator::In,
            host::requests::SelectorOperator::NotIn => SelectorOperator::NotIn,
            host::requests::SelectorOperator::Exists => SelectorOperator::Exists,
            host::requests::SelectorOperator::DoesNotExist => SelectorOperator::DoesNotExist,
        },
        values: requirement.values,
    };
    let Some(attributes) = request.authorization() else { return authorization::Attributes::default() };
    authorization::Attributes {
        user: request.user().map(user_in).unwrap_or_default(),
        verb: attributes.verb,
        namespace: attributes.namespace,
        api_group: attributes.api_group,
        api_version: attributes.api_version,
        resource: attributes.resource,
        subresource: attributes.subresource,
        name: attributes.name,
        resource_request: attributes.resource_request,
        path: attributes.path,
        field_selector: attributes.field_selector.into_iter().map(requirement).collect(),
        label_selector: attributes.label_selector.into_iter().map(requirement).collect(),
        conditional_accepted: attributes.conditional_accepted,
    }
}

/// Capability `authorizer`.
pub(crate) fn authorize(attributes: &authorization::Attributes) -> Result<authorization::Authorization, crate::lookup::LookupError> {
    use authorization::{Decision, SelectorOperator};
    let requirements = |list: &[authorization::SelectorRequirement]| {
        let requirement = |requirement: &authorization::SelectorRequirement| host::requests::SelectorRequirement {
            key: requirement.key.clone(),
            operator: match requirement.operator {
                SelectorOperator::In => host::requests::SelectorOperator::In,
                SelectorOperator::NotIn => host::requests::SelectorOperator::NotIn,
                SelectorOperator::Exists => host::requests::SelectorOperator::Exists,
                SelectorOperator::DoesNotExist => host::requests::SelectorOperator::DoesNotExist,
            },
            values: requirement.values.clone(),
        };
        list.iter().map(requirement).collect()
    };
    let asked = host::requests::AuthorizationAttributes {
        verb: attributes.verb.clone(),
        namespace: attributes.namespace.clone(),
        api_group: attributes.api_group.clone(),
        api_version: attributes.api_version.clone(),
        resource: attributes.resource.clone(),
        subresource: attributes.subresource.clone(),
        name: attributes.name.clone(),
        resource_request: attributes.resource_request,
        path: attributes.path.clone(),
        field_selector: requirements(&attributes.field_selector),
        label_selector: requirements(&attributes.label_selector),
        conditional_accepted: false,
    };
    let answer = host::authorization::authorize(&user_out(attributes.user.clone()), &asked)?;
    let decision = match answer.decision {
        host::authorization::Decision::Allow => Decision::Allow,
        host::authorization::Decision::Deny => Decision::Deny,
        host::authorization::Decision::NoOpinion => Decision::NoOpinion,
    };
    Ok(authorization::Authorization { decision, reason: answer.reason, evaluation_error: answer.evaluation_error })
}

/// Capability `http`.
pub(crate) fn send(request: crate::http::Request) -> Result<crate::http::Response, crate::http::HttpError> {
    use crate::http::{HttpError, HttpFailure, Method, Response};
    use host::http as http_host;
    let outgoing = http_host::OutgoingRequest {
        method: match request.method {
            Method::Get => http_host::Method::Get,
            Method::Head => http_host::Method::Head,
            Method::Post => http_host::Method::Post,
            Method::Put => http_host::Method::Put,
            Method::Patch => http_host::Method::Patch,
            Method::Delete => http_host::Method::Delete,
        },
        url: request.url,
        headers: request.headers.into_iter().map(|(name, value)| http_host::Header { name, value }).collect(),
        body: request.body,
        timeout_milliseconds: request.timeout_milliseconds,
    };
    let failure = |reason| match reason {
        http_host::HttpFailure::NotGranted => HttpFailure::NotGranted,
        http_host::HttpFailure::Malformed => HttpFailure::Malformed,
        http_host::HttpFailure::TooLong => HttpFailure::TooLong,
        http_host::HttpFailure::TooLarge => HttpFailure::TooLarge,
        http_host::HttpFailure::NotNow => HttpFailure::NotNow,
        http_host::HttpFailure::Timeout => HttpFailure::Timeout,
        http_host::HttpFailure::Unreachable => HttpFailure::Unreachable,
        http_host::HttpFailure::Untrusted => HttpFailure::Untrusted,
        http_host::HttpFailure::Broken => HttpFailure::Broken,
    };
    let answer = http_host::send(&outgoing).map_err(|error| HttpError { reason: failure(error.reason), message: error.message })?;
    let headers = answer.headers.into_iter().map(|header| (header.name, header.value)).collect();
    Ok(Response { status: answer.status, headers, body: answer.body })
}

use rules::exports::wasmgate::plugin::rules as rules_export;

impl<T: Hosted> rules_export::Guest for T
where
    T::Plugin: authorization::Rules,
{
    fn rules_for(user: host::types::UserInfo, namespace: String) -> rules_export::UserRules {
        use authorization::Rules;
        let rules = T::with(|plugin| plugin.rules_for(&user_in(user), &namespace));
        let resource = |rule: authorization::ResourceRule| rules_export::ResourceRule {
            verbs: rule.verbs,
            api_groups: rule.api_groups,
            resources: rule.resources,
            resource_names: rule.resource_names,
        };
        let non_resource = |rule: authorization::NonResourceRule| rules_export::NonResourceRule {
            verbs: rule.verbs,
            non_resource_urls: rule.non_resource_urls,
        };
        rules_export::UserRules {
            resource_rules: rules.resource_rules.into_iter().map(resource).collect(),
            non_resource_rules: rules.non_resource_rules.into_iter().map(non_resource).collect(),
            incomplete: rules.incomplete,
            evaluation_error: rules.evaluation_error,
        }
    }
}

use crate::bindings::changes::exports::wasmgate::plugin::changes as changes_export;

fn group_resource(resource: host::types::GroupResource) -> crate::changes::GroupResource {
    crate::changes::GroupResource { group: resource.group, resource: resource.resource }
}

impl<T: Hosted> changes_export::Guest for T
where
    T::Plugin: crate::changes::Changes,
{
    fn reset(resource: host::types::GroupResource) {
        use crate::changes::Changes;
        T::with(|plugin| plugin.reset(group_resource(resource)));
    }

    fn apply(changes: Vec<changes_export::Change>) {
        use crate::changes::{Change, Changes};
        let change = |change: changes_export::Change| Change {
            resource: group_resource(change.resource),
            namespace: change.namespace,
            name: change.name,
            revision: change.revision,
            object: change.object.map(json_in),
        };
        T::with(|plugin| plugin.apply(changes.into_iter().map(change).collect()));
    }
}

pub(crate) fn kind_in(kind: host::types::GroupVersionKind) -> admission::GroupVersionKind {
    admission::GroupVersionKind { group: kind.group, version: kind.version, kind: kind.kind }
}

pub(crate) fn resource_in(resource: host::types::GroupVersionResource) -> admission::GroupVersionResource {
    admission::GroupVersionResource { group: resource.group, version: resource.version, resource: resource.resource }
}

/// All attributes, where the manifest's `input` has them.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct InputAttributes {
    operation: admission::Operation,
    kind: admission::GroupVersionKind,
    resource: admission::GroupVersionResource,
    sub_resource: String,
    namespace: String,
    name: String,
    dry_run: bool,
}

/// From the input, or else from the host.
pub(crate) fn attributes_in(request: &HostRequest, input: &[u8]) -> admission::Attributes {
    use host::requests::Operation;
    if let Ok(found) = serde_json::from_slice::<InputAttributes>(input) {
        let InputAttributes { operation, kind, resource, sub_resource, namespace, name, dry_run } = found;
        return admission::Attributes { operation, kind, resource, subresource: sub_resource, namespace, name, dry_run };
    }
    let Some(attributes) = request.admission() else { return admission::Attributes::default() };
    admission::Attributes {
        operation: match attributes.operation {
            Operation::Create => admission::Operation::Create,
            Operation::Update => admission::Operation::Update,
            Operation::Delete => admission::Operation::Delete,
            Operation::Connect => admission::Operation::Connect,
        },
        kind: kind_in(attributes.kind),
        resource: resource_in(attributes.resource),
        subresource: attributes.subresource,
        namespace: attributes.namespace,
        name: attributes.name,
        dry_run: attributes.dry_run,
    }
}

/// [`admission::Request::charge`].
pub(crate) fn charge(request: &HostRequest, charge: admission::Charge) -> Result<(), crate::lookup::LookupError> {
    let admission::Charge { resource, namespace, name, amounts } = charge;
    let resource = host::types::GroupResource { group: resource.group, resource: resource.resource };
    let amounts: Vec<_> = amounts.into_iter().map(|(name, quantity)| host::requests::Amount { name, quantity }).collect();
    Ok(request.charge(&resource, &namespace, &name, &amounts)?)
}

fn denial_out(denial: admission::Denial) -> host::admission_types::Denial {
    match denial {
        admission::Denial::Forbidden(message) => host::admission_types::Denial::Forbidden(message),
        admission::Denial::Status(status) => host::admission_types::Denial::Status(status.as_value().to_string()),
    }
}

use mutating_admission::exports::wasmgate::plugin::mutating_admission as mutating_export;

impl<T: Hosted> mutating_export::Guest for T
where
    T::Plugin: admission::MutatingAdmission,
{
    fn admit(request: HostRequest, input: String) -> Result<Option<String>, host::admission_types::Denial> {
        let request = &request;
        use admission::MutatingAdmission;
        let asked = admission::Request::hosted(request, input.into_bytes());
        match current::during(request, Vec::new(), || T::with(|plugin| plugin.admit(&asked))) {
            Ok(patch) if patch.is_empty() => Ok(None),
            Ok(patch) => Ok(Some(json_out(patch.into_json()))),
            Err(denial) => Err(denial_out(denial)),
        }
    }
}

use validating_admission::exports::wasmgate::plugin::validating_admission as validating_export;

impl<T: Hosted> validating_export::Guest for T
where
    T::Plugin: admission::ValidatingAdmission,
{
    fn validate(request: HostRequest, input: String) -> Result<(), host::admission_types::Denial> {
        let request = &request;
        use admission::ValidatingAdmission;
        let asked = admission::Request::hosted(request, input.into_bytes());
        current::during(request, Vec::new(), || T::with(|plugin| plugin.validate(&asked))).map_err(denial_out)
    }
}
