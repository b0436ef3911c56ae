//! Between the generated bindings and the SDK's own types. Nothing here decides anything.

use crate::bindings::imports::wasmgate::plugin as host;
use crate::bindings::{authenticator, authorizer, mutating_admission, rules, validating_admission};
use crate::json::{Config, Json};
use crate::{Plugin, admission, authentication, authorization, user};

/// A type that [`plugin!`](crate::plugin) makes: it knows where the instance's state is.
pub trait Hosted {
    /// The plugin.
    type Plugin: Plugin;

    /// Lends the state. The host never calls an instance from within a call, so it is never lent twice.
    fn with<R>(f: impl FnOnce(&mut Self::Plugin) -> R) -> R;
}

fn user_in(user: host::types::UserInfo) -> user::UserInfo {
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
    fn configure(config: Vec<u8>) -> Result<(), String> {
        T::with(|plugin| plugin.configure(Config(Json(config))))
    }
}

use authenticator::exports::wasmgate::plugin::authenticator as authenticator_export;

impl<T: Hosted> authenticator_export::Guest for T
where
    T::Plugin: authentication::Authenticator,
{
    fn authenticate(credentials: authenticator_export::Credentials) -> authenticator_export::Authentication {
        use authentication::{Authentication, Authenticator};
        let certificate = |peer: authenticator_export::PeerCertificate| authentication::PeerCertificate {
            der: peer.der,
            common_name: peer.common_name,
            organizations: peer.organizations,
            uid: peer.uid,
            sha256: peer.sha256,
            chain_error: peer.chain_error,
        };
        let credentials = authentication::Credentials {
            certificate: credentials.certificate.map(certificate),
            bearer_token: credentials.bearer_token,
            audiences: credentials.audiences,
        };
        match T::with(|plugin| plugin.authenticate(&credentials)) {
            Authentication::User(user) => authenticator_export::Authentication::User(user_out(user)),
            Authentication::UserFor(user, audiences) => authenticator_export::Authentication::UserFor((user_out(user), audiences)),
            Authentication::NoOpinion => authenticator_export::Authentication::NoOpinion,
            Authentication::Rejected(why) => authenticator_export::Authentication::Rejected(why),
        }
    }
}

use authorizer::exports::wasmgate::plugin::authorizer as authorizer_export;

