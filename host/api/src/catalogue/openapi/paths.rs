//! The paths of a group version and their operations, in OpenAPI v3's form: a function of the table's rows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::parameters;
use super::rows::{Gvk, Row, Subresource};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const STANDARD: [&str; 3] = ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];
const WITHOUT_MESSAGES: [&str; 2] = [STANDARD[0], STANDARD[2]];
const STREAMED: [&str; 2] = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];
/// What a connection takes: methods with a name for the operation's id.
const PROXIED: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// Paths by template.
pub type Paths = BTreeMap<String, Value>;

/// Where the definition of a kind is looked up.
pub type DefinitionOf<'a> = dyn Fn(&Gvk) -> String + 'a;

/// All paths below `/api/v1/` or `/apis/<group>/<version>/`.
pub fn of_group_version(group: &str, version: &str, rows: &[Row], definition_of: &DefinitionOf<'_>) -> Paths {
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let tag = format!("{}_{version}", tag(group));
    let mut paths = Paths::new();
    paths.insert(
        format!("{root}/"),
        information(&tag, "get available resources", &format!("get{}APIResources", camel(&tag)), "APIResourceList"),
    );
    for resource in rows {
        let writer = Writer { resource, tag: &tag, group: camel(&tag), definition_of };
        writer.add(&root, &mut paths);
    }
    paths
}

/// `/api/`, `/apis/` or `/apis/<group>/`.
pub fn information(tag: &str, description: &str, id: &str, kind: &str) -> Value {
    let responses = responses(&[("200", "OK")], &STANDARD, &reference(&format!("{META}{kind}")));
    json!({ "get": { "tags": [tag], "description": description, "operationId": id, "responses": responses } })
}

/// A path that answers with something else than an object of the API.
#[allow(dead_code, reason = "only the documents that the build renders have such paths")]
pub fn plain(tag: &str, description: &str, id: &str, media_type: &str, schema: &Value) -> Value {
    let responses = responses(&[("200", "OK")], &[media_type], schema);
    json!({ "get": { "tags": [tag], "description": description, "operationId": id, "responses": responses } })
}

/// A group in a tag: `rbac.authorization.k8s.io` is `rbacAuthorization`, the core group `core`.
pub fn tag(group: &str) -> String {
    let short = group.trim_end_matches(".k8s.io");
    let mut parts = short.split('.');
    let first = parts.next().filter(|first| !first.is_empty()).unwrap_or("core").to_owned();
    parts.fold(first, |tag, part| tag + &capital(part))
}

/// A tag in an operation's id: `rbacAuthorization_v1` is `RbacAuthorizationV1`.
pub fn camel(tag: &str) -> String {
    tag.split('_').map(capital).collect()
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A kind with its article, and none before a plural.
fn with_article(kind: &str) -> String {
    match kind {
        kind if kind.ends_with('s') && !kind.ends_with("ss") => kind.to_owned(),
        kind if kind.starts_with(['A', 'E', 'I', 'O', 'U']) => format!("an {kind}"),
        kind => format!("a {kind}"),
    }
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{definition}") })
}

/// A schema under each of several media types.
fn content(media_types: &[&str], schema: &Value) -> Value {
    media_types.iter().map(|media_type| ((*media_type).to_owned(), json!({ "schema": schema }))).collect::<Map<_, _>>().into()
}

fn responses(codes: &[(&str, &str)], media_types: &[&str], schema: &Value) -> Value {
    let mut all = Map::new();
    for (code, description) in codes {
        all.insert((*code).to_owned(), json!({ "description": description, "content": content(media_types, schema) }));
    }
    all.insert("401".to_owned(), json!({ "description": "Unauthorized" }));
    Value::Object(all)
}

/// What an operation is, before it is put on a path.
struct Operation {
    method: &'static str,
    action: &'static str,
    id: String,
    description: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: Value,
    gvk: Gvk,
}

const OK: (&str, &str) = ("200", "OK");
const CREATED: (&str, &str) = ("201", "Created");
const ACCEPTED: (&str, &str) = ("202", "Accepted");

struct Writer<'a> {
    resource: &'a Row,
    tag: &'a str,
    group: String,
    definition_of: &'a DefinitionOf<'a>,
}

