//! The interface as of `wasmgate:plugin@0.2`: what such a guest calls, and what it is asked.

use std::time::Duration;

use admission::ChargedObject;
use apimachinery::GroupResource;
use auth::{Authentication, Authorization, Decision, Rules, SelectorRequirement, UserInfo};
use wasmtime::component::{HasSelf, InstancePre, Linker, Resource};
use wasmtime::{Result, Store};

use crate::answer::{RawDenial, RawMutation, missing};
use crate::bindings::exports::wasmgate::plugin as exports;
use crate::bindings::wasmgate::plugin::{
    admission_types, authorization, clock, cluster, counters, http, indexes, jwt, log, random, requests, types,
};
use crate::cluster::Change;
use crate::counters::Rate;
use crate::host::{HostState, HttpError, LogLevel};
use crate::index::{IndexEntry, IndexHandle, Page, Posting};
use crate::lookup::{LookupError, LookupFailure};
use crate::manifest::Capability;
use crate::projection::Fields;
use crate::request::{RequestHandle, Subject};
use crate::token::Verification;
use crate::wanted_exports::WantedExports;

/// Links what grants nothing.
pub(crate) fn link_common(linker: &mut Linker<HostState>) -> Result<()> {
    types::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)?;
    requests::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)?;
    admission_types::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)
}

/// Links what a capability grants.
pub(crate) fn link(linker: &mut Linker<HostState>, capability: Capability) -> Result<()> {
    match capability {
        Capability::Log => log::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Clock => clock::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Random => random::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Jwt => jwt::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Cluster => cluster::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Index => indexes::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Http => http::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Counters => counters::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Authorizer => authorization::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
    }
}

impl From<LookupError> for types::LookupError {
    fn from(error: LookupError) -> Self {
        let reason = match error.reason {
            LookupFailure::NotGranted => types::LookupFailure::NotGranted,
            LookupFailure::TooLong => types::LookupFailure::TooLong,
            LookupFailure::TooLarge => types::LookupFailure::TooLarge,
            LookupFailure::NotNow => types::LookupFailure::NotNow,
            LookupFailure::Malformed => types::LookupFailure::Malformed,
            LookupFailure::Unavailable => types::LookupFailure::Unavailable,
        };
        Self { reason, message: error.message }
    }
}

type Answer<T> = Result<std::result::Result<T, types::LookupError>>;

/// JSON as this version of the interface has it. That it is no UTF-8 would be a mistake of ours.
fn json(bytes: impl Into<Vec<u8>>) -> Result<String> {
    String::from_utf8(bytes.into()).map_err(|error| wasmtime::format_err!("JSON for a plugin: {error}"))
}

/// The same, where there is any.
fn optional(found: std::result::Result<Option<impl Into<Vec<u8>>>, LookupError>) -> Answer<Option<String>> {
    Ok(match found {
        Ok(found) => Ok(found.map(json).transpose()?),
        Err(error) => Err(error.into()),
    })
}

/// The same, lent.
fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| wasmtime::format_err!("JSON for a plugin: {error}"))
}

impl types::Host for HostState {}
impl requests::Host for HostState {}
impl admission_types::Host for HostState {}

impl requests::HostRequest for HostState {
    fn id(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.looked_around = true;
        Ok(self.subject()?.asked_for().id.to_string())
    }

    fn user(&mut self, _: Resource<RequestHandle>) -> Result<Option<types::UserInfoResult>> {
        Ok(self.subject()?.user().map(user_out))
    }

    fn original_user(&mut self, _: Resource<RequestHandle>) -> Result<Option<types::UserInfoResult>> {
        self.looked_around = true;
        Ok(self.subject()?.asked_for().original_user.as_deref().map(user_out))
    }

    fn get(&mut self, _: Resource<RequestHandle>, pointer: String) -> Answer<Option<String>> {
        self.looked_around |= is_beside_the_question(&pointer);
        optional(self.request_get(&pointer, &Fields::default())?)
    }

