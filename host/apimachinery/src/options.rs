//! The options of a request, from its query or (for a deletion) its body, with upstream's checks and words
//! (`k8s.io/apimachinery/pkg/apis/meta/v1` and its `validation`).
//!
//! `from_query` gives options that are valid, or the `Status` that refuses them: 400 for what cannot be read, 422 for what
//! may not be. `to_json` is the options object that admission is shown.

use serde_json::{Map, Value, json};

use crate::field::{self, Path, go_quote, is_print};
use crate::group_version::GroupKind;
use crate::query::Query;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::Status;

/// Bytes of a field manager's name.
pub const FIELD_MANAGER_BYTES_MAX: usize = 128;

/// How a list's `resourceVersion` is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceVersionMatch {
    /// This version or a later one.
    NotOlderThan,
    /// This version.
    Exact,
    /// Not one of the above: never in options that were validated.
    Unknown(String),
}

impl ResourceVersionMatch {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "" => None,
            "NotOlderThan" => Some(Self::NotOlderThan),
            "Exact" => Some(Self::Exact),
            other => Some(Self::Unknown(other.to_owned())),
        }
    }

    /// As it stands in a query.
    pub fn as_str(&self) -> &str {
        match self {
            Self::NotOlderThan => "NotOlderThan",
            Self::Exact => "Exact",
            Self::Unknown(other) => other,
        }
    }
}

/// Options of a list, a watch or a deletecollection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Which objects, by label.
    pub label_selector: LabelSelector,
    /// Which objects, by field: any field, until the resource has looked at them.
    pub field_selector: FieldSelector,
    /// A watch and not a list.
    pub watch: bool,
    /// The watcher understands bookmarks.
    pub allow_watch_bookmarks: bool,
    /// As given: see [`parse_resource_version`].
    pub resource_version: String,
    /// How it is meant.
    pub resource_version_match: Option<ResourceVersionMatch>,
    /// For how long a watch runs.
    pub timeout_seconds: Option<i64>,
    /// Items of a page; 0 for all (negative ones, too).
    pub limit: i64,
    /// Where the page starts.
    pub continue_token: String,
    /// A watch that starts with the current state as events.
    pub send_initial_events: Option<bool>,
}

/// Go's `strconv.ParseInt` to base 10, 64 bits.
fn parse_int(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| format!("strconv.ParseInt: parsing {}: {}", go_quote(text), int_error(&error)))
}

fn int_error(error: &std::num::ParseIntError) -> &'static str {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    if matches!(error.kind(), PosOverflow | NegOverflow) { "value out of range" } else { "invalid syntax" }
}

/// A boolean of a query: anything but `0` and `false` is true, the empty string, too.
fn boolean(text: &str) -> bool {
    !(text == "0" || text.eq_ignore_ascii_case("false"))
}

/// Go's `strconv.ParseUint` to base 10, 64 bits. The error is in its words.
pub fn parse_uint(text: &str) -> Result<u64, String> {
    let parsed = if text.starts_with('+') { Err("invalid syntax") } else { text.parse::<u64>().map_err(|error| int_error(&error)) };
    parsed.map_err(|why| format!("strconv.ParseUint: parsing {}: {why}", go_quote(text)))
}

/// A resource version of a query: `""` is none. The error is in upstream's words; lists answer it as 400 behind
/// `invalid resource version: `, a get and a watch as 500.
pub fn parse_resource_version(text: &str) -> Result<Option<u64>, field::Error> {
    if text.is_empty() {
        return Ok(None);
    }
    parse_uint(text).map(Some).map_err(|why| field::Error::invalid(&Path::new("resourceVersion"), text, &why))
}

fn invalid(kind: &'static str, errors: &[field::Error]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&GroupKind::of("meta.k8s.io", kind), "", errors)) }
}

impl ListOptions {
    /// Reads, defaults and validates.
    pub fn from_query(query: &Query) -> Result<Self, Status> {
        let mut options = Self::decode(query).map_err(Status::bad_request)?;
        options.set_defaults();
        invalid("ListOptions", &options.validate())?;
        Ok(options)
    }

    /// Reads; the error is in upstream's words.
    pub fn decode(query: &Query) -> Result<Self, String> {
        let text = |name| query.get(name).unwrap_or_default();
        let timeout_seconds = query.get("timeoutSeconds").map(parse_int).transpose()?;
        let limit = query.get("limit").map(parse_int).transpose()?.unwrap_or(0);
        Ok(Self {
            label_selector: LabelSelector::parse(text("labelSelector"))?,
            field_selector: FieldSelector::parse(text("fieldSelector"))?,
            watch: query.get("watch").is_some_and(boolean),
            allow_watch_bookmarks: query.get("allowWatchBookmarks").is_some_and(boolean),
            resource_version: text("resourceVersion").to_owned(),
            resource_version_match: ResourceVersionMatch::parse(text("resourceVersionMatch")),
            timeout_seconds,
            limit,
            continue_token: text("continue").to_owned(),
            send_initial_events: query.get("sendInitialEvents").map(boolean),
        })
    }

