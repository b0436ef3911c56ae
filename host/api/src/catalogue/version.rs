//! Versions: the server's own, and how versions of an API are ordered.

use std::cmp::Ordering;

use serde_json::{Value, json};

/// The release whose API is served.
pub const KUBERNETES_VERSION: &str = "v1.36.2";

/// What a client reads as the server's version: upstream's release, marked as ours. Clients ignore what follows the plus.
pub const GIT_VERSION: &str = "v1.36.2+wasmgate";

/// `/version`. Commit and date are of this build, from the environment of the build, else empty.
pub fn version_info() -> Value {
    let (os, arch) = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", arch) => ("darwin", arch),
        other => other,
    };
    let arch = match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION,
        "gitCommit": option_env!("WASMGATE_GIT_COMMIT").unwrap_or_default(),
        "gitTreeState": option_env!("WASMGATE_GIT_TREE_STATE").unwrap_or_default(),
        "buildDate": option_env!("WASMGATE_BUILD_DATE").unwrap_or_default(),
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{os}/{arch}"),
    })
}

/// Orders versions of an API as Kubernetes does: `v10 > v2 > v1 > v1beta2 > v1beta1 > v1alpha1`, all others below, by name.
pub fn compare_kube_aware(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        // Names that are no versions sort alphabetically from the front, that is, the first is the greatest.
        (None, None) => b.cmp(a),
    }
}

/// Stability, major, minor: `v1beta2` is (1, 1, 2).
fn parse(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(end);
    let number = |digits: &str| if digits.starts_with('0') { None } else { digits.parse::<u32>().ok() };
    let major = number(major)?;
    if rest.is_empty() {
        return Some((2, major, 0));
    }
    let (stability, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
        (Some(minor), _) => (1, minor),
        (_, Some(minor)) => (0, minor),
        _ => return None,
    };
    Some((stability, major, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_upstream_orders_them() {
        let sorted = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"];
        for pair in sorted.windows(2) {
            assert_eq!(compare_kube_aware(pair[0], pair[1]), Ordering::Greater, "{pair:?}");
            assert_eq!(compare_kube_aware(pair[1], pair[0]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(compare_kube_aware("v1", "v1"), Ordering::Equal);
    }
}