    fn get_string(&mut self, _: Resource<RequestHandle>, pointer: String) -> Answer<Option<String>> {
        self.looked_around |= is_beside_the_question(&pointer);
        let found = self.request_get(&pointer, &Fields::default())?;
        Ok(found.map(|json| serde_json::from_slice(&json?).ok()).map_err(Into::into))
    }

    fn get_strings(&mut self, _: Resource<RequestHandle>, pointer: String) -> Answer<Vec<String>> {
        self.looked_around |= is_beside_the_question(&pointer);
        Ok(self.request_texts(&pointer)?.map_err(Into::into))
    }

    fn pick(&mut self, _: Resource<RequestHandle>, pointer: String, fields: Vec<String>) -> Answer<Option<String>> {
        self.looked_around |= is_beside_the_question(&pointer);
        match Fields::parse(&fields) {
            Ok(fields) => optional(self.request_get(&pointer, &fields)?),
            Err(message) => Ok(Err(LookupError::new(LookupFailure::TooLong, message).into())),
        }
    }

    fn object(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        match self.subject()? {
            Subject::Admission(_, version) => version.object.map(|object| json(object.bytes().to_vec())).transpose(),
            _ => Ok(None),
        }
    }

    fn old(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        match self.subject()? {
            Subject::Admission(_, version) => version.old.map(|object| json(object.bytes().to_vec())).transpose(),
            _ => Ok(None),
        }
    }

    fn namespace(&mut self, _: Resource<RequestHandle>) -> Answer<Option<String>> {
        self.looked_around = true;
        self.subject()?;
        optional(self.namespace_object())
    }

    fn params(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        self.subject()?;
        Ok(None)
    }

    fn options(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        match self.subject()? {
            Subject::Admission(attributes, _) => attributes.options.as_ref().map(|options| json(options.to_vec())).transpose(),
            _ => Ok(None),
        }
    }

    fn connect(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        match self.subject()? {
            Subject::Admission(attributes, version) if attributes.operation == admission::Operation::Connect => {
                version.object.map(|object| json(object.bytes().to_vec())).transpose()
            }
            _ => Ok(None),
        }
    }

    fn admission(&mut self, _: Resource<RequestHandle>) -> Result<Option<requests::AdmissionAttributes>> {
        let Subject::Admission(attributes, version) = self.subject()? else { return Ok(None) };
        Ok(Some(requests::AdmissionAttributes {
            operation: match attributes.operation {
                admission::Operation::Create => requests::Operation::Create,
                admission::Operation::Update => requests::Operation::Update,
                admission::Operation::Delete => requests::Operation::Delete,
                admission::Operation::Connect => requests::Operation::Connect,
            },
            kind: kind_out(version.kind),
            resource: resource_out(version.resource),
            subresource: attributes.subresource.clone(),
            namespace: attributes.namespace.clone(),
            name: attributes.name.clone(),
            dry_run: attributes.dry_run,
        }))
    }

    fn requested(&mut self, _: Resource<RequestHandle>) -> Result<Option<requests::RequestedResource>> {
        let Subject::Admission(attributes, _) = self.subject()? else { return Ok(None) };
        Ok(Some(requests::RequestedResource { kind: kind_out(&attributes.kind), resource: resource_out(&attributes.resource) }))
    }

    fn authorization(&mut self, _: Resource<RequestHandle>) -> Result<Option<requests::AuthorizationAttributes>> {
        let Subject::Authorization(attributes) = self.subject()? else { return Ok(None) };
        Ok(Some(requests::AuthorizationAttributes {
            verb: attributes.verb.clone(),
            namespace: attributes.namespace.clone(),
            api_group: attributes.api_group.clone(),
            api_version: attributes.api_version.clone(),
            resource: attributes.resource.clone(),
            subresource: attributes.subresource.clone(),
            name: attributes.name.clone(),
            resource_request: attributes.resource_request,
            path: attributes.path.clone(),
            field_selector: requirements_out(&attributes.field_selector),
            label_selector: requirements_out(&attributes.label_selector),
            conditional_accepted: false,
        }))
    }

