//! The interface as of `wasmgate:plugin@0.1`, adapted to what the host speaks: nothing outside of this file knows of it.
//!
//! Its records are handed over with each call, its answers carry their notes, and what is too long or asked at the wrong time is a trap.

use std::sync::Arc;

use apimachinery::GroupResource;
use auth::{Authentication, Authorization, Decision, Rules, UserInfo};
use wasmtime::component::{HasSelf, InstancePre, Linker, Resource};
use wasmtime::{Result, Store, bail};

use crate::answer::{RawDenial, RawMutation, missing};
use crate::cluster::Change;
use crate::host::{HostState, LogLevel};
use crate::lookup::LookupError;
use crate::manifest::Capability;
use crate::projection::Fields;
use crate::request::{Subject, checked};
use crate::token::Verification;
use crate::v0_2::texts;
use crate::wanted_exports::WantedExports;

use bindings::exports::wasmgate::plugin as exports;
use bindings::wasmgate::plugin::{admission_types, authorization, authorization_types, clock, cluster, jwt, log, objects, random, types};

/// Generated from `wit/0.1`.
#[allow(missing_docs, unused, nonstandard_style, clippy::all, reason = "generated; wit/0.1 has the words")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1",
        inline: "
            package wasmgate:host-v0-1;

            world host {
                include wasmgate:plugin/capabilities@0.1.0;
                export wasmgate:plugin/plugin@0.1.0;
                export wasmgate:plugin/authenticator@0.1.0;
                export wasmgate:plugin/authorizer@0.1.0;
                export wasmgate:plugin/rules@0.1.0;
                export wasmgate:plugin/mutating-admission@0.1.0;
                export wasmgate:plugin/validating-admission@0.1.0;
                export wasmgate:plugin/changes@0.1.0;
            }
        ",
        world: "wasmgate:host-v0-1/host",
        imports: {
            "wasmgate:plugin/cluster.get-live": async | trappable,
            "wasmgate:plugin/authorization.authorize": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "wasmgate:plugin/objects.object": super::ObjectHandle },
    });
}

/// The host's type of the WIT resource `object`: only ever one of the two numbers below.
pub enum ObjectHandle {}

/// The number of the object itself.
const OBJECT: u32 = 0;
/// The number of the object that it replaces.
const OLD: u32 = 1;

/// Links what grants nothing.
pub(crate) fn link_common(linker: &mut Linker<HostState>) -> Result<()> {
    types::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)?;
    objects::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)?;
    admission_types::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)?;
    authorization_types::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)
}

/// Links what a capability grants.
pub(crate) fn link(linker: &mut Linker<HostState>, capability: Capability) -> Result<()> {
    match capability {
        Capability::Log => log::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Clock => clock::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Random => random::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Jwt => jwt::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Cluster => cluster::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
        Capability::Index | Capability::Http | Capability::Counters => Ok(()),
        Capability::Authorizer => authorization::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state),
    }
}

/// An error that is a trap here.
fn trap(error: LookupError) -> wasmtime::Error {
    wasmtime::format_err!("{}", error.message)
}

type Words<T> = Result<std::result::Result<T, String>>;

impl types::Host for HostState {}
impl authorization_types::Host for HostState {}
impl objects::Host for HostState {}

impl admission_types::Host for HostState {
    fn requested(&mut self) -> Result<admission_types::RequestedResource> {
        let Some(Subject::Admission(attributes, _)) = self.request.get() else {
            bail!("there is no request: this is no call of admission")
        };
        let (kind, resource) = (&attributes.kind, &attributes.resource);
        let kind = admission_types::GroupVersionKindResult {
            group: kind.group.to_string(),
            version: kind.version.to_string(),
            kind: kind.kind.to_string(),
        };
        let resource = admission_types::GroupVersionResourceResult {
            group: resource.group.to_string(),
            version: resource.version.to_string(),
            resource: resource.resource.to_string(),
        };
        Ok(admission_types::RequestedResource { kind, resource })
    }
}

impl HostState {
    /// The object of a handle.
    fn object_of(&self, handle: &Resource<ObjectHandle>) -> Result<&admission::ObjectView<'_>> {
        let found = match self.subject()? {
            Subject::Admission(_, version) if handle.rep() == OBJECT => version.object,
            Subject::Admission(_, version) if handle.rep() == OLD => version.old,
            _ => None,
        };
        found.ok_or_else(|| wasmtime::format_err!("the object handle outlived its call"))
    }
}