    /// A watch from nowhere starts with the current state, as it did before there was an option for it.
    fn set_defaults(&mut self) {
        let from_now = self.resource_version.is_empty() || self.resource_version == "0";
        if self.watch && from_now && self.send_initial_events.is_none() && self.resource_version_match.is_none() {
            self.send_initial_events = Some(true);
            self.resource_version_match = Some(ResourceVersionMatch::NotOlderThan);
        }
    }

    /// Everything wrong with the options.
    pub fn validate(&self) -> Vec<field::Error> {
        use ResourceVersionMatch::{Exact, NotOlderThan, Unknown};
        let path = Path::new("resourceVersionMatch");
        let given = self.resource_version_match.as_ref();
        let mut errors = Vec::new();
        let mut forbid = |words: &str| errors.push(field::Error::forbidden(&path, words));
        if self.watch {
            if self.send_initial_events.is_some() && given != Some(&NotOlderThan) {
                forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
            }
            let Some(given) = given else { return errors };
            if self.send_initial_events.is_none() {
                forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
            }
            if *given != NotOlderThan {
                errors.push(field::Error::not_supported(&path, given.as_str(), &["NotOlderThan"]));
            }
            if !self.continue_token.is_empty() {
                errors.push(field::Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
            }
            return errors;
        }
        if let Some(given) = given {
            if self.resource_version.is_empty() {
                forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if !self.continue_token.is_empty() {
                forbid("resourceVersionMatch is forbidden when continue is provided");
            }
            if let Unknown(other) = given {
                errors.push(field::Error::not_supported(&path, other.as_str(), &["Exact", "NotOlderThan", ""]));
            }
            if *given == Exact && self.resource_version == "0" {
                let words = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                errors.push(field::Error::forbidden(&path, words));
            }
        }
        if self.send_initial_events.is_some() {
            errors.push(field::Error::forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list"));
        }
        errors
    }

    /// For a list or watch of one object by its path or its field selector; refuses a selector that names another one.
    pub fn restrict_to_name(&mut self, name: &str) -> Result<(), Status> {
        if self.field_selector.is_everything() {
            self.field_selector = FieldSelector::equals("metadata.name", name);
        } else if self.field_selector.requires_exact_match("metadata.name") != Some(name) {
            return Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"));
        }
        Ok(())
    }
}

/// Options of a get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetOptions {
    /// As given: see [`parse_resource_version`].
    pub resource_version: String,
}

impl GetOptions {
    /// Reads; nothing in it can be wrong yet.
    pub fn from_query(query: &Query) -> Self {
        Self { resource_version: query.get("resourceVersion").unwrap_or_default().to_owned() }
    }
}

/// What becomes of fields that the schema does not know, or that stand there twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, with a warning: also what is meant where nothing is said.
    #[default]
    Warn,
    /// They refuse the request.
    Strict,
}

/// Options of a create, an update or a patch; [`WriteOptions::force`] is a patch's alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// `All`, or nothing.
    pub dry_run: Vec<String>,
    /// Who owns the fields; empty: the user agent says it.
    pub field_manager: String,
    /// As given; see [`WriteOptions::field_validation_directive`].
    pub field_validation: String,
    /// An apply takes fields over from others.
    pub force: Option<bool>,
}

/// Options of a create.
pub type CreateOptions = WriteOptions;
/// Options of an update.
pub type UpdateOptions = WriteOptions;
/// Options of a patch.
pub type PatchOptions = WriteOptions;

impl WriteOptions {
    /// Options of a create.
    pub fn create_from_query(query: &Query) -> Result<CreateOptions, Status> {
        let options = Self::decode(query);
        invalid("CreateOptions", &options.validate())?;
        Ok(options)
    }

    /// Options of an update.
    pub fn update_from_query(query: &Query) -> Result<UpdateOptions, Status> {
        let options = Self::decode(query);
        invalid("UpdateOptions", &options.validate())?;
        Ok(options)
    }

