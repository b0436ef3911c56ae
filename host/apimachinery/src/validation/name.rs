//! The grammar of names: DNS labels and subdomains, label keys and values, identifiers, ports.
//!
//! Upstream has most of these twice, and the two differ in one word: `k8s.io/apimachinery/pkg/api/validate/content` counts bytes,
//! `pkg/util/validation` counts characters. [`is_label_key`] and [`is_label_value`] are of the first kind.

/// What is wrong, in upstream's words; empty: nothing.
pub type Problems = Vec<String>;

/// Length of a DNS label.
pub const LABEL_BYTES_MAX: usize = 63;
/// Length of a DNS subdomain, and so of most names.
pub const SUBDOMAIN_BYTES_MAX: usize = 253;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end \
     with an alphanumeric character";

/// `must be no more than 63 characters`.
pub fn max_len_error(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn max_bytes_error(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

/// `must be non-empty`.
pub fn empty_error() -> String {
    "must be non-empty".to_owned()
}

/// `must be between 1 and 65535, inclusive`.
pub fn inclusive_range_error(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// `… (e.g. 'a',  or 'b', regex used for validation is '…')`.
pub fn regex_error(words: &str, regex: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{words} (regex used for validation is '{regex}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{words} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Starts and ends with `edge`, and has only `edge` or `inner` between.
fn framed(value: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = value.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => edge(first) && edge(last) && bytes.iter().all(|&b| edge(b) || inner(b)),
        _ => false,
    }
}

fn matches_label(value: &str) -> bool {
    framed(value, lower_alnum, |b| b == b'-')
}

fn matches_subdomain(value: &str) -> bool {
    value.split('.').all(matches_label)
}

fn matches_label_key(value: &str) -> bool {
    framed(value, |b| b.is_ascii_alphanumeric(), |b| matches!(b, b'-' | b'_' | b'.'))
}

/// A DNS label (RFC 1123).
pub fn is_dns1123_label(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > LABEL_BYTES_MAX {
        problems.push(max_len_error(LABEL_BYTES_MAX));
    }
    if !matches_label(value) {
        problems.push(if matches_subdomain(value) {
            "must not contain dots".to_owned()
        } else {
            regex_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
                 alphanumeric character",
                LABEL,
                &["my-name", "123-abc"],
            )
        });
    }
    problems
}

fn subdomain(value: &str, too_long: fn(usize) -> String) -> Problems {
    let mut problems = Problems::new();
    if value.len() > SUBDOMAIN_BYTES_MAX {
        problems.push(too_long(SUBDOMAIN_BYTES_MAX));
    }
    if !matches_subdomain(value) {
        problems.push(regex_error(SUBDOMAIN_WORDS, SUBDOMAIN, &["example.com"]));
    }
    problems
}

/// A DNS subdomain (RFC 1123).
pub fn is_dns1123_subdomain(value: &str) -> Problems {
    subdomain(value, max_len_error)
}

/// A DNS subdomain whose labels may have underscores.
pub fn is_dns1123_subdomain_with_underscore(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > SUBDOMAIN_BYTES_MAX {
        problems.push(max_len_error(SUBDOMAIN_BYTES_MAX));
    }
    let label = |label: &str| framed(label.strip_prefix('_').unwrap_or(label), lower_alnum, |b| matches!(b, b'-' | b'_'));
    if !value.split('.').all(label) {
        problems.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end \
             with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    problems
}

/// A DNS subdomain in either case (driver names).
pub fn is_dns1123_subdomain_caseless(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > SUBDOMAIN_BYTES_MAX {
        problems.push(max_bytes_error(SUBDOMAIN_BYTES_MAX));
    }
    if !matches_subdomain(&value.to_ascii_lowercase()) {
        let words = "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        problems.push(regex_error(words, SUBDOMAIN, &["Example.com"]));
    }
    problems
}

/// A DNS label (RFC 1035): starts with a letter.
pub fn is_dns1035_label(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > LABEL_BYTES_MAX {
        problems.push(max_len_error(LABEL_BYTES_MAX));
    }
    if !matches_label(value) || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        problems.push(regex_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with \
             an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    problems
}

/// `*.example.com`.
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > SUBDOMAIN_BYTES_MAX {
        problems.push(max_len_error(SUBDOMAIN_BYTES_MAX));
    }
    if !value.strip_prefix("*.").is_some_and(matches_subdomain) {
        problems.push(regex_error(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case \
             alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{SUBDOMAIN}"),
            &["*.example.com"],
        ));
    }
    problems
}

const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_KEY_WORDS: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// A label's or annotation's key, what upstream also calls a qualified name: `[subdomain/]name`.
pub fn is_label_key(value: &str) -> Problems {
    let words = |lead: &str| format!("{lead}{}", regex_error(LABEL_KEY_WORDS, LABEL_KEY, &["MyName", "my.name", "123-abc"]));
    let mut problems = Problems::new();
    let name = match value.split_once('/') {
        None => value,
        Some((_, name)) if name.contains('/') => {
            let tail = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![words("a valid label key ") + tail];
        }
        Some(("", name)) => {
            problems.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            problems.extend(subdomain(prefix, max_bytes_error).into_iter().map(|problem| format!("prefix part {problem}")));
            name
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_BYTES_MAX {
        problems.push(format!("name part {}", max_bytes_error(LABEL_BYTES_MAX)));
    }
    if !matches_label_key(name) {
        problems.push(words("name part "));
    }
    problems
}

/// Another of upstream's names for [`is_label_key`].
pub fn is_qualified_name(value: &str) -> Problems {
    is_label_key(value)
}

/// A label's value.
pub fn is_label_value(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > LABEL_BYTES_MAX {
        problems.push(max_bytes_error(LABEL_BYTES_MAX));
    }
    if !value.is_empty() && !matches_label_key(value) {
        problems.push(regex_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character",
            &format!("({LABEL_KEY})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    problems
}

/// An identifier of C.
pub fn is_c_identifier(value: &str) -> Problems {
    let starts = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Problems::new();
    }
    vec![regex_error(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// A port: 1 to 65535.
pub fn is_valid_port_num(port: i64) -> Problems {
    is_in_range(port, 1, 65535)
}

/// A number between two others, both included.
pub fn is_in_range(value: i64, low: i64, high: i64) -> Problems {
    if (low..=high).contains(&value) { Problems::new() } else { vec![inclusive_range_error(low, high)] }
}

/// A Unix user or group id.
pub fn is_valid_unix_id(id: i64) -> Problems {
    is_in_range(id, 0, i64::from(i32::MAX))
}

/// The name of a port (an IANA service name in lower case).
pub fn is_valid_port_name(port: &str) -> Problems {
    let mut problems = Problems::new();
    if port.len() > 15 {
        problems.push(max_len_error(15));
    }
    if port.is_empty() || !port.bytes().all(|b| lower_alnum(b) || b == b'-') {
        problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !port.bytes().any(|b| b.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".to_owned());
    }
    if port.contains("--") {
        problems.push("must not contain consecutive hyphens".to_owned());
    }
    if port.starts_with('-') || port.ends_with('-') {
        problems.push("must not begin or end with a hyphen".to_owned());
    }
    problems
}

/// `25%`.
pub fn is_valid_percent(value: &str) -> Problems {
    let digits = value.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Problems::new();
    }
    vec![regex_error("a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", &["1%", "93%"])]
}

/// The name of an HTTP header.
pub fn is_http_header_name(value: &str) -> Problems {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Problems::new();
    }
    vec![regex_error("a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// The name of an environment variable, as strictly as upstream once was.
pub fn is_env_var_name(value: &str) -> Problems {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let mut problems = Problems::new();
    if value.is_empty() || !value.bytes().all(inner) || value.starts_with(|c: char| c.is_ascii_digit()) {
        problems.push(regex_error(
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a \
             digit",
            "[-._a-zA-Z][-._a-zA-Z0-9]*",
            &["my.env-name", "MY_ENV.NAME", "MyEnvName1"],
        ));
    }
    problems.extend(chdir_prefix(value));
    problems
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn is_relaxed_env_var_name(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.is_empty() {
        problems.push("environment variable name must be non-empty".to_owned());
    }
    if !value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        problems.push("a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned());
    }
    problems
}

/// A key of a ConfigMap or Secret.
pub fn is_config_map_key(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > SUBDOMAIN_BYTES_MAX {
        problems.push(max_len_error(SUBDOMAIN_BYTES_MAX));
    }
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        problems.push(regex_error(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    problems.extend(chdir_prefix(value));
    problems
}

fn chdir_prefix(value: &str) -> Option<String> {
    match value {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        value => value.starts_with("..").then(|| "must not start with '..'".to_owned()),
    }
}

/// A name that can stand in a path, and so in a key of the store.
pub fn is_path_segment_name(name: &str) -> Problems {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    is_path_segment_prefix(name)
}

/// The start of a name that can stand in a path.
pub fn is_path_segment_prefix(prefix: &str) -> Problems {
    ["/", "%"].into_iter().filter(|illegal| prefix.contains(illegal)).map(|illegal| format!("may not contain '{illegal}'")).collect()
}
