//! No two modules of a crate need each other: what both need stands in a module of its own. Found by reading the paths in the sources
//! (`crate::…`, `super::…`), so that one behind a re-export or a macro is not seen.

#![allow(missing_docs, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module, by its path in the crate; the crate's root is empty.
type Module = Vec<String>;

/// Circles that are still there, by a module of each.
const LEFT: &[(&str, &str)] = &[
    // What a commit came to (`CommitError`) is to get a module of its own.
    ("registry", "create"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

/// The modules of a crate's `src`, each with its source; tests are left out.
fn modules(src: &Path) -> BTreeMap<Module, String> {
    let mut files = Vec::new();
    sources(src, &mut files);
    let of = |path: PathBuf| {
        let inside = path.strip_prefix(src).expect("below src").with_extension("");
        let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        let text = std::fs::read_to_string(&path).expect("a source");
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let code: String = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
        (module, code)
    };
    files.into_iter().map(of).filter(|(module, _)| module.last().is_none_or(|last| last != "tests")).collect()
}

/// Reads what follows a prefix such as `crate::`: one path, or a tree of them in braces. Gives what comes after it.
fn read_tree<'a>(mut text: &'a str, prefix: &[String], paths: &mut Vec<Module>) -> &'a str {
    let mut path = prefix.to_vec();
    loop {
        text = text.trim_start();
        if let Some(mut inner) = text.strip_prefix('{') {
            while !inner.trim_start().starts_with('}') && !inner.trim().is_empty() {
                inner = read_tree(inner, &path, paths).trim_start();
                inner = inner.split_once([',', '}']).map_or("", |(before, after)| {
                    // The brace itself is looked at again.
                    if inner[before.len()..].starts_with('}') { &inner[before.len()..] } else { after }
                });
            }
            return inner.trim_start().strip_prefix('}').unwrap_or_default();
        }
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        path.push(text[..end].to_owned());
        match text[end..].strip_prefix("::") {
            Some(rest) if end > 0 => text = rest,
            _ => {
                paths.push(path);
                return &text[end..];
            }
        }
    }
}

/// The modules that a module names.
fn needs(module: &Module, code: &str, all: &BTreeMap<Module, String>) -> BTreeSet<Module> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        read_tree(&code[at + "crate::".len()..], &[], &mut paths);
    }
    for (at, _) in code.match_indices("super::") {
        let above = module.split_last().map_or(&[][..], |(_, above)| above);
        read_tree(&code[at + "super::".len()..], above, &mut paths);
    }
    let owner = |path: Module| (0..=path.len()).rev().map(|length| path[..length].to_vec()).find(|start| all.contains_key(start));
    // The root and the modules above hand on what is in others: they are no noun of their own.
    let counts = |needed: &Module| !needed.is_empty() && !module.starts_with(needed) && !needed.starts_with(module);
    paths.into_iter().filter_map(owner).filter(counts).collect()
}

/// Every module that `start` needs, by however many steps.
fn reachable<'a>(start: &'a Module, needs: &'a BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<&'a Module> {
    let (mut found, mut next) = (BTreeSet::new(), vec![start]);
    while let Some(module) = next.pop() {
        next.extend(needs[module].iter().filter(|needed| found.insert(*needed)));
    }
    found
}

fn circles(src: &Path) -> BTreeSet<String> {
    let all = modules(src);
    let needs: BTreeMap<Module, BTreeSet<Module>> = all.iter().map(|(module, code)| (module.clone(), needs(module, code, &all))).collect();
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = needs.keys().map(|module| (module, reachable(module, &needs))).collect();
    let mut found = BTreeSet::new();
    for (module, ways) in &reached {
        if ways.contains(module) {
            let circle: Vec<String> =
                ways.iter().filter(|other| reached[*other].contains(module)).map(|module| module.join("::")).collect();
            found.insert(circle.join(", "));
        }
    }
    found
}

#[test]
fn no_modules_need_each_other() {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the repository").join("host");
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(host).expect("the crates of the host") {
        let folder = entry.expect("an entry").path();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let is_left = |circle: &str| LEFT.iter().any(|(of, module)| *of == name && circle.split(", ").any(|one| one == *module));
        wrong.extend(circles(&folder.join("src")).into_iter().filter(|circle| !is_left(circle)).map(|circle| format!("{name}: {circle}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn paths_are_read_as_rust_reads_them() {
    let mut paths = Vec::new();
    let rest = read_tree("a::{b::C, d::{self, E as F}, G};more", &[], &mut paths);
    let shown: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!((shown, rest), (["a::b::C", "a::d::self", "a::d::E", "a::G"].map(str::to_owned).into(), ";more"));
    let all = [("a", "use crate::b::X;"), ("b", "fn f() { super::c::g() }"), ("c", "use crate::{a::Y, d};"), ("d", "")];
    let all: BTreeMap<Module, String> = all.iter().map(|(name, code)| (vec![(*name).to_owned()], (*code).to_owned())).collect();
    let needed: Vec<_> = all.iter().map(|(module, code)| needs(module, code, &all).into_iter().flatten().collect::<String>()).collect();
    assert_eq!(needed, ["b", "c", "ad", ""]);
}