    /// Options of a patch; `apply`: of a server-side apply.
    pub fn patch_from_query(query: &Query, apply: bool) -> Result<PatchOptions, Status> {
        let options = Self { force: query.get("force").map(boolean), ..Self::decode(query) };
        let mut errors = Vec::new();
        if apply && options.field_manager.is_empty() {
            errors.push(field::Error::required(&Path::new("fieldManager"), "is required for apply patch"));
        }
        if !apply && options.force.is_some() {
            errors.push(field::Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
        }
        errors.extend(options.validate());
        invalid("PatchOptions", &errors)?;
        Ok(options)
    }

    fn decode(query: &Query) -> Self {
        Self {
            dry_run: query.all("dryRun").map(str::to_owned).collect(),
            field_manager: query.get("fieldManager").unwrap_or_default().to_owned(),
            field_validation: query.get("fieldValidation").unwrap_or_default().to_owned(),
            force: None,
        }
    }

    fn validate(&self) -> Vec<field::Error> {
        let mut errors = validate_field_manager(&self.field_manager, &Path::new("fieldManager"));
        errors.extend(validate_dry_run(&self.dry_run));
        if !matches!(self.field_validation.as_str(), "" | "Ignore" | "Strict" | "Warn") {
            let known = ["", "Ignore", "Strict", "Warn"];
            errors.push(field::Error::not_supported(&Path::new("fieldValidation"), self.field_validation.as_str(), &known));
        }
        errors
    }

    /// Nothing is stored.
    pub fn is_dry_run(&self) -> bool {
        !self.dry_run.is_empty()
    }

    /// What becomes of unknown fields.
    pub fn field_validation_directive(&self) -> FieldValidation {
        match self.field_validation.as_str() {
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            _ => FieldValidation::Warn,
        }
    }

    /// Who owns the fields: the manager that is named, or else the user agent up to its first slash.
    pub fn manager(&self, user_agent: &str) -> String {
        if !self.field_manager.is_empty() {
            return self.field_manager.clone();
        }
        let mut manager = String::new();
        for c in user_agent.split('/').next().unwrap_or_default().chars().filter(|c| is_print(*c)) {
            if manager.len() + c.len_utf8() > FIELD_MANAGER_BYTES_MAX {
                break;
            }
            manager.push(c);
        }
        manager
    }

    /// The object that admission is shown; `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    pub fn to_json(&self, kind: &str) -> Value {
        let mut object = options_object(kind);
        put(&mut object, "dryRun", &self.dry_run, Vec::is_empty);
        put(&mut object, "fieldManager", &self.field_manager, String::is_empty);
        put(&mut object, "fieldValidation", &self.field_validation, String::is_empty);
        put(&mut object, "force", &self.force, Option::is_none);
        Value::Object(object)
    }
}

fn options_object(kind: &str) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("kind".into(), kind.into());
    object.insert("apiVersion".into(), "meta.k8s.io/v1".into());
    object
}

fn put<T: Clone + Into<Value>>(object: &mut Map<String, Value>, name: &str, value: &T, is_empty: impl Fn(&T) -> bool) {
    if !is_empty(value) {
        object.insert(name.to_owned(), value.clone().into());
    }
}

/// A field manager's name: short, and printable.
pub fn validate_field_manager(manager: &str, path: &Path) -> Vec<field::Error> {
    let mut errors = Vec::new();
    if manager.len() > FIELD_MANAGER_BYTES_MAX {
        errors.push(field::Error::too_long(path, FIELD_MANAGER_BYTES_MAX));
    }
    for (i, c) in manager.char_indices().filter(|(_, c)| !is_print(*c)) {
        errors.push(field::Error::invalid(path, manager, &format!("invalid character U+{:04X} (at position {i})", c as u32)));
    }
    errors
}

fn validate_dry_run(dry_run: &[String]) -> Option<field::Error> {
    let unknown = dry_run.iter().any(|value| value != "All");
    unknown.then(|| field::Error::not_supported(&Path::new("dryRun"), dry_run.to_vec(), &["All"]))
}

/// What must hold of an object for it to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// It has this uid.
    pub uid: Option<String>,
    /// It is at this version.
    pub resource_version: Option<String>,
}

/// Options of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How long the object may stay, marked as deleted.
    pub grace_period_seconds: Option<i64>,
    /// What must hold.
    pub preconditions: Option<Preconditions>,
    /// The older form of `propagation_policy`.
    pub orphan_dependents: Option<bool>,
    /// `Orphan`, `Background` or `Foreground`.
    pub propagation_policy: Option<String>,
    /// `All`, or nothing.
    pub dry_run: Vec<String>,
}