    fn credentials(&mut self, _: Resource<RequestHandle>) -> Result<Option<requests::Credentials>> {
        let Subject::Authentication(credentials) = self.subject()? else { return Ok(None) };
        Ok(Some(requests::Credentials {
            certificate: credentials.certificate.as_ref().map(|found| requests::PeerCertificate {
                der: found.der.clone(),
                common_name: found.common_name.clone(),
                organizations: found.organizations.clone(),
                uid: found.uid.clone(),
                sha256: found.sha256.clone(),
                chain_error: found.chain_error.clone(),
            }),
            bearer_token: credentials.bearer_token.clone(),
            audiences: credentials.audiences.clone(),
        }))
    }

    fn warn(&mut self, _: Resource<RequestHandle>, text: String) -> Result<()> {
        self.subject()?;
        self.notes.warn(text);
        Ok(())
    }

    fn annotate(&mut self, _: Resource<RequestHandle>, key: String, value: String) -> Result<()> {
        self.subject()?;
        self.notes.annotate(key, value);
        Ok(())
    }

    fn charge(
        &mut self,
        _: Resource<RequestHandle>,
        resource: types::GroupResourceResult,
        namespace: String,
        name: String,
        amounts: Vec<requests::Amount>,
    ) -> Answer<()> {
        self.subject()?;
        let charged = ChargedObject { resource: GroupResource::new(resource.group, resource.resource), namespace, name };
        let amounts = amounts.into_iter().map(|amount| (amount.name, amount.quantity)).collect();
        Ok(HostState::charge(self, charged, amounts).map_err(Into::into))
    }

    fn drop(&mut self, _: Resource<RequestHandle>) -> Result<()> {
        self.handles_held = self.handles_held.saturating_sub(1);
        Ok(())
    }
}

/// What differs between two requests that ask the same.
fn is_beside_the_question(pointer: &str) -> bool {
    ["/auditID", "/originalUser", "/namespaceObject"].iter().any(|part| pointer.starts_with(part))
}

impl log::Host for HostState {
    fn log(&mut self, level: log::Level, message: String) -> Result<()> {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        HostState::log(self, level, &message);
        Ok(())
    }
}

impl clock::Host for HostState {
    fn now_milliseconds(&mut self) -> Result<u64> {
        Ok(HostState::now_milliseconds(self))
    }
}

impl random::Host for HostState {
    fn bytes(&mut self, count: u32) -> Answer<Vec<u8>> {
        Ok(self.random_bytes(count).map_err(Into::into))
    }
}

impl jwt::Host for HostState {
    fn verify(&mut self, token: String) -> Result<jwt::Verification> {
        self.looked_around = true;
        Ok(match self.shared.services.tokens.verify(&token) {
            Verification::Claims(claims) => jwt::Verification::Claims(json(claims.to_vec())?),
            Verification::Unknown => jwt::Verification::Unknown,
            Verification::Invalid(why) => jwt::Verification::Invalid(why),
        })
    }

    fn audiences(&mut self) -> Result<Vec<String>> {
        Ok(self.shared.services.tokens.audiences().to_vec())
    }
}

impl cluster::Host for HostState {
    fn get(&mut self, resource: types::GroupResourceResult, namespace: String, name: String) -> Answer<Option<String>> {
        optional(self.cluster_get(&resource.group, &resource.resource, &namespace, &name))
    }

    async fn get_live(&mut self, resource: types::GroupResourceResult, namespace: String, name: String) -> Answer<Option<String>> {
        optional(self.cluster_get_live(&resource.group, &resource.resource, &namespace, &name).await)
    }