impl objects::HostObject for HostState {
    fn bytes(&mut self, handle: Resource<ObjectHandle>) -> Result<Vec<u8>> {
        Ok(self.object_of(&handle)?.bytes().to_vec())
    }

    fn get(&mut self, handle: Resource<ObjectHandle>, pointer: String) -> Result<Option<Vec<u8>>> {
        let found = self.object_of(&handle)?.value().pointer(checked(&pointer).map_err(trap)?);
        Ok(found.map(|value| serde_json::to_vec(value).expect("a Value has string keys only")))
    }

    fn get_string(&mut self, handle: Resource<ObjectHandle>, pointer: String) -> Result<Option<String>> {
        let found = self.object_of(&handle)?.value().pointer(checked(&pointer).map_err(trap)?);
        Ok(found.and_then(|value| value.as_str()).map(str::to_owned))
    }

    fn pick(&mut self, handle: Resource<ObjectHandle>, pointer: String, fields: Vec<String>) -> Result<Option<Vec<u8>>> {
        let fields = Fields::parse(&fields).map_err(|message| wasmtime::format_err!("{message}"))?;
        let found = self.object_of(&handle)?.value().pointer(checked(&pointer).map_err(trap)?);
        Ok(found.map(|value| fields.json_of(value)))
    }

    fn drop(&mut self, _: Resource<ObjectHandle>) -> Result<()> {
        // Guests only borrow; the loan ends with the call.
        Ok(())
    }
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
    fn bytes(&mut self, count: u32) -> Result<Vec<u8>> {
        self.random_bytes(count).map_err(trap)
    }
}

impl jwt::Host for HostState {
    fn verify(&mut self, token: String) -> Result<jwt::Verification> {
        self.looked_around = true;
        Ok(match self.shared.services.tokens.verify(&token) {
            Verification::Claims(claims) => jwt::Verification::Claims(claims.to_vec()),
            Verification::Unknown => jwt::Verification::Unknown,
            Verification::Invalid(why) => jwt::Verification::Invalid(why),
        })
    }

    fn audiences(&mut self) -> Result<Vec<String>> {
        Ok(self.shared.services.tokens.audiences().to_vec())
    }
}

impl cluster::Host for HostState {
    fn get(&mut self, resource: cluster::GroupResource, namespace: String, name: String) -> Words<Option<Vec<u8>>> {
        let found = self.cluster_get(&resource.group, &resource.resource, &namespace, &name);
        Ok(found.map(|object| object.map(|bytes| bytes.to_vec())).map_err(|error| error.message))
    }

    async fn get_live(&mut self, resource: cluster::GroupResource, namespace: String, name: String) -> Words<Option<Vec<u8>>> {
        let found = self.cluster_get_live(&resource.group, &resource.resource, &namespace, &name).await;
        Ok(found.map(|object| object.map(|bytes| bytes.to_vec())).map_err(|error| error.message))
    }

    fn list(&mut self, resource: cluster::GroupResource, namespace: String) -> Words<Vec<Vec<u8>>> {
        let found = self.cluster_list(&resource.group, &resource.resource, &namespace);
        Ok(found.map(|list| list.iter().map(|bytes| bytes.to_vec()).collect()).map_err(|error| error.message))
    }
}

impl authorization::Host for HostState {
    async fn authorize(&mut self, attributes: authorization_types::AttributesResult) -> Result<authorization::Answer> {
        let requirements = |list: Vec<authorization_types::SelectorRequirementResult>| {
            list.into_iter().map(|item| auth::SelectorRequirement { key: item.key, operator: item.operator, values: item.values }).collect()
        };
        let attributes = auth::Attributes {
            user: Arc::new(user_in(attributes.user)),
            verb: attributes.verb,
            namespace: attributes.namespace,
            api_group: attributes.api_group,
            api_version: attributes.api_version,
            resource: attributes.resource,
            subresource: attributes.subresource,
            name: attributes.name,
            resource_request: attributes.resource_request,
            path: attributes.path,
            field_selector: requirements(attributes.field_selector),
            label_selector: requirements(attributes.label_selector),
            ..auth::Attributes::default()
        };
        let answer = HostState::authorize(self, attributes).await.map_err(trap)?;
        Ok(authorization::Answer {
            decision: match answer.decision {
                Decision::Allow => authorization::Decision::Allow,
                Decision::Deny => authorization::Decision::Deny,
                Decision::NoOpinion => authorization::Decision::NoOpinion,
            },
            reason: answer.reason,
            evaluation_error: answer.evaluation_error,
        })
    }
}

