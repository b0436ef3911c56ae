//! The parameters that operations take, in OpenAPI v3's form. What they mean is upstream's; the words are ours.

use serde_json::{Value, json};

/// Name, type, description.
type Row = (&'static str, &'static str, &'static str);

const LIST: [Row; 11] = [
    (
        "allowWatchBookmarks",
        "boolean",
        "Asks for BOOKMARK events in a watch. How often they come is the server's choice. Ignored without watch.",
    ),
    (
        "continue",
        "string",
        "The token of the previous page, to get the next one. The other parameters must be those of the first request. A token that has expired is answered with 410 and, where possible, a new token for an inconsistent continuation. Not for a watch.",
    ),
    ("fieldSelector", "string", "Restricts the answer to objects whose fields match. Everything by default."),
    ("labelSelector", "string", "Restricts the answer to objects whose labels match. Everything by default."),
    (
        "limit",
        "integer",
        "The most objects that a page should have. Where there are more, metadata.continue of the answer gets the next page. Without it, all are listed. Not for a watch.",
    ),
    (
        "resourceVersion",
        "string",
        "Which state may be answered from; see https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions. Unset by default.",
    ),
    (
        "resourceVersionMatch",
        "string",
        "How resourceVersion is meant: Exact or NotOlderThan; see https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions. Unset by default.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "Starts a watch with the objects that there are, as ADDED events, followed by a BOOKMARK with the annotation k8s.io/initial-events-end. Needs resourceVersionMatch=NotOlderThan.",
    ),
    ("shardSelector", "string", "Restricts the answer to one shard of the objects. Where the server does not shard, it is ignored."),
    ("timeoutSeconds", "integer", "How long the request may last, whatever happens."),
    ("watch", "boolean", "Streams changes as add, update and remove events instead of listing. Give a resourceVersion."),
];

const DELETE: [Row; 5] = [
    DRY_RUN,
    (
        "gracePeriodSeconds",
        "integer",
        "How many seconds the object is given before it goes. Not negative; zero is at once. Where it is left out, the kind's default.",
    ),
    (
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "Deletes an object that cannot be read from the store, without regard to finalizers and preconditions. Unsafe. False by default.",
    ),
    ("orphanDependents", "boolean", "Deprecated: use propagationPolicy. Whether dependents stay."),
    (
        "propagationPolicy",
        "string",
        "What becomes of dependents: Orphan, Background or Foreground. Where it is left out, the finalizers and the kind's default decide.",
    ),
];

const DRY_RUN: Row = ("dryRun", "string", "All: every stage is run, and nothing is stored. Any other value is an error.");

const WRITE: [Row; 3] = [
    DRY_RUN,
    (
        "fieldManager",
        "string",
        "Who makes the change: at most 128 printable characters. Where it is left out, the start of the User-Agent.",
    ),
    (
        "fieldValidation",
        "string",
        "What unknown and duplicate fields of the body are: Ignore, Warn (the default: a warning header for each) or Strict (an error).",
    ),
];

const PATCH: [Row; 4] = [
    DRY_RUN,
    ("fieldManager", "string", "Who makes the change: at most 128 printable characters. Required for application/apply-patch."),
    WRITE[2],
    ("force", "boolean", "Takes over fields that other managers own, in an apply. Only for application/apply-patch."),
];

const ATTACH: [Row; 5] = [
    ("container", "string", "The container, where the pod has more than one."),
    ("stderr", "boolean", "Whether the container's standard error is streamed."),
    ("stdin", "boolean", "Whether the container's standard input is streamed. False by default."),
    ("stdout", "boolean", "Whether the container's standard output is streamed."),
    ("tty", "boolean", "Whether a terminal is allocated. False by default."),
];

const LOG: [Row; 9] = [
    ATTACH[0],
    ("follow", "boolean", "Streams what is written later, too. False by default."),
    ("insecureSkipTLSVerifyBackend", "boolean", "Does not check the kubelet's certificate: what is read may come from someone else."),
    ("limitBytes", "integer", "About how many bytes to read at most; the last line may be cut."),
    ("previous", "boolean", "The log of the container's previous run. False by default."),
    ("sinceSeconds", "integer", "From how many seconds ago. Not together with sinceTime."),
    ("stream", "string", "All (the default), Stdout or Stderr."),
    ("tailLines", "integer", "How many lines from the end. Everything by default."),
    ("timestamps", "boolean", "Whether a line begins with its time. False by default."),
];

/// Of list, watch and deletecollection.
pub fn list() -> Vec<Value> {
    LIST.iter().map(query).collect()
}

/// Of a delete.
pub fn delete() -> Vec<Value> {
    DELETE.iter().map(query).collect()
}

/// Of a deletecollection: those of a delete, and of a list but for the ones that only a watch has.
pub fn delete_collection() -> Vec<Value> {
    let of_watch = ["allowWatchBookmarks", "watch"];
    let mut all: Vec<&Row> = LIST.iter().filter(|row| !of_watch.contains(&row.0)).chain(&DELETE).collect();
    all.sort_by_key(|row| row.0);
    all.into_iter().map(query).collect()
}

/// Of create and replace.
pub fn write() -> Vec<Value> {
    WRITE.iter().map(query).collect()
}

/// Of a patch.
pub fn patch() -> Vec<Value> {
    PATCH.iter().map(query).collect()
}

/// Of a connection to a subresource.
pub fn connect(subresource: &str, kind: &str) -> Vec<Value> {
    let rows: Vec<Row> = match subresource {
        "attach" => ATTACH.to_vec(),
        "exec" => {
            let mut rows = vec![("command", "string", "The command and its arguments, once for each; no shell reads them.")];
            rows.extend(ATTACH);
            rows
        }
        "log" => LOG.to_vec(),
        "portforward" => vec![("ports", "integer", "The ports to forward. Needed over WebSockets.")],
        _ => match kind {
            "Node" => vec![("path", "string", "The path of the request to the node.")],
            "Pod" => vec![("path", "string", "The path of the request to the pod.")],
            _ => vec![("path", "string", "The path of the request to the service, with its port: name:port/path.")],
        },
    };
    rows.iter().map(query).collect()
}

/// `name`, of an item.
pub fn name(kind: &str) -> Value {
    path("name", &format!("name of the {kind}"))
}

/// `namespace`, of what is namespaced.
pub fn namespace() -> Value {
    path("namespace", "object name and auth scope, such as for teams and projects")
}

/// `path`, of a proxied request.
pub fn proxied_path() -> Value {
    path("path", "path to the resource")
}

/// Of everything but connections.
pub fn pretty() -> Value {
    query(&("pretty", "string", "Whether the answer is indented, for people. By default only for browsers, curl and wget."))
}

fn query((name, kind, description): &Row) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": { "type": kind, "uniqueItems": true } })
}

fn path(name: &str, description: &str) -> Value {
    json!({ "name": name, "in": "path", "description": description, "required": true, "schema": { "type": "string", "uniqueItems": true } })
}