    fn list(&mut self, resource: types::GroupResourceResult, namespace: String) -> Answer<Vec<String>> {
        Ok(match self.cluster_list(&resource.group, &resource.resource, &namespace) {
            Ok(list) => Ok(list.iter().map(|object| json(object.to_vec())).collect::<Result<_>>()?),
            Err(error) => Err(error.into()),
        })
    }
}

impl indexes::Host for HostState {
    fn open(&mut self, name: String) -> Answer<Resource<IndexHandle>> {
        Ok(self.open_index(&name).map(Resource::new_own).map_err(Into::into))
    }
}

impl indexes::HostIndex for HostState {
    fn find(
        &mut self,
        index: Resource<IndexHandle>,
        namespace: String,
        key: Vec<String>,
        after: Option<indexes::ObjectName>,
    ) -> Answer<indexes::Page> {
        let after = after.map(|after| (after.namespace, after.name));
        Ok(match self.find_in_index(index.rep(), &namespace, &key, after) {
            Ok(page) => Ok(page_out(page)?),
            Err(error) => Err(error.into()),
        })
    }

    fn any(&mut self, index: Resource<IndexHandle>, namespace: String, key: Vec<String>) -> Answer<bool> {
        Ok(self.find_in_index(index.rep(), &namespace, &key, None).map(|page| !page.entries.is_empty()).map_err(Into::into))
    }

    fn drop(&mut self, _: Resource<IndexHandle>) -> Result<()> {
        self.index_handles = self.index_handles.saturating_sub(1);
        Ok(())
    }
}

fn page_out(page: Page) -> Result<indexes::Page> {
    let entry = |(posting, entry): (Posting, IndexEntry)| {
        let id = indexes::ObjectName { namespace: posting.namespace.to_string(), name: posting.name.to_string() };
        Ok(indexes::Entry { id, revision: entry.revision, object: json(entry.object)? })
    };
    Ok(indexes::Page { entries: page.entries.into_iter().map(entry).collect::<Result<_>>()?, more: page.more })
}

impl http::Host for HostState {
    async fn send(&mut self, request: http::OutgoingRequest) -> Result<std::result::Result<http::Response, http::HttpError>> {
        let method = match request.method {
            http::Method::Get => outbound::Method::Get,
            http::Method::Head => outbound::Method::Head,
            http::Method::Post => outbound::Method::Post,
            http::Method::Put => outbound::Method::Put,
            http::Method::Patch => outbound::Method::Patch,
            http::Method::Delete => outbound::Method::Delete,
        };
        let headers = request.headers.into_iter().map(|header| (header.name, header.value)).collect();
        let wish = request.timeout_milliseconds.map(|milliseconds| Duration::from_millis(milliseconds.into()));
        let outgoing = outbound::Request { method, url: request.url, headers, body: request.body.into() };
        let answer = self.http_send(outgoing, wish).await;
        let header = |(name, value)| http::Header { name, value };
        Ok(answer.map_err(http_error_out).map(|answer| http::Response {
            status: answer.status,
            headers: answer.headers.into_iter().map(header).collect(),
            body: answer.body.to_vec(),
        }))
    }
}

fn http_error_out(error: HttpError) -> http::HttpError {
    use outbound::Failure;
    let (reason, message) = match error {
        HttpError::NotNow => (http::HttpFailure::NotNow, "requests are sent in a call, and in configure".to_owned()),
        HttpError::Outbound(outbound::Error { failure, message }) => {
            let reason = match failure {
                Failure::NotGranted => http::HttpFailure::NotGranted,
                Failure::Malformed => http::HttpFailure::Malformed,
                Failure::TooLong => http::HttpFailure::TooLong,
                Failure::TooLarge => http::HttpFailure::TooLarge,
                Failure::Timeout => http::HttpFailure::Timeout,
                Failure::Unreachable => http::HttpFailure::Unreachable,
                Failure::Untrusted => http::HttpFailure::Untrusted,
                Failure::Broken => http::HttpFailure::Broken,
            };
            (reason, message)
        }
    };
    http::HttpError { reason, message }
}

