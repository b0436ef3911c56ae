//! `wasmgate-precompile IN.wasm OUT.cwasm`: compiles a component with the server's own engine, for embedding.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [component, target] = arguments.as_slice() else {
        eprintln!("usage: wasmgate-precompile IN.wasm OUT.cwasm");
        return ExitCode::from(2);
    };
    match compile(Path::new(component), Path::new(target)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("wasmgate-precompile: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn compile(component: &Path, target: &Path) -> Result<(), String> {
    let engine = wasmgate_plugin_host::PluginEngine::new().map_err(|error| error.to_string())?;
    let bytes = std::fs::read(component).map_err(|error| format!("{}: {error}", component.display()))?;
    let code = engine.precompile(&bytes).map_err(|error| format!("{}: {error}", component.display()))?;
    std::fs::write(target, code).map_err(|error| format!("{}: {error}", target.display()))
}