impl<T: Hosted> authorizer_export::Guest for T
where
    T::Plugin: authorization::Authorizer,
{
    fn authorize(attributes: host::authorization_types::Attributes) -> authorizer_export::Authorization {
        use authorization::{Authorizer, Decision, SelectorRequirement};
        let requirement = |requirement: host::authorization_types::SelectorRequirement| SelectorRequirement {
            key: requirement.key,
            operator: requirement.operator,
            values: requirement.values,
        };
        let attributes = authorization::Attributes {
            user: user_in(attributes.user),
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
        };
        let answer = T::with(|plugin| plugin.authorize(&attributes));
        let condition = |condition: authorization::Condition| authorizer_export::Condition {
            id: condition.id,
            expression: condition.expression,
            effect: condition.effect,
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

/// Capability `authorizer`.
pub(crate) fn authorize(attributes: &authorization::Attributes) -> authorization::Authorization {
    use authorization::Decision;
    let requirements = |list: &[authorization::SelectorRequirement]| {
        let requirement = |requirement: &authorization::SelectorRequirement| host::authorization_types::SelectorRequirement {
            key: requirement.key.clone(),
            operator: requirement.operator.clone(),
            values: requirement.values.clone(),
        };
        list.iter().map(requirement).collect()
    };
    let answer = host::authorization::authorize(&host::authorization_types::Attributes {
        user: user_out(attributes.user.clone()),
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
    });
    let decision = match answer.decision {
        host::authorization::Decision::Allow => Decision::Allow,
        host::authorization::Decision::Deny => Decision::Deny,
        host::authorization::Decision::NoOpinion => Decision::NoOpinion,
    };
    authorization::Authorization { decision, reason: answer.reason, evaluation_error: answer.evaluation_error }
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
    fn reset(resource: host::types::GroupResource, objects: Vec<Vec<u8>>) {
        use crate::changes::Changes;
        T::with(|plugin| plugin.reset(group_resource(resource), objects.into_iter().map(Json).collect()));
    }

    fn apply(changes: Vec<changes_export::Changed>) {
        use crate::changes::{Change, Changes};
        let change = |change: changes_export::Changed| Change {
            resource: group_resource(change.resource),
            namespace: change.namespace,
            name: change.name,
            object: change.object.map(Json),
        };
        T::with(|plugin| plugin.apply(changes.into_iter().map(change).collect()));
    }
}

fn attributes_in(attributes: host::admission_types::Attributes) -> admission::Attributes {
    use host::admission_types::Operation;
    admission::Attributes {
        operation: match attributes.operation {
            Operation::Create => admission::Operation::Create,
            Operation::Update => admission::Operation::Update,
            Operation::Delete => admission::Operation::Delete,
            Operation::Connect => admission::Operation::Connect,
        },
        kind: admission::GroupVersionKind { group: attributes.kind.group, version: attributes.kind.version, kind: attributes.kind.kind },
        resource: admission::GroupVersionResource {
            group: attributes.resource.group,
            version: attributes.resource.version,
            resource: attributes.resource.resource,
        },
        subresource: attributes.subresource,
        namespace: attributes.namespace,
        name: attributes.name,
        user: user_in(attributes.user),
        dry_run: attributes.dry_run,
        options: attributes.options.map(Json),
    }
}

fn notes_out(notes: admission::Notes) -> host::admission_types::Notes {
    let annotation = |(key, value)| host::types::AuditAnnotation { key, value };
    host::admission_types::Notes {
        warnings: notes.warnings,
        audit_annotations: notes.audit_annotations.into_iter().map(annotation).collect(),
    }
}

fn denial_out(denial: admission::Denial) -> host::admission_types::Denial {
    match denial {
        admission::Denial::Forbidden(message) => host::admission_types::Denial::Forbidden(message),
        admission::Denial::Status(status) => host::admission_types::Denial::Status(Json::from(status.as_value()).0),
    }
}

use mutating_admission::exports::wasmgate::plugin::mutating_admission as mutating_export;

impl<T: Hosted> mutating_export::Guest for T
where
    T::Plugin: admission::MutatingAdmission,
{
    fn admit(
        attributes: host::admission_types::Attributes,
        object: Option<&host::objects::Object>,
        old: Option<&host::objects::Object>,
    ) -> mutating_export::Answer {
        use admission::MutatingAdmission;
        let hosted = admission::Object::hosted;
        let request = admission::Request::new(attributes_in(attributes), object.map(hosted), old.map(hosted));
        let mutation = match T::with(|plugin| plugin.admit(&request)) {
            Ok(patch) if patch.is_empty() => mutating_export::Mutation::Unchanged,
            Ok(patch) => mutating_export::Mutation::Patch(patch.into_json().0),
            Err(denial) => mutating_export::Mutation::Denied(denial_out(denial)),
        };
        mutating_export::Answer { mutation, notes: notes_out(request.notes()) }
    }
}

use validating_admission::exports::wasmgate::plugin::validating_admission as validating_export;

impl<T: Hosted> validating_export::Guest for T
where
    T::Plugin: admission::ValidatingAdmission,
{
    fn validate(
        attributes: host::admission_types::Attributes,
        object: Option<&host::objects::Object>,
        old: Option<&host::objects::Object>,
    ) -> validating_export::Answer {
        use admission::ValidatingAdmission;
        let hosted = admission::Object::hosted;
        let request = admission::Request::new(attributes_in(attributes), object.map(hosted), old.map(hosted));
        let denial = T::with(|plugin| plugin.validate(&request)).err().map(denial_out);
        validating_export::Answer { denial, notes: notes_out(request.notes()) }
    }
}
