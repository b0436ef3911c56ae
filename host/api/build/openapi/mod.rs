//! OpenAPI documents, rendered and compressed while building, since they never change while a server runs: the memory that
//! they need is that of the compressed bytes in the binary.

mod components;
mod gnostic;
#[path = "../../src/catalogue/openapi/parameters.rs"]
mod parameters;
#[path = "../../src/catalogue/openapi/paths.rs"]
mod paths;
#[path = "../../src/catalogue/openapi/rows.rs"]
pub mod rows;
mod v2;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use crate::definitions::Definitions;
use crate::resources::{GroupVersion, Gvk, Resource};
use crate::schemas;
use paths::Paths;

/// A document to be: its path, the group version whose kinds it is about, and its paths.
type Draft<'a> = (String, Option<(&'a str, &'a str)>, Paths);

/// Writes all documents, and the Rust that embeds them: `V2`, and `V3` sorted by path.
pub fn write(out: &Path, groups: &[GroupVersion], definitions: &Definitions) {
    let info = json!({ "title": "Kubernetes", "version": "1.36" });
    let security = json!({ "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header" });
    let components = components::convert(definitions);
    let definition_of = |gvk: &Gvk| {
        let found = definitions.iter().find(|(_, definition)| schemas::kinds(&definition.schema).contains(gvk));
        found.map(|(name, _)| name.clone()).unwrap_or_else(|| panic!("no definition of {}/{} {}", gvk.group, gvk.version, gvk.kind))
    };

    let mut documents: Vec<Draft<'_>> = information(groups);
    for of in groups {
        let path = if of.group.is_empty() { format!("api/{}", of.version) } else { format!("apis/{}/{}", of.group, of.version) };
        documents.push((path, Some((&of.group, &of.version)), {
            let rows: Vec<rows::Row> = of.resources.iter().map(Resource::row).collect();
            paths::of_group_version(&of.group, &of.version, &rows, &definition_of)
        }));
    }
    documents.sort_by(|a, b| a.0.cmp(&b.0));

    let mut all = Paths::new();
    let mut rust = format!("pub(super) static V3: [(&str, Document); {}] = [\n", documents.len());
    for (i, (path, own, paths)) in documents.into_iter().enumerate() {
        all.extend(paths.clone());
        let paths = json!(paths);
        let schemas = components::reachable(&paths, &components, own);
        let mut document = json!({
            "openapi": "3.0.0",
            "info": info,
            "paths": paths,
            "components": { "securitySchemes": { "BearerToken": security } },
        });
        if !schemas.is_empty() {
            document["components"]["schemas"] = Value::Object(schemas);
        }
        let text = document.to_string();
        let embedded = embed(out, &format!("openapi-v3-{i}.json.gz"), text.as_bytes(), &hash(&text));
        let _ = writeln!(rust, "    ({path:?}, {embedded}),");
    }
    rust.push_str("];\n");
    let document = v2::document(&all, definitions, &info, &security);
    let protobuf = gnostic::encode(&document).unwrap_or_else(|error| panic!("OpenAPI v2 as protobuf: {error}"));
    let text = document.to_string();
    let hash = hash(&text);
    let _ = writeln!(rust, "pub(super) static V2: Document = {};", embed(out, "openapi-v2.json.gz", text.as_bytes(), &hash));
    let _ = writeln!(rust, "pub(super) static V2_PROTOBUF: Document = {};", embed(out, "openapi-v2.pb.gz", &protobuf, &hash));
    crate::write(out, "openapi.rs", &rust);
}

/// The documents of discovery, and of the few paths outside of the API.
fn information(groups: &[GroupVersion]) -> Vec<Draft<'static>> {
    let one = |path: &str, item: Value| (path.to_owned(), None, Paths::from([(format!("/{path}/"), item)]));
    let text = json!({ "type": "string" });
    let mut all = vec![
        one("api", paths::information("core", "get available API versions", "getCoreAPIVersions", "APIVersions")),
        one("apis", paths::information("apis", "get available API versions", "getAPIVersions", "APIGroupList")),
        one(
            "version",
            paths::plain(
                "version",
                "get the version information for this server",
                "getCodeVersion",
                "application/json",
                &json!({ "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.version.Info" }),
            ),
        ),
        one(
            "openid/v1/jwks",
            paths::plain(
                "openid",
                "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
                "getServiceAccountIssuerOpenIDKeyset",
                "application/jwk-set+json",
                &text,
            ),
        ),
        one(
            ".well-known/openid-configuration",
            paths::plain(
                "WellKnown",
                "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
                "getServiceAccountIssuerOpenIDConfiguration",
                "application/json",
                &text,
            ),
        ),
    ];
    let mut seen: Vec<&str> = Vec::new();
    for of in groups.iter().filter(|of| !of.group.is_empty()) {
        if !seen.contains(&of.group.as_str()) {
            seen.push(&of.group);
            let tag = paths::tag(&of.group);
            let id = format!("get{}APIGroup", paths::camel(&tag));
            all.push(one(&format!("apis/{}", of.group), paths::information(&tag, "get information of a group", &id, "APIGroup")));
        }
    }
    all
}

/// SHA-512 in upper-case hexadecimal.
fn hash(text: &str) -> String {
    Sha512::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Compresses a document into a file, and gives the Rust expression that embeds it.
fn embed(out: &Path, name: &str, document: &[u8], hash: &str) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(document).and_then(|()| encoder.try_finish()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let bytes = encoder.finish().unwrap_or_else(|error| panic!("{name}: {error}"));
    std::fs::write(out.join(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let path = format!("concat!(env!(\"OUT_DIR\"), \"/{name}\")");
    format!(
        "Document {{ gzip: Bytes::from_static(include_bytes!({path})), hash: Cow::Borrowed({hash:?}), size_bytes: {} }}",
        document.len()
    )
}
