//! Upstream's way with lists and plurals.

/// What a check finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Short: for lists of pods.
    pub reason: String,
    /// Who and what: for one pod.
    pub detail: String,
}

/// A violation, if there is one.
pub type Verdict = Option<Violation>;

/// A violation.
pub fn violation(reason: impl Into<String>, detail: String) -> Verdict {
    Some(Violation { reason: reason.into(), detail })
}

/// One or several.
pub fn plural<'a>(one: &'a str, several: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { several }
}

/// `"a", "b"`.
pub fn quoted(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}

/// `container "a"`, `containers "a", "b"`.
pub fn containers(names: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

/// `pod and container "a"`: who sets something that must not be; none: nobody.
pub fn setters(pod: bool, names: &[&str]) -> Option<String> {
    let pod = pod.then(|| "pod".to_owned());
    let parts: Vec<String> = pod.into_iter().chain((!names.is_empty()).then(|| containers(names))).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}