fn user_in(user: types::UserInfoResult) -> UserInfo {
    let extra = user.extra.into_iter().map(|extra| (extra.key, extra.values)).collect();
    UserInfo { name: user.name, uid: user.uid, groups: user.groups, extra }
}

/// A user as the guest is shown it: borrowed, but for the lists of pointers.
struct UserRef<'a> {
    user: &'a UserInfo,
    groups: Vec<&'a str>,
    extra: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> UserRef<'a> {
    fn of(user: &'a UserInfo) -> Self {
        Self { user, groups: texts(&user.groups), extra: user.extra.iter().map(|(key, values)| (key.as_str(), texts(values))).collect() }
    }

    fn extra(&self) -> Vec<types::ExtraParam<'_>> {
        self.extra.iter().map(|(key, values)| types::ExtraParam { key, values }).collect()
    }

    fn param<'b>(&'b self, extra: &'b [types::ExtraParam<'b>]) -> types::UserInfoParam<'b> {
        types::UserInfoParam { name: &self.user.name, uid: &self.user.uid, groups: &self.groups, extra }
    }
}

/// Selector requirements, in the same way.
struct Requirements<'a>(Vec<(&'a auth::SelectorRequirement, Vec<&'a str>)>);

impl<'a> Requirements<'a> {
    fn of(list: &'a [auth::SelectorRequirement]) -> Self {
        Self(list.iter().map(|item| (item, texts(&item.values))).collect())
    }

    fn list(&self) -> Vec<authorization_types::SelectorRequirementParam<'_>> {
        let item = |(item, values)| {
            let item: &auth::SelectorRequirement = item;
            authorization_types::SelectorRequirementParam { key: &item.key, operator: &item.operator, values }
        };
        self.0.iter().map(|(requirement, values)| item((requirement, values.as_slice()))).collect()
    }
}

fn admission_attributes<'a>(
    attributes: &'a admission::Attributes,
    version: admission::Version<'a>,
    user: types::UserInfoParam<'a>,
) -> admission_types::Attributes<'a> {
    use admission_types::Operation;
    admission_types::Attributes {
        operation: match attributes.operation {
            admission::Operation::Create => Operation::Create,
            admission::Operation::Update => Operation::Update,
            admission::Operation::Delete => Operation::Delete,
            admission::Operation::Connect => Operation::Connect,
        },
        kind: admission_types::GroupVersionKindParam {
            group: &version.kind.group,
            version: &version.kind.version,
            kind: &version.kind.kind,
        },
        resource: admission_types::GroupVersionResourceParam {
            group: &version.resource.group,
            version: &version.resource.version,
            resource: &version.resource.resource,
        },
        subresource: &attributes.subresource,
        namespace: &attributes.namespace,
        name: &attributes.name,
        user,
        dry_run: attributes.dry_run,
        options: attributes.options.as_deref(),
    }
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

impl Exports {
    pub(crate) async fn configure(&self, store: &mut Store<HostState>, config: &[u8]) -> Result<std::result::Result<(), String>> {
        self.plugin.call_configure(store, config).await
    }

    pub(crate) async fn authenticate(&self, store: &mut Store<HostState>, subject: &Subject<'_>, _: &[u8]) -> Result<Authentication> {
        let (Some(guest), Subject::Authentication(credentials)) = (&self.authenticator, subject) else { return Err(missing()) };
        let certificate = credentials.certificate.as_deref();
        let organizations: Vec<&str> = certificate.map(|found| texts(&found.organizations)).unwrap_or_default();
        let audiences = texts(&credentials.audiences);
        let shown = exports::authenticator::Credentials {
            certificate: certificate.map(|found| exports::authenticator::PeerCertificate {
                der: &found.der,
                common_name: &found.common_name,
                organizations: &organizations,
                uid: &found.uid,
                sha256: &found.sha256,
                chain_error: found.chain_error.as_deref(),
            }),
            bearer_token: credentials.bearer_token.as_deref(),
            audiences: &audiences,
        };
        Ok(match guest.call_authenticate(store, shown).await? {
            exports::authenticator::Authentication::NoOpinion => Authentication::NoOpinion,
            exports::authenticator::Authentication::Rejected(why) => Authentication::Rejected(why),
            exports::authenticator::Authentication::User(user) => Authentication::User(user_in(user)),
            exports::authenticator::Authentication::UserFor((user, audiences)) => Authentication::UserFor(user_in(user), audiences),
        })
    }

