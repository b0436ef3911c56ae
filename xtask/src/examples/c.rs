//! C, compiled by Zig's clang, which has its own libc for WebAssembly.

use super::Example;
use crate::fetch::{self, Wheel};
use crate::{component, shell};

pub const COMPILER: &str = ZIG.requirement;
const ZIG: Wheel = Wheel {
    requirement: "ziglang==0.17.0",
    sha256: &[
        "97079827064a7492cce5541ceb438ae8003ce1e54e399676da2d62fb7a5dc08b",
        "d2804f94f54f7fcf8169f4b212a619ad688a4e2e6592e976f0cf2e58e2cd8af3",
        "87274af689c4128051b26c80f6f676757e0a81c2fdc137fd8b5679e928e4bc4f",
    ],
};

/// `wit-bindgen c`, `zig cc`, and the component around it.
pub fn build(example: &Example) -> Result<Vec<u8>, String> {
    let zig = fetch::wheel(&ZIG)?.join("ziglang/zig");
    example.generate(wit_bindgen_c::Opts::default().build())?;
    let module = example.build.join("module.wasm");
    let generated = example.name.replace('-', "_");
    let mut zig_cc = shell::command(zig);
    zig_cc.args(["cc", "-target", "wasm32-wasi", "-Os", "-Wall", "-Werror", "-mexec-model=reactor", "-Wl,-z,stack-size=65536", "-I"]);
    zig_cc.arg(&example.build).arg("-o").arg(&module).arg(example.folder.join("plugin.c"));
    zig_cc.args([format!("{generated}.c"), format!("{generated}_component_type.o")].map(|file| example.build.join(file)));
    let cache = shell::target().join("tools/zig-cache");
    shell::run(zig_cc.env("ZIG_GLOBAL_CACHE_DIR", &cache).env("ZIG_LOCAL_CACHE_DIR", &cache))?;
    component::componentize(&module)
}