impl DeleteOptions {
    /// From the query, where the request has no body.
    pub fn from_query(query: &Query) -> Result<Self, Status> {
        let text = |name| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let preconditions = Preconditions { uid: text("uid"), resource_version: text("resourceVersion") };
        let options = Self {
            grace_period_seconds: query.get("gracePeriodSeconds").map(parse_int).transpose().map_err(Status::bad_request)?,
            preconditions: (preconditions != Preconditions::default()).then_some(preconditions),
            orphan_dependents: query.get("orphanDependents").map(boolean),
            propagation_policy: query.get("propagationPolicy").map(str::to_owned),
            dry_run: query.all("dryRun").map(str::to_owned).collect(),
        };
        options.checked()
    }

    /// From a body that was decoded and type-checked as `DeleteOptions`.
    pub fn from_json(body: &Value) -> Result<Self, Status> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let preconditions = body.get("preconditions").filter(|value| value.is_object());
        let dry_run = body.get("dryRun").and_then(Value::as_array).into_iter().flatten();
        let options = Self {
            grace_period_seconds: body.get("gracePeriodSeconds").and_then(Value::as_i64),
            preconditions: preconditions.map(|p| Preconditions { uid: text(p, "uid"), resource_version: text(p, "resourceVersion") }),
            orphan_dependents: body.get("orphanDependents").and_then(Value::as_bool),
            propagation_policy: text(body, "propagationPolicy"),
            dry_run: dry_run.filter_map(Value::as_str).map(str::to_owned).collect(),
        };
        options.checked()
    }

    fn checked(self) -> Result<Self, Status> {
        invalid("DeleteOptions", &self.validate())?;
        Ok(self)
    }

    /// Everything wrong with the options.
    pub fn validate(&self) -> Vec<field::Error> {
        let path = Path::new("propagationPolicy");
        let mut errors = Vec::new();
        if let Some(policy) = &self.propagation_policy {
            if self.orphan_dependents.is_some() {
                errors.push(field::Error::invalid(&path, policy.as_str(), "orphanDependents and deletionPropagation cannot be both set"));
            }
            if !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan") {
                errors.push(field::Error::not_supported(&path, policy.as_str(), &["Foreground", "Background", "Orphan", "nil"]));
            }
        }
        errors.extend(validate_dry_run(&self.dry_run));
        errors
    }

    /// Nothing is stored.
    pub fn is_dry_run(&self) -> bool {
        !self.dry_run.is_empty()
    }

    /// The object that admission is shown.
    pub fn to_json(&self) -> Value {
        let mut object = options_object("DeleteOptions");
        put(&mut object, "gracePeriodSeconds", &self.grace_period_seconds, Option::is_none);
        if let Some(preconditions) = &self.preconditions {
            let mut shown = Map::new();
            put(&mut shown, "uid", &preconditions.uid, Option::is_none);
            put(&mut shown, "resourceVersion", &preconditions.resource_version, Option::is_none);
            object.insert("preconditions".into(), json!(shown));
        }
        put(&mut object, "orphanDependents", &self.orphan_dependents, Option::is_none);
        put(&mut object, "propagationPolicy", &self.propagation_policy, Option::is_none);
        put(&mut object, "dryRun", &self.dry_run, Vec::is_empty);
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<T>(result: Result<T, Status>) -> String {
        result.map_or_else(|status| format!("{} {}", status.code, status.message), |_| "ok".to_owned())
    }

    #[test]
    fn list_options() {
        let invalid = |words: &str| format!("422 ListOptions.meta.k8s.io \"\" is invalid: {words}");
        let unset = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided";
        let rows = [
            ("", "ok".to_owned()),
            ("limit=abc", "400 strconv.ParseInt: parsing \"abc\": invalid syntax".to_owned()),
            ("limit=", "400 strconv.ParseInt: parsing \"\": invalid syntax".to_owned()),
            ("limit=9223372036854775808", "400 strconv.ParseInt: parsing \"9223372036854775808\": value out of range".to_owned()),
            ("limit=-1&timeoutSeconds=%2B5", "ok".to_owned()),
            ("timeoutSeconds=x&limit=y", "400 strconv.ParseInt: parsing \"x\": invalid syntax".to_owned()),
            ("labelSelector=%3D&limit=y", "400 strconv.ParseInt: parsing \"y\": invalid syntax".to_owned()),
            ("resourceVersionMatch=Exact", invalid(unset)),
            (
                "resourceVersionMatch=Newer",
                invalid(&format!(
                    "[{unset}, resourceVersionMatch: Unsupported value: \"Newer\": supported values: \"Exact\", \"NotOlderThan\", \"\"]"
                )),
            ),
            (
                "resourceVersionMatch=Exact&resourceVersion=0",
                invalid("resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""),
            ),
            ("resourceVersionMatch=Exact&resourceVersion=5", "ok".to_owned()),
            ("sendInitialEvents=true", invalid("sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list")),
            (
                "watch=1&sendInitialEvents=false",
                invalid("resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
            ),
            ("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "ok".to_owned()),
            ("watch=1", "ok".to_owned()),
            (
                "watch=1&resourceVersion=5&resourceVersionMatch=NotOlderThan",
                invalid(
                    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ),
            ),
        ];
        for (query, want) in rows {
            assert_eq!(words(ListOptions::from_query(&Query::parse(query))), want, "{query}");
        }
    }

    #[test]
    fn a_watch_from_nowhere_starts_with_the_current_state() {
        for (query, want) in
            [("watch=1", Some(true)), ("watch=1&resourceVersion=0", Some(true)), ("watch=1&resourceVersion=7", None), ("", None)]
        {
            let options = ListOptions::from_query(&Query::parse(query)).expect(query);
            assert_eq!(options.send_initial_events, want, "{query}");
        }
    }

    #[test]
    fn write_options() {
        let long = format!("fieldManager={}", "m".repeat(129));
        let rows = [
            ("", "ok"),
            ("dryRun=All", "ok"),
            ("dryRun=All&dryRun=All", "ok"),
            ("dryRun=", "422 CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"\"]: supported values: \"All\""),
            (
                "dryRun=All&dryRun=x",
                "422 CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"All\",\"x\"]: supported values: \"All\"",
            ),
            (&long, "422 CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes"),
            (
                "fieldManager=a%0Ab",
                "422 CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)",
            ),
            (
                "fieldValidation=x",
                "422 CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"x\": supported values: \"\", \"Ignore\", \
                 \"Strict\", \"Warn\"",
            ),
        ];
        for (query, want) in rows {
            assert_eq!(words(WriteOptions::create_from_query(&Query::parse(query))), want, "{query}");
        }
        let apply = words(WriteOptions::patch_from_query(&Query::default(), true));
        assert_eq!(apply, "422 PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch");
        let forced = words(WriteOptions::patch_from_query(&Query::parse("force=true"), false));
        assert_eq!(forced, "422 PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch");
    }

    #[test]
    fn delete_options() {
        let policy = "propagationPolicy: Unsupported value: \"Foo\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
        let rows = [
            ("", "ok".to_owned()),
            ("gracePeriodSeconds=x", "400 strconv.ParseInt: parsing \"x\": invalid syntax".to_owned()),
            ("propagationPolicy=Foo", format!("422 DeleteOptions.meta.k8s.io \"\" is invalid: {policy}")),
            (
                "propagationPolicy=Orphan&orphanDependents=true",
                "422 DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and \
                 deletionPropagation cannot be both set"
                    .to_owned(),
            ),
        ];
        for (query, want) in rows {
            assert_eq!(words(DeleteOptions::from_query(&Query::parse(query))), want, "{query}");
        }
        let body = json!({"gracePeriodSeconds": 5, "preconditions": {"uid": "u"}, "orphanDependents": false, "dryRun": ["All"]});
        let options = DeleteOptions::from_json(&body).expect("valid");
        let shown = options.to_json();
        assert_eq!(shown.get("kind"), Some(&json!("DeleteOptions")));
        assert_eq!(DeleteOptions::from_json(&shown), Ok(options));
    }

    #[test]
    fn resource_versions() {
        let rows = [
            ("", "None"),
            ("0", "Some(0)"),
            ("18446744073709551615", "Some(18446744073709551615)"),
            ("-1", "resourceVersion: Invalid value: \"-1\": strconv.ParseUint: parsing \"-1\": invalid syntax"),
            ("+1", "resourceVersion: Invalid value: \"+1\": strconv.ParseUint: parsing \"+1\": invalid syntax"),
            (
                "18446744073709551616",
                "resourceVersion: Invalid value: \"18446744073709551616\": strconv.ParseUint: parsing \"18446744073709551616\": value out of range",
            ),
        ];
        for (text, want) in rows {
            assert_eq!(parse_resource_version(text).map_or_else(|error| error.to_string(), |version| format!("{version:?}")), want);
        }
    }

    #[test]
    fn the_user_agent_names_the_manager() {
        let options = WriteOptions::default();
        for (agent, want) in [("kubectl/v1.35 (linux)", "kubectl"), ("", ""), ("a\u{7}b", "ab")] {
            assert_eq!(options.manager(agent), want);
        }
        assert_eq!(options.manager(&"é".repeat(100)).len(), FIELD_MANAGER_BYTES_MAX);
    }
}