    pub(crate) async fn authorize(&self, store: &mut Store<HostState>, subject: &Subject<'_>, _: &[u8]) -> Result<Option<Authorization>> {
        let (Some(guest), Subject::Authorization(attributes)) = (&self.authorizer, subject) else { return Err(missing()) };
        let user = UserRef::of(&attributes.user);
        let extra = user.extra();
        let fields = Requirements::of(&attributes.field_selector);
        let labels = Requirements::of(&attributes.label_selector);
        let (fields, labels) = (fields.list(), labels.list());
        let shown = authorization_types::AttributesParam {
            user: user.param(&extra),
            verb: &attributes.verb,
            namespace: &attributes.namespace,
            api_group: &attributes.api_group,
            api_version: &attributes.api_version,
            resource: &attributes.resource,
            subresource: &attributes.subresource,
            name: &attributes.name,
            resource_request: attributes.resource_request,
            path: &attributes.path,
            field_selector: &fields,
            label_selector: &labels,
            conditional_accepted: false,
        };
        let exports::authorizer::Authorization { decision, reason, evaluation_error } = guest.call_authorize(store, shown).await?;
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
        let user = UserRef::of(user);
        let extra = user.extra();
        let answer = guest.call_rules_for(store, user.param(&extra), namespace).await?;
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

    pub(crate) async fn admit(&self, store: &mut Store<HostState>, subject: &Subject<'_>, _: &[u8]) -> Result<RawMutation> {
        let (Some(guest), Subject::Admission(attributes, version)) = (&self.mutating, subject) else { return Err(missing()) };
        let user = UserRef::of(&attributes.context.user);
        let extra = user.extra();
        let shown = admission_attributes(attributes, *version, user.param(&extra));
        let (object, old) = handles(version);
        let answer = guest.call_admit(&mut *store, shown, object, old).await?;
        keep(answer.notes, store.data_mut());
        Ok(match answer.mutation {
            exports::mutating_admission::Mutation::Unchanged => RawMutation::Unchanged,
            exports::mutating_admission::Mutation::Patch(patch) => RawMutation::Patch(patch),
            exports::mutating_admission::Mutation::Denied(denial) => RawMutation::Denied(denial.into()),
        })
    }

    pub(crate) async fn validate(&self, store: &mut Store<HostState>, subject: &Subject<'_>, _: &[u8]) -> Result<Option<RawDenial>> {
        let (Some(guest), Subject::Admission(attributes, version)) = (&self.validating, subject) else { return Err(missing()) };
        let user = UserRef::of(&attributes.context.user);
        let extra = user.extra();
        let shown = admission_attributes(attributes, *version, user.param(&extra));
        let (object, old) = handles(version);
        let answer = guest.call_validate(&mut *store, shown, object, old).await?;
        keep(answer.notes, store.data_mut());
        Ok(answer.denial.map(Into::into))
    }

    pub(crate) async fn reset(&self, store: &mut Store<HostState>, resource: &GroupResource, objects: &[Change]) -> Result<()> {
        let Some(guest) = &self.changes else { return Ok(()) };
        let name = types::GroupResourceParam { group: &resource.group, resource: &resource.resource };
        let objects: Vec<&[u8]> = objects.iter().filter_map(|change| change.object.as_deref()).collect();
        guest.call_reset(store, name, &objects).await
    }

    pub(crate) async fn apply(&self, store: &mut Store<HostState>, changes: &[Change]) -> Result<()> {
        let Some(guest) = &self.changes else { return Ok(()) };
        let changed = |change| {
            let Change { resource, namespace, name, object, .. }: &Change = change;
            let resource = types::GroupResourceParam { group: &resource.group, resource: &resource.resource };
            exports::changes::Changed { resource, namespace, name, object: object.as_deref() }
        };
        let changes: Vec<_> = changes.iter().map(changed).collect();
        guest.call_apply(store, &changes).await
    }
}

/// What a call of admission hands to the guest.
fn handles(version: &admission::Version<'_>) -> (Option<Resource<ObjectHandle>>, Option<Resource<ObjectHandle>>) {
    (version.object.map(|_| Resource::new_borrow(OBJECT)), version.old.map(|_| Resource::new_borrow(OLD)))
}

/// Notes that came with an answer.
fn keep(notes: admission_types::Notes, state: &mut HostState) {
    notes.warnings.into_iter().for_each(|warning| state.notes.warn(warning));
    notes.audit_annotations.into_iter().for_each(|note| state.notes.annotate(note.key, note.value));
}

impl From<admission_types::Denial> for RawDenial {
    fn from(denial: admission_types::Denial) -> Self {
        match denial {
            admission_types::Denial::Forbidden(message) => Self::Forbidden(message),
            admission_types::Denial::Status(status) => Self::Status(status),
        }
    }
}