impl counters::Host for HostState {
    fn take(&mut self, key: String, tokens: u32, bucket: counters::Bucket) -> Answer<bool> {
        let rate = Rate { per_second: bucket.per_second, burst: bucket.burst };
        Ok(self.take_tokens(&key, tokens, rate).map_err(Into::into))
    }
}

impl authorization::Host for HostState {
    async fn authorize(
        &mut self,
        user: types::UserInfoResult,
        attributes: requests::AuthorizationAttributes,
    ) -> Answer<authorization::Answer> {
        let attributes = auth::Attributes {
            user: std::sync::Arc::new(user_in(user)),
            verb: attributes.verb,
            namespace: attributes.namespace,
            api_group: attributes.api_group,
            api_version: attributes.api_version,
            resource: attributes.resource,
            subresource: attributes.subresource,
            name: attributes.name,
            resource_request: attributes.resource_request,
            path: attributes.path,
            field_selector: requirements_in(attributes.field_selector),
            label_selector: requirements_in(attributes.label_selector),
            ..auth::Attributes::default()
        };
        let answer = HostState::authorize(self, attributes).await;
        let answer = answer.map(|answer| authorization::Answer {
            decision: match answer.decision {
                Decision::Allow => authorization::Decision::Allow,
                Decision::Deny => authorization::Decision::Deny,
                Decision::NoOpinion => authorization::Decision::NoOpinion,
            },
            reason: answer.reason,
            evaluation_error: answer.evaluation_error,
        });
        Ok(answer.map_err(Into::into))
    }
}

fn user_out(user: &UserInfo) -> types::UserInfoResult {
    types::UserInfoResult {
        name: user.name.clone(),
        uid: user.uid.clone(),
        groups: user.groups.clone(),
        extra: user.extra.iter().map(|(key, values)| types::ExtraResult { key: key.clone(), values: values.clone() }).collect(),
    }
}

fn user_in(user: types::UserInfoResult) -> UserInfo {
    let extra = user.extra.into_iter().map(|extra| (extra.key, extra.values)).collect();
    UserInfo { name: user.name, uid: user.uid, groups: user.groups, extra }
}

fn kind_out(kind: &apimachinery::GroupVersionKind) -> types::GroupVersionKind {
    types::GroupVersionKind { group: kind.group.to_string(), version: kind.version.to_string(), kind: kind.kind.to_string() }
}

fn resource_out(resource: &apimachinery::GroupVersionResource) -> types::GroupVersionResource {
    types::GroupVersionResource {
        group: resource.group.to_string(),
        version: resource.version.to_string(),
        resource: resource.resource.to_string(),
    }
}

fn requirements_out(list: &[SelectorRequirement]) -> Vec<requests::SelectorRequirement> {
    let requirement = |item: &SelectorRequirement| requests::SelectorRequirement {
        key: item.key.clone(),
        operator: match item.operator.as_str() {
            "In" => requests::SelectorOperator::In,
            "NotIn" => requests::SelectorOperator::NotIn,
            "Exists" => requests::SelectorOperator::Exists,
            _ => requests::SelectorOperator::DoesNotExist,
        },
        values: item.values.clone(),
    };
    list.iter().map(requirement).collect()
}

fn requirements_in(list: Vec<requests::SelectorRequirement>) -> Vec<SelectorRequirement> {
    let requirement = |item: requests::SelectorRequirement| SelectorRequirement {
        key: item.key,
        operator: match item.operator {
            requests::SelectorOperator::In => "In",
            requests::SelectorOperator::NotIn => "NotIn",
            requests::SelectorOperator::Exists => "Exists",
            requests::SelectorOperator::DoesNotExist => "DoesNotExist",
        }
        .to_owned(),
        values: item.values,
    };
    list.into_iter().map(requirement).collect()
}