impl Writer<'_> {
    fn add(&self, root: &str, paths: &mut Paths) {
        let Row { plural, namespaced, .. } = self.resource;
        let all = format!("{root}/{plural}");
        let collection = if *namespaced { format!("{root}/namespaces/{{namespace}}/{plural}") } else { all.clone() };
        let item = format!("{collection}/{{name}}");
        self.put(paths, &collection, self.on_collection());
        self.put(paths, &item, self.on_item());
        if *namespaced && self.has("list") {
            self.put(paths, &all, vec![self.list("ForAllNamespaces", "")]);
        }
        for subresource in &self.resource.subresources {
            let path = format!("{item}/{}", subresource.name);
            self.put(paths, &path, self.on_subresource(subresource, ""));
            if subresource.name == "proxy" {
                self.put(paths, &format!("{path}/{{path}}"), self.on_subresource(subresource, "WithPath"));
            }
        }
        if self.has("watch") {
            let watched = |path: &str| path.replacen(root, &format!("{root}/watch"), 1);
            self.put(paths, &watched(&collection), vec![self.watch_list(self.scoped(), "")]);
            self.put(paths, &watched(&item), vec![self.watch_item()]);
            if *namespaced {
                self.put(paths, &watched(&all), vec![self.watch_list("", "ForAllNamespaces")]);
            }
        }
    }

    /// What objects are written as.
    fn standard(&self) -> &'static [&'static str] {
        if self.resource.has_messages { &STANDARD } else { &WITHOUT_MESSAGES }
    }

    /// What lists and streams of objects are written as.
    fn streamed(&self) -> Vec<&'static str> {
        let streamed = if self.resource.has_messages { &STREAMED[..] } else { &STREAMED[..1] };
        self.standard().iter().chain(streamed).copied().collect()
    }

    /// A strategic merge is for kinds whose fields say how they are merged.
    fn patches(&self) -> &'static [&'static str] {
        if self.resource.has_messages { &PATCHES } else { &PATCHES[..3] }
    }

    /// `Namespaced`, as ids of operations on one namespace have it.
    fn scoped(&self) -> &'static str {
        if self.resource.namespaced { "Namespaced" } else { "" }
    }

    fn has(&self, verb: &str) -> bool {
        self.resource.verbs.iter().any(|known| known == verb)
    }

    fn kind(&self) -> &str {
        &self.resource.gvk.kind
    }

    fn definition(&self, gvk: &Gvk) -> Value {
        reference(&(self.definition_of)(gvk))
    }

    /// A path with what all of its operations take, in a place of its own.
    fn put(&self, paths: &mut Paths, path: &str, mut operations: Vec<Operation>) {
        let Some(first) = operations.first() else { return };
        let named = first.gvk.kind.clone();
        let connects = operations.iter().any(|operation| operation.action == "connect");
        let mut shared: Vec<Value> = first.parameters.clone();
        shared.retain(|parameter| operations.iter().all(|operation| operation.parameters.contains(parameter)));
        for operation in &mut operations {
            operation.parameters.retain(|parameter| !shared.contains(parameter));
        }
        if path.contains("{name}") {
            shared.push(parameters::name(&named));
        }
        if path.contains("{namespace}") {
            shared.push(parameters::namespace());
        }
        if path.contains("{path}") {
            shared.push(parameters::proxied_path());
        }
        if !connects {
            shared.push(parameters::pretty());
        }
        shared.sort_by(|a, b| (a["name"].as_str(), a["in"].as_str()).cmp(&(b["name"].as_str(), b["in"].as_str())));
        let mut item = Map::new();
        item.insert("parameters".to_owned(), Value::Array(shared));
        for operation in operations {
            item.insert(operation.method.to_owned(), self.render(operation));
        }
        paths.insert(path.to_owned(), Value::Object(item));
    }

    fn render(&self, operation: Operation) -> Value {
        let Gvk { group, version, kind } = &operation.gvk;
        let mut rendered = json!({
            "tags": [self.tag],
            "description": operation.description,
            "operationId": operation.id,
            "responses": operation.responses,
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": { "group": group, "version": version, "kind": kind },
        });
        if !operation.parameters.is_empty() {
            rendered["parameters"] = Value::Array(operation.parameters);
        }
        if let Some(body) = operation.body {
            rendered["requestBody"] = body;
        }
        rendered
    }

    fn on_collection(&self) -> Vec<Operation> {
        let (group, kind) = (&self.group, self.kind());
        let mut all = Vec::new();
        if self.has("list") {
            all.push(self.list("", self.scoped()));
        }
        if self.has("create") {
            all.push(self.create(
                format!("create{group}{}{kind}", self.scoped()),
                format!("create {}", with_article(kind)),
                &self.resource.gvk,
            ));
        }
        if self.has("deletecollection") {
            all.push(Operation {
                method: "delete",
                action: "deletecollection",
                id: format!("delete{group}Collection{}{kind}", self.scoped()),
                description: format!("delete collection of {kind}"),
                parameters: parameters::delete_collection(),
                body: Some(delete_options()),
                responses: responses(&[OK], self.standard(), &reference(&format!("{META}Status"))),
                gvk: self.resource.gvk.clone(),
            });
        }
        all
    }

    fn on_item(&self) -> Vec<Operation> {
        let (group, kind, scoped, gvk) = (&self.group, self.kind(), self.scoped(), &self.resource.gvk);
        let mut all = Vec::new();
        if self.has("get") {
            all.push(self.read(format!("read{group}{scoped}{kind}"), format!("read the specified {kind}"), gvk));
        }
        if self.has("update") {
            all.push(self.replace(format!("replace{group}{scoped}{kind}"), format!("replace the specified {kind}"), gvk));
        }
        if self.has("delete") {
            let answer = if self.resource.answers_deletion { self.definition(gvk) } else { reference(&format!("{META}Status")) };
            all.push(Operation {
                method: "delete",
                action: "delete",
                id: format!("delete{group}{scoped}{kind}"),
                description: format!("delete {}", with_article(kind)),
                parameters: parameters::delete(),
                body: Some(delete_options()),
                responses: responses(&[OK, ACCEPTED], self.standard(), &answer),
                gvk: gvk.clone(),
            });
        }
        if self.has("patch") {
            all.push(self.patch(format!("patch{group}{scoped}{kind}"), format!("partially update the specified {kind}"), gvk));
        }
        all
    }

    fn on_subresource(&self, subresource: &Subresource, suffix: &str) -> Vec<Operation> {
        let Subresource { name, gvk, verbs } = subresource;
        let (group, kind, scoped) = (&self.group, self.kind(), self.scoped());
        let id = |verb: &str| format!("{verb}{group}{scoped}{kind}{}{suffix}", capital(name));
        if gvk.kind.ends_with("Options") {
            let methods: &[&str] = if name == "proxy" { &PROXIED } else { &["get", "post"] };
            return methods.iter().map(|method| self.connect(method, subresource, suffix)).collect();
        }
        if name == "log" {
            let mut read = self.read(id("read"), format!("read log of the specified {kind}"), gvk);
            read.parameters = parameters::connect(name, kind);
            read.responses = responses(&[OK], &[STANDARD[0], STANDARD[1], STANDARD[2], "text/plain"], &json!({ "type": "string" }));
            return vec![read];
        }
        let mut all = Vec::new();
        for verb in verbs {
            all.push(match verb.as_str() {
                "create" => self.create(id("create"), format!("create {name} of {}", with_article(kind)), gvk),
                "get" => self.read(id("read"), format!("read {name} of the specified {kind}"), gvk),
                "patch" => self.patch(id("patch"), format!("partially update {name} of the specified {kind}"), gvk),
                "update" => self.replace(id("replace"), format!("replace {name} of the specified {kind}"), gvk),
                other => panic!("a subresource with the verb {other}"),
            });
        }
        all
    }

    fn connect(&self, method: &&'static str, subresource: &Subresource, suffix: &str) -> Operation {
        let Subresource { name, gvk, .. } = subresource;
        Operation {
            method,
            action: "connect",
            id: format!("connect{}{}{}{}{}{suffix}", self.group, capital(method), self.scoped(), self.kind(), capital(name)),
            description: format!("connect {} requests to {name} of {}", method.to_uppercase(), self.kind()),
            parameters: parameters::connect(name, self.kind()),
            body: None,
            responses: responses(&[OK], &["*/*"], &json!({ "type": "string" })),
            gvk: gvk.clone(),
        }
    }

    fn list(&self, suffix: &str, scoped: &str) -> Operation {
        let mut list = self.resource.gvk.clone();
        list.kind.push_str("List");
        let media_types: Vec<&str> = self.streamed();
        let watched = if self.has("watch") { "list or watch" } else { "list" };
        Operation {
            method: "get",
            action: "list",
            id: format!("list{}{scoped}{}{suffix}", self.group, self.kind()),
            description: format!("{watched} objects of kind {}", self.kind()),
            parameters: parameters::list(),
            body: None,
            responses: responses(&[OK], &media_types, &self.definition(&list)),
            gvk: self.resource.gvk.clone(),
        }
    }

    fn watch_list(&self, scoped: &str, suffix: &str) -> Operation {
        let description = format!(
            "watch individual changes to a list of {}. deprecated: use the 'watch' parameter with a list operation instead.",
            self.kind()
        );
        self.watch("watchlist", format!("watch{}{scoped}{}List{suffix}", self.group, self.kind()), description)
    }

    fn watch_item(&self) -> Operation {
        let description = format!(
            "watch changes to an object of kind {}. deprecated: use the 'watch' parameter with a list operation instead, \
             filtered to a single item with the 'fieldSelector' parameter.",
            self.kind()
        );
        self.watch("watch", format!("watch{}{}{}", self.group, self.scoped(), self.kind()), description)
    }

    fn watch(&self, action: &'static str, id: String, description: String) -> Operation {
        let media_types: Vec<&str> = self.streamed();
        Operation {
            method: "get",
            action,
            id,
            description,
            parameters: parameters::list(),
            body: None,
            responses: responses(&[OK], &media_types, &reference(&format!("{META}WatchEvent"))),
            gvk: self.resource.gvk.clone(),
        }
    }

    fn read(&self, id: String, description: String, gvk: &Gvk) -> Operation {
        let responses = responses(&[OK], self.standard(), &self.definition(gvk));
        Operation { method: "get", action: "get", id, description, parameters: Vec::new(), body: None, responses, gvk: gvk.clone() }
    }

    fn create(&self, id: String, description: String, gvk: &Gvk) -> Operation {
        let definition = self.definition(gvk);
        let responses = responses(&[OK, CREATED, ACCEPTED], self.standard(), &definition);
        let body = Some(json!({ "content": content(&["*/*"], &definition), "required": true }));
        Operation { method: "post", action: "post", id, description, parameters: parameters::write(), body, responses, gvk: gvk.clone() }
    }

    fn replace(&self, id: String, description: String, gvk: &Gvk) -> Operation {
        let definition = self.definition(gvk);
        let responses = responses(&[OK, CREATED], self.standard(), &definition);
        let body = Some(json!({ "content": content(&["*/*"], &definition), "required": true }));
        Operation { method: "put", action: "put", id, description, parameters: parameters::write(), body, responses, gvk: gvk.clone() }
    }

    fn patch(&self, id: String, description: String, gvk: &Gvk) -> Operation {
        let responses = responses(&[OK, CREATED], self.standard(), &self.definition(gvk));
        let body = Some(json!({ "content": content(self.patches(), &reference(&format!("{META}Patch"))), "required": true }));
        Operation { method: "patch", action: "patch", id, description, parameters: parameters::patch(), body, responses, gvk: gvk.clone() }
    }
}

fn delete_options() -> Value {
    json!({ "content": content(&["*/*"], &reference(&format!("{META}DeleteOptions"))) })
}
