//! Which objects a watcher asks for, as a query and as the test's own judgement.

use serde_json::Value;
use wasmgate_testing::seeds::Random;

/// Objects of one resource, in namespaces `a` and `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ConfigMap,
    Pod,
}

impl Kind {
    pub fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Pod => "pods",
        }
    }

    /// What its keys begin with.
    pub fn prefix(self) -> String {
        format!("/registry/{}/", self.plural())
    }
}

/// What of them.
#[derive(Clone, Debug)]
pub struct Selector {
    pub kind: Kind,
    /// None: all.
    pub namespace: Option<&'static str>,
    /// `labelSelector` and `fieldSelector`, encoded.
    query: &'static str,
    judges: fn(&Value) -> bool,
}

fn label(object: &Value) -> Option<&str> {
    object["metadata"]["labels"]["x"].as_str()
}

fn phase(object: &Value) -> &str {
    object["status"]["phase"].as_str().unwrap_or_default()
}

fn node(object: &Value) -> &str {
    object["spec"]["nodeName"].as_str().unwrap_or_default()
}

type Row = (&'static str, fn(&Value) -> bool);

const OF_ALL: &[Row] = &[
    ("", |_| true),
    ("&labelSelector=x%3D1", |object| label(object) == Some("1")),
    ("&labelSelector=x!%3D1", |object| label(object) != Some("1")),
    ("&labelSelector=x", |object| label(object).is_some()),
    ("&labelSelector=!x", |object| label(object).is_none()),
    ("&labelSelector=x%20in%20(1,2)", |object| matches!(label(object), Some("1" | "2"))),
    ("&fieldSelector=metadata.name%3Dn1", |object| object["metadata"]["name"] == "n1"),
    ("&fieldSelector=metadata.name!%3Dn1&labelSelector=x", |object| object["metadata"]["name"] != "n1" && label(object).is_some()),
];

const OF_PODS: &[Row] = &[
    ("&fieldSelector=spec.nodeName%3Dnode1", |object| node(object) == "node1"),
    ("&fieldSelector=spec.nodeName%3D", |object| node(object).is_empty()),
    ("&fieldSelector=status.phase%3DRunning", |object| phase(object) == "Running"),
    ("&fieldSelector=spec.nodeName%3Dnode1,status.phase!%3DRunning", |object| node(object) == "node1" && phase(object) != "Running"),
];

impl Selector {
    pub fn any(random: &mut Random) -> Self {
        let kind = *random.pick(&[Kind::ConfigMap, Kind::Pod]);
        let rows: Vec<Row> = match kind {
            Kind::ConfigMap => OF_ALL.to_vec(),
            Kind::Pod => [OF_ALL, OF_PODS].concat(),
        };
        let (query, judges) = *random.pick(&rows);
        Self { kind, namespace: *random.pick(&[None, Some("a"), Some("b")]), query, judges }
    }

    /// Path and query, to which more may be added.
    pub fn target(&self) -> String {
        let namespace = self.namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("/api/v1{namespace}/{}?limit=0{}", self.kind.plural(), self.query)
    }

    pub fn selects(&self, object: &Value) -> bool {
        self.namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace) && (self.judges)(object)
    }
}
