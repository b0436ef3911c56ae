//! What a namespace's labels ask for: three modes, each with a level and the version of the standards.

use std::collections::BTreeMap;
use std::fmt;

/// What all labels begin with.
pub const PREFIX: &str = "pod-security.kubernetes.io/";
const LEVELS: &str = "must be one of privileged, baseline, restricted";
const VERSIONS: &str = "must be \"latest\" or \"v1.x\"";

/// How strict, from lax to strict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

/// Of the standards: the minor version of the Kubernetes that they came with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Version {
    #[default]
    Latest,
    Minor(u64),
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest);
        }
        let minor = text.strip_prefix("v1.")?;
        let plain = minor.bytes().all(|byte| byte.is_ascii_digit()) && (minor.len() == 1 || !minor.starts_with('0'));
        // Upstream's integers have 63 bits.
        minor.parse().ok().filter(|minor| plain && i64::try_from(*minor).is_ok()).map(Self::Minor)
    }

    /// Whether a rule that came with this minor version counts.
    pub fn has(self, since: u64) -> bool {
        match self {
            Self::Latest => true,
            Self::Minor(minor) => since <= minor,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Minor(minor) => write!(f, "v1.{minor}"),
        }
    }
}

/// `restricted:latest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "it says it all")]
pub struct Standard {
    pub level: Level,
    pub version: Version,
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

impl Standard {
    fn same_effect(&self, other: &Self) -> bool {
        self == other || (self.level == Level::Privileged && other.level == Level::Privileged)
    }
}

/// What is wrong with a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelError {
    /// `metadata.labels[…]`.
    pub field: String,
    /// `Invalid value: …`.
    pub message: String,
}

/// The labels of a namespace that are ours, without the prefix.
pub type Labels = BTreeMap<String, String>;

/// What a namespace asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Refused.
    pub enforce: Standard,
    /// Noted in the audit log.
    pub audit: Standard,
    /// The client is warned.
    pub warn: Standard,
}

impl Policy {
    /// By the labels, and by the defaults where there is none. Of a label that is malformed upstream takes the strictest when
    /// it enforces, and the laxest when it only tells.
    pub fn of(labels: &Labels, defaults: &Self) -> (Self, Vec<LabelError>) {
        let mut policy = *defaults;
        let mut errors = Vec::new();
        let mut invalid = |label: &str, value: &str, problem: &str| {
            let field = format!("metadata.labels[{PREFIX}{label}]");
            errors.push(LabelError { field, message: format!("Invalid value: {value:?}: {problem}") });
        };
        let mut enforces = false;
        let modes = [
            ("enforce", &mut policy.enforce, Level::Restricted),
            ("audit", &mut policy.audit, Level::Privileged),
            ("warn", &mut policy.warn, Level::Privileged),
        ];
        for (mode, standard, otherwise) in modes {
            if let Some(text) = labels.get(mode) {
                let level = Level::parse(text);
                enforces |= mode == "enforce" && level.is_some();
                standard.level = level.unwrap_or(otherwise);
                if level.is_none() {
                    invalid(mode, text, LEVELS);
                }
            }
            let label = format!("{mode}-version");
            if let Some(text) = labels.get(&label) {
                let version = Version::parse(text);
                standard.version = version.unwrap_or_default();
                if version.is_none() {
                    invalid(&label, text, VERSIONS);
                }
            }
        }
        // Who enforces more than is warned of is warned of it, too: of deployments nothing else would be said.
        if enforces && !labels.contains_key("warn") && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if !labels.contains_key("warn-version") {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, errors)
    }

    /// Whether nothing can ever come of it.
    pub fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|standard| standard.level == Level::Privileged)
    }

    /// Whether they can never differ in what comes of them.
    pub fn same_effect(&self, other: &Self) -> bool {
        self.enforce.same_effect(&other.enforce) && self.audit.same_effect(&other.audit) && self.warn.same_effect(&other.warn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(labels: &[(&str, &str)]) -> String {
        let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let (policy, errors) = Policy::of(&labels, &Policy::default());
        let errors: Vec<String> = errors.iter().map(|error| format!(" {} {}", error.field, error.message)).collect();
        format!("{} {} {}{}", policy.enforce, policy.audit, policy.warn, errors.concat())
    }

    #[test]
    fn labels_to_policy() {
        let bad_level = " metadata.labels[pod-security.kubernetes.io/enforce] Invalid value: \"x\": must be one of privileged, \
                         baseline, restricted";
        let bad_version = " metadata.labels[pod-security.kubernetes.io/warn-version] Invalid value: \"v1.01\": must be \"latest\" \
                           or \"v1.x\"";
        let rows: [(&[(&str, &str)], String); 7] = [
            (&[], "privileged:latest privileged:latest privileged:latest".to_owned()),
            (&[("enforce", "baseline")], "baseline:latest privileged:latest baseline:latest".to_owned()),
            (&[("enforce", "restricted"), ("enforce-version", "v1.21")], "restricted:v1.21 privileged:latest restricted:v1.21".to_owned()),
            (
                &[("enforce", "restricted"), ("enforce-version", "v1.21"), ("warn-version", "v1.0")],
                "restricted:v1.21 privileged:latest restricted:v1.0".to_owned(),
            ),
            (
                &[("enforce", "restricted"), ("warn", "baseline"), ("audit", "baseline")],
                "restricted:latest baseline:latest baseline:latest".to_owned(),
            ),
            (&[("enforce", "x")], format!("restricted:latest privileged:latest privileged:latest{bad_level}")),
            (&[("warn-version", "v1.01")], format!("privileged:latest privileged:latest privileged:latest{bad_version}")),
        ];
        for (labels, want) in rows {
            assert_eq!(shown(labels), want, "{labels:?}");
        }
    }
}
