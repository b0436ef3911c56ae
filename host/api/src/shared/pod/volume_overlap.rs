//! Files of one volume that get in each other's way: the same path twice, or one below the other (upstream: `pkg/api/pod/warnings.go`).

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use apimachinery::field::go_quote;

use crate::shared::field_value::FieldValue;
use crate::shared::warnings::Warnings;

/// Longer paths are nobody's: the kernel has none that are longer.
const PATH_BYTES_MAX: usize = 4096;

/// A file, and what it is made from where that is not the same for all of the volume.
#[derive(Clone, PartialEq, Eq, Hash)]
struct File {
    path: String,
    source: String,
}

impl File {
    fn new(path: &str, source: &str) -> Self {
        Self { path: path.trim_end_matches('/').to_owned(), source: source.to_owned() }
    }

    fn shown(&self) -> String {
        let path = go_quote(&self.path);
        if self.source.is_empty() { path } else { format!("{path} ({})", self.source) }
    }
}

/// The files so far. Equal ones are kept once: what would be said of the second was said of the first.
#[derive(Default)]
struct Files {
    /// By path with a slash behind it, so that what lies below a path follows it. With each its place in the order.
    by_path: BTreeMap<String, Vec<(usize, File)>>,
    known: HashSet<File>,
}

impl Files {
    fn add(&mut self, file: File) {
        let place = self.known.len();
        if self.known.insert(file.clone()) {
            self.by_path.entry(format!("{}/", file.path)).or_default().push((place, file));
        }
    }

    /// Those that the file would hide or be hidden by, in order.
    fn overlapping(&self, file: &File) -> Vec<&File> {
        if file.path.is_empty() {
            return Vec::new();
        }
        let key = format!("{}/", file.path);
        let below = self.by_path.range::<str, _>((Bound::Included(key.as_str()), Bound::Unbounded));
        let below = below.take_while(|(path, _)| path.starts_with(&key)).flat_map(|(_, files)| files);
        let slashes = key[..key.len() - 1].match_indices('/').map(|(at, _)| &key[..=at]);
        let above = slashes.filter_map(|path| self.by_path.get(path)).flatten();
        let mut found: Vec<&(usize, File)> = below.chain(above).filter(|(_, other)| !other.path.is_empty()).collect();
        found.sort_unstable_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, file)| file).collect()
    }
}

/// Looks at every volume of a pod's spec.
pub(crate) fn warn(spec: &FieldValue<'_>, warnings: &mut Warnings) {
    for volume in spec.items("volumes") {
        let name = volume.text_of("name");
        if let Some(map) = volume.some("configMap") {
            of_items(&map, name, &format!("ConfigMap {}", go_quote(map.text_of("name"))), warnings);
        }
        if let Some(secret) = volume.some("secret") {
            of_items(&secret, name, &format!("Secret {}", go_quote(secret.text_of("secretName"))), warnings);
        }
        if let Some(downward) = volume.some("downwardAPI") {
            of_items(&downward, name, "DownwardAPI", warnings);
        }
        if let Some(projected) = volume.some("projected") {
            of_projection(&projected, name, warnings);
        }
    }
}

fn of_items(source: &FieldValue<'_>, volume: &str, description: &str, warnings: &mut Warnings) {
    let mut files = Files::default();
    source.items("items").for_each(|item| place(&mut files, File::new(item.text_of("path"), ""), volume, description, warnings));
}

fn place(files: &mut Files, file: File, volume: &str, description: &str, warnings: &mut Warnings) {
    if warnings.is_full() || file.path.len() > PATH_BYTES_MAX {
        return;
    }
    for other in files.overlapping(&file) {
        let (volume, file, other) = (go_quote(volume), file.shown(), other.shown());
        warnings.push(format!("volume {volume} ({description}): overlapping paths: {file} with {other}"));
        if warnings.is_full() {
            return;
        }
    }
    files.add(file);
}

fn of_projection(projected: &FieldValue<'_>, volume: &str, warnings: &mut Warnings) {
    let mut files = Files::default();
    for source in projected.items("sources") {
        if source.value.as_object().is_none_or(|source| source.values().all(serde_json::Value::is_null)) {
            warnings.push(format!("volume {} (Projected) has no sources provided", go_quote(volume)));
            continue;
        }
        projected_files(&source).into_iter().for_each(|file| place(&mut files, file, volume, "Projected", warnings));
    }
}

/// The files of one source of a projection.
fn projected_files(source: &FieldValue<'_>) -> Vec<File> {
    let items =
        |at: FieldValue<'_>, description: &str| at.items("items").map(|item| File::new(item.text_of("path"), description)).collect();
    let with_items = |name: &str| source.some(name).filter(|at| !at.is_empty("items"));
    if let Some(map) = with_items("configMap") {
        let description = format!("ConfigMap {}", go_quote(map.text_of("name")));
        items(map, &description)
    } else if let Some(secret) = with_items("secret") {
        let description = format!("Secret {}", go_quote(secret.text_of("name")));
        items(secret, &description)
    } else if let Some(downward) = with_items("downwardAPI") {
        items(downward, "DownwardAPI")
    } else if let Some(token) = source.some("serviceAccountToken") {
        vec![File::new(token.text_of("path"), "ServiceAccountToken")]
    } else if let Some(bundle) = source.some("clusterTrustBundle") {
        let name = bundle.some("name").unwrap_or_else(|| bundle.child("signerName"));
        vec![File::new(bundle.text_of("path"), &format!("ClusterTrustBundle {}", go_quote(name.text())))]
    } else if let Some(certificate) = source.some("podCertificate") {
        let parts = [
            ("certificateChainPath", "PodCertificate chain"),
            ("keyPath", "PodCertificate key"),
            ("credentialBundlePath", "PodCertificate credential bundle"),
        ];
        let set = parts.iter().filter(|(field, _)| !certificate.is_empty(field));
        set.map(|(field, description)| File::new(certificate.text_of(field), description)).collect()
    } else {
        Vec::new()
    }
}
