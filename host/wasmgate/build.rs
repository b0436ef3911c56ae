//! Embeds the standard plugins, compiled ahead of time, from `target/plugins` (`WASMGATE_PLUGINS` names another folder).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest, Sha256};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=WASMGATE_PLUGINS");
    let folder = env::var_os("WASMGATE_PLUGINS").map_or_else(default_folder, PathBuf::from);
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut table = String::from("&[\n");
    let mut count = 0;
    for manifest in manifests(&folder) {
        let compiled = manifest.with_extension("cwasm");
        if !compiled.exists() {
            continue;
        }
        println!("cargo::rerun-if-changed={}", manifest.display());
        println!("cargo::rerun-if-changed={}", compiled.display());
        let component = fs::read(manifest.with_extension("wasm")).expect("the component lies beside what was compiled from it");
        let digest: String = Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(
            table,
            "    Embedded {{
        manifest: include_str!({manifest:?}),
        code: {{
            static CODE: &PageAligned<[u8]> = &PageAligned(*include_bytes!({compiled:?}));
            &CODE.0
        }},
        digest: {digest:?},
    }},"
        )
        .expect("a string takes everything");
        count += 1;
    }
    table.push(']');
    if count == 0 {
        // Shown by cargo as the reason why the build stops.
        println!("cargo::error=there are no compiled plugins in {}: run `cargo xtask build` once", folder.display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("standard_plugins.rs"), table).expect("OUT_DIR can be written");
}

fn default_folder() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    Path::new(&here).ancestors().nth(2).expect("the crate lies in the workspace").join("target/plugins")
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    found.sort();
    found
}
