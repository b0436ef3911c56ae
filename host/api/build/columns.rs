//! Columns of tables (`data/columns.txt`), with their descriptions out of the definitions.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::definitions::Definitions;

/// Written by their name alone.
const STANDARD: [(&str, &str); 3] = [
    ("Name", "Name\tstring\tname\t0\t=meta.v1.ObjectMeta.name"),
    ("Age", "Age\tstring\t-\t0\t=meta.v1.ObjectMeta.creationTimestamp"),
    ("Created At", "Created At\tdate\t-\t0\t=meta.v1.ObjectMeta.creationTimestamp"),
];

/// `COLUMNS`, sorted by group and plural.
pub fn to_rust(text: &str, definitions: &Definitions) -> String {
    let mut blocks: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut names: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(resources) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let resource = |name: &str| {
                let (plural, group) = name.split_once('.').unwrap_or((name, ""));
                (group.to_owned(), plural.to_owned())
            };
            names = resources.split(' ').map(resource).collect();
            continue;
        }
        assert!(!names.is_empty(), "a column of no resource: {line}");
        let column = column(line, definitions);
        for name in &names {
            blocks.entry(name.clone()).or_default().push_str(&column);
        }
    }
    let mut rust = format!("pub(super) static COLUMNS: [(&str, &str, &[Column]); {}] = [\n", blocks.len());
    for ((group, plural), columns) in blocks {
        write!(rust, "({group:?}, {plural:?}, &[\n{columns}]),\n").expect("a String takes all");
    }
    rust.push_str("];\n");
    rust
}

fn column(line: &str, definitions: &Definitions) -> String {
    let line = STANDARD.iter().find(|(name, _)| *name == line).map_or(line, |(_, column)| column);
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, kind, format, priority, description] = fields[..] else { panic!("not a column: {line}") };
    let format = if format == "-" { "" } else { format };
    let description = match description.strip_prefix('=') {
        Some(field) => described(field, definitions).unwrap_or_else(|| panic!("no description of {field}: {line}")),
        None if description == "-" => String::new(),
        None => description.replace("\\n", "\n"),
    };
    format!("Column {{ name: {name:?}, kind: {kind:?}, format: {format:?}, priority: {priority}, description: {description:?} }},\n")
}

/// The words on a field, as Go's types have them: without the values that the published definition lists.
fn described(path: &str, definitions: &Definitions) -> Option<String> {
    let (definition, field) = path.rsplit_once('.')?;
    let prefix = if definition.starts_with("meta.") { "io.k8s.apimachinery.pkg.apis." } else { "io.k8s.api." };
    let definition = definitions.get(&format!("{prefix}{definition}"))?;
    let description = definition.schema.get("properties")?.get(field)?.get("description")?.as_str()?;
    let end = description.find("\n\nPossible enum values:").unwrap_or(description.len());
    Some(description[..end].to_owned())
}