/// Where the exports are.
pub(crate) struct Indices {
    plugin: exports::plugin::GuestIndices,
    authenticator: Option<exports::authenticator::GuestIndices>,
    authorizer: Option<exports::authorizer::GuestIndices>,
    rules: Option<exports::rules::GuestIndices>,
    mutating: Option<exports::mutating_admission::GuestIndices>,
    validating: Option<exports::validating_admission::GuestIndices>,
    changes: Option<exports::changes::GuestIndices>,
}

/// The exports of an instance.
pub(crate) struct Exports {
    plugin: exports::plugin::Guest,
    authenticator: Option<exports::authenticator::Guest>,
    authorizer: Option<exports::authorizer::Guest>,
    rules: Option<exports::rules::Guest>,
    mutating: Option<exports::mutating_admission::Guest>,
    validating: Option<exports::validating_admission::Guest>,
    changes: Option<exports::changes::Guest>,
}

impl Indices {
    pub(crate) fn find(pre: &InstancePre<HostState>, wanted: &WantedExports) -> Result<Self> {
        /// The indices of an interface, where it is wanted.
        macro_rules! indices {
            ($interface:ident if $wanted:expr) => {
                match $wanted {
                    true => Some(exports::$interface::GuestIndices::new(pre)?),
                    false => None,
                }
            };
        }
        Ok(Self {
            plugin: exports::plugin::GuestIndices::new(pre)?,
            authenticator: indices!(authenticator if wanted.authenticator),
            authorizer: indices!(authorizer if wanted.authorizer),
            rules: indices!(rules if wanted.rules),
            mutating: indices!(mutating_admission if wanted.mutating),
            validating: indices!(validating_admission if wanted.validating),
            changes: indices!(changes if wanted.changes),
        })
    }

    pub(crate) fn load(&self, store: &mut Store<HostState>, instance: &wasmtime::component::Instance) -> Result<Exports> {
        /// The functions of an interface, if the plugin has it.
        macro_rules! load {
            ($field:ident) => {
                self.$field.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?
            };
        }
        Ok(Exports {
            plugin: self.plugin.load(&mut *store, instance)?,
            authenticator: load!(authenticator),
            authorizer: load!(authorizer),
            rules: load!(rules),
            mutating: load!(mutating),
            validating: load!(validating),
            changes: load!(changes),
        })
    }
}

/// A handle of the request on loan. Its number means nothing: whoever asks, asks about the call that runs.
fn handle(store: &mut Store<HostState>) -> Resource<RequestHandle> {
    store.data_mut().handles_held += 1;
    Resource::new_own(0)
}

impl Exports {
    pub(crate) async fn configure(&self, store: &mut Store<HostState>, config: &[u8]) -> Result<std::result::Result<(), String>> {
        self.plugin.call_configure(store, text(config)?).await
    }

    pub(crate) async fn authenticate(&self, store: &mut Store<HostState>, _: &Subject<'_>, input: &[u8]) -> Result<Authentication> {
        let guest = self.authenticator.as_ref().ok_or_else(missing)?;
        let handle = handle(store);
        Ok(match guest.call_authenticate(&mut *store, handle, text(input)?).await? {
            Ok(None) => Authentication::NoOpinion,
            Err(why) => Authentication::Rejected(why),
            Ok(Some(exports::authenticator::Authenticated { user, audiences: None })) => Authentication::User(user_in(user)),
            Ok(Some(exports::authenticator::Authenticated { user, audiences: Some(audiences) })) => {
                Authentication::UserFor(user_in(user), audiences)
            }
        })
    }

    pub(crate) async fn authorize(&self, store: &mut Store<HostState>, _: &Subject<'_>, input: &[u8]) -> Result<Option<Authorization>> {
        let guest = self.authorizer.as_ref().ok_or_else(missing)?;
        let handle = handle(store);
        let exports::authorizer::Authorization { decision, reason, evaluation_error } =
            guest.call_authorize(&mut *store, handle, text(input)?).await?;
        let decision = match decision {
            exports::authorizer::Decision::Allow => Decision::Allow,
            exports::authorizer::Decision::Deny => Decision::Deny,
            exports::authorizer::Decision::NoOpinion => Decision::NoOpinion,
            exports::authorizer::Decision::Conditional(_) => return Ok(None),
        };
        Ok(Some(Authorization { decision, reason, evaluation_error }))
    }

