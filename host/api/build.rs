//! Turns the table of resources (`data/resources.txt`) and Kubernetes' published definitions into Rust statics.
//!
//! The definitions are a download of the set-up, not a part of this repository: `target/k8s/definitions.json`.

#[path = "build/columns.rs"]
mod columns;
#[path = "build/definitions.rs"]
mod definitions;
#[path = "build/openapi/mod.rs"]
mod openapi;
#[path = "build/protobuf.rs"]
mod protobuf;
#[path = "build/resources.rs"]
mod resources;
#[path = "build/schemas.rs"]
mod schemas;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let table = manifest.join("data/resources.txt");
    let fields = manifest.join("data/fields.txt");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=src/catalogue/openapi");
    println!("cargo:rerun-if-changed={}", table.display());
    println!("cargo:rerun-if-changed={}", fields.display());

    let serialization = manifest.join("data/serialization.txt");
    println!("cargo:rerun-if-changed={}", serialization.display());
    let columns = manifest.join("data/columns.txt");
    println!("cargo:rerun-if-changed={}", columns.display());

    let protobuf = manifest.join("data/protobuf.txt");
    println!("cargo:rerun-if-changed={}", protobuf.display());

    let groups = resources::parse(&read(&table));
    let definitions = definitions::load(&definitions_path(&manifest), &read(&fields), &read(&serialization));
    let schemas = schemas::Schemas::reachable(&definitions, &groups);
    write(&out, "schemas.rs", &schemas.to_rust(&protobuf::Messages::parse(&read(&protobuf))));
    write(&out, "resources.rs", &resources::to_rust(&groups, &schemas));
    write(&out, "columns.rs", &columns::to_rust(&read(&columns), &definitions));
    openapi::write(&out, &groups, &definitions);
}

fn definitions_path(manifest: &Path) -> PathBuf {
    println!("cargo:rerun-if-env-changed=WASMGATE_K8S_DEFINITIONS");
    let path = match env::var_os("WASMGATE_K8S_DEFINITIONS") {
        Some(path) => PathBuf::from(path),
        None => manifest.join("../../target/k8s/definitions.json"),
    };
    println!("cargo:rerun-if-changed={}", path.display());
    if !path.is_file() {
        eprintln!("error: Kubernetes' definitions are missing ({}): run `cargo xtask setup` first", path.display());
        std::process::exit(1);
    }
    path
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(out: &Path, name: &str, text: &str) {
    fs::write(out.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
}