    pub(crate) async fn rules_for(&self, store: &mut Store<HostState>, user: &UserInfo, namespace: &str) -> Result<Option<Rules>> {
        let Some(guest) = &self.rules else { return Ok(None) };
        let groups = texts(&user.groups);
        let extra: Vec<(&str, Vec<&str>)> = user.extra.iter().map(|(key, values)| (key.as_str(), texts(values))).collect();
        let extra: Vec<_> = extra.iter().map(|(key, values)| types::ExtraParam { key, values }).collect();
        let user = types::UserInfoParam { name: &user.name, uid: &user.uid, groups: &groups, extra: &extra };
        let answer = guest.call_rules_for(store, user, namespace).await?;
        let resource_rules = answer.resource_rules.into_iter().map(|rule| auth::ResourceRule {
            verbs: rule.verbs,
            api_groups: rule.api_groups,
            resources: rule.resources,
            resource_names: rule.resource_names,
        });
        let non_resource_rules = answer
            .non_resource_rules
            .into_iter()
            .map(|rule| auth::NonResourceRule { verbs: rule.verbs, non_resource_urls: rule.non_resource_urls });
        Ok(Some(Rules {
            resource_rules: resource_rules.collect(),
            non_resource_rules: non_resource_rules.collect(),
            incomplete: answer.incomplete,
            evaluation_error: answer.evaluation_error,
        }))
    }

    pub(crate) async fn admit(&self, store: &mut Store<HostState>, _: &Subject<'_>, input: &[u8]) -> Result<RawMutation> {
        let guest = self.mutating.as_ref().ok_or_else(missing)?;
        let handle = handle(store);
        Ok(match guest.call_admit(&mut *store, handle, text(input)?).await? {
            Ok(None) => RawMutation::Unchanged,
            Ok(Some(patch)) => RawMutation::Patch(patch.into_bytes()),
            Err(denial) => RawMutation::Denied(denial.into()),
        })
    }

    pub(crate) async fn validate(&self, store: &mut Store<HostState>, _: &Subject<'_>, input: &[u8]) -> Result<Option<RawDenial>> {
        let guest = self.validating.as_ref().ok_or_else(missing)?;
        let handle = handle(store);
        Ok(guest.call_validate(&mut *store, handle, text(input)?).await?.err().map(Into::into))
    }

    pub(crate) async fn reset(&self, store: &mut Store<HostState>, resource: &GroupResource) -> Result<()> {
        let Some(guest) = &self.changes else { return Ok(()) };
        guest.call_reset(store, types::GroupResourceParam { group: &resource.group, resource: &resource.resource }).await
    }

    pub(crate) async fn apply(&self, store: &mut Store<HostState>, changes: &[Change]) -> Result<()> {
        let Some(guest) = &self.changes else { return Ok(()) };
        let changes: Result<Vec<_>> = changes.iter().map(change_out).collect();
        guest.call_apply(store, &changes?).await
    }
}

fn change_out(change: &Change) -> Result<exports::changes::Change<'_>> {
    Ok(exports::changes::Change {
        resource: types::GroupResourceParam { group: &change.resource.group, resource: &change.resource.resource },
        namespace: &change.namespace,
        name: &change.name,
        revision: change.revision,
        object: change.object.as_deref().map(text).transpose()?,
    })
}

impl From<admission_types::Denial> for RawDenial {
    fn from(denial: admission_types::Denial) -> Self {
        match denial {
            admission_types::Denial::Forbidden(message) => Self::Forbidden(message),
            admission_types::Denial::Status(status) => Self::Status(status.into_bytes()),
        }
    }
}

/// Pointers to a list's texts.
pub(crate) fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}
