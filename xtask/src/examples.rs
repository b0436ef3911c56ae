//! `cargo xtask examples`: the examples as components, in `target/examples/<language>`, each with its manifest beside it.
//!
//! A language is a folder of `examples/` and a module below this one. Each brings its own compiler, pinned, to `target/tools`.

mod c;
mod go;
mod python;
mod typescript;

use std::path::{Path, PathBuf};

use crate::component::{self, World};
use crate::plugins;
use crate::shell::{self, say};
use crate::stamp::{self, Inputs};

/// How an example becomes a component.
type Build = fn(&Example) -> Result<Vec<u8>, String>;

/// The languages whose examples are built one by one: the folder of `examples/`, what compiles it, and how.
const LANGUAGES: &[(&str, &str, Build)] = &[
    ("go", go::COMPILER, go::build),
    ("python", python::COMPILER, python::build),
    ("typescript", typescript::COMPILER, typescript::build),
    ("c", c::COMPILER, c::build),
];
/// The language whose examples are crates of the workspace.
const RUST: &str = "rust";

/// A folder with a manifest, `wit/` with the plugin's own world, and sources. The folder's name is the world's and the component's.
struct Example {
    name: String,
    folder: PathBuf,
    /// Where it is built.
    build: PathBuf,
}

/// The examples in these languages; in all, where none is named.
pub fn examples(languages: &[String]) -> Result<(), String> {
    let known: Vec<&str> = std::iter::once(RUST).chain(LANGUAGES.iter().map(|(language, ..)| *language)).collect();
    if let Some(unknown) = languages.iter().find(|language| !known.contains(&language.as_str())) {
        return Err(format!("no examples in `{unknown}`; there are {}", known.join(", ")));
    }
    let wanted: Vec<&str> = known.iter().copied().filter(|name| languages.is_empty() || languages.iter().any(|one| one == name)).collect();
    // Compilers use one core each.
    let failures: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = wanted.iter().map(|language| (language, scope.spawn(|| in_language(language)))).collect();
        let outcomes = running.into_iter().map(|(language, thread)| (language, thread.join().expect("a build does not panic")));
        outcomes.filter_map(|(language, outcome)| outcome.err().map(|error| format!("{language}: {error}"))).collect()
    });
    if failures.is_empty() {
        return Ok(());
    }
    let others: Vec<&str> =
        wanted.into_iter().filter(|name| !failures.iter().any(|failure| failure.starts_with(&format!("{name}:")))).collect();
    let hint = if others.is_empty() { String::new() } else { format!("\nto build the others: cargo xtask examples {}", others.join(" ")) };
    Err(format!("not every example is built\n{}{hint}", failures.join("\n")))
}

fn in_language(language: &str) -> Result<(), String> {
    let made = shell::target().join("examples").join(language);
    let folder = shell::root().join("examples").join(language);
    match LANGUAGES.iter().find(|(name, ..)| *name == language) {
        None => plugins::build(&folder, &made).map(|_| ()),
        Some((_, compiler, build)) => {
            let examples = shell::folders(&folder).into_iter().filter(|folder| folder.join("plugin.yaml").exists());
            examples.into_iter().try_for_each(|folder| one(folder, &made, compiler, *build))
        }
    }
}

fn one(folder: PathBuf, made: &Path, compiler: &str, build: Build) -> Result<(), String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = made.join(&name).with_extension("wasm");
    let around = folder.parent().map(shell::files).unwrap_or_default();
    let inputs = around.iter().fold(Inputs::default().text(compiler), |inputs, file| inputs.path(file));
    let code = ["wit", "xtask/src/examples", "xtask/src/component.rs"];
    let digest = code.iter().fold(inputs, |inputs, path| inputs.path(&shell::root().join(path))).path(&folder).digest();
    if stamp::is_fresh(&path, &digest) {
        return Ok(());
    }
    say(format!("building {} with {compiler}", folder.display()));
    let example = Example { build: made.join("build").join(&name), name, folder };
    let _ = std::fs::remove_dir_all(&example.build);
    // Tools want all interfaces in one folder: the plugin's world, and what it refers to under `deps`.
    shell::copy(&example.folder.join("wit"), &example.wit())?;
    shell::copy(&shell::root().join("wit"), &example.wit().join("deps/wasmgate-plugin"))?;
    let bytes = build(&example).map_err(|error| format!("{}: {error}", example.name))?;
    let (imports, exports) = component::interfaces(&example.name, &bytes)?;
    shell::write(&path, &bytes)?;
    shell::write(&path.with_extension("yaml"), &shell::read(&example.folder.join("plugin.yaml"))?)?;
    stamp::set(&path, &digest)?;
    say(plugins::line(&example.name, &bytes, &exports, &imports));
    Ok(())
}

impl Example {
    /// The plugin's world, with all that it refers to.
    fn wit(&self) -> PathBuf {
        self.build.join("wit")
    }

    fn world(&self) -> Result<World, String> {
        World::read(&self.wit(), &self.name)
    }

    /// Writes what a generator makes of the world into the folder where the example is built.
    fn generate(&self, mut generator: Box<dyn wit_bindgen_core::WorldGenerator>) -> Result<(), String> {
        let mut world = self.world()?;
        let mut files = wit_bindgen_core::Files::default();
        generator.generate(&mut world.resolve, world.id, &mut files).map_err(|error| format!("{error:#}"))?;
        files.iter().try_for_each(|(name, content)| shell::write(&self.build.join(name), content))
    }
}

/// The guests of the plugin host's tests and of the end-to-end tests, to `target/test-guests`.
pub fn guests() -> Result<(), String> {
    for folder in ["host/plugin-host/tests/guests", "tests/guests"] {
        plugins::build(&shell::root().join(folder), &shell::target().join("test-guests"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::shell;

    /// Generators put the interfaces' words into comments of their languages, as they are.
    #[test]
    fn the_interfaces_words_end_no_comment() {
        for file in shell::files(&shell::root().join("wit")).iter().filter(|file| file.extension().is_some_and(|name| name == "wit")) {
            let text = String::from_utf8_lossy(&shell::read(file).expect("a file")).into_owned();
            let found = text.lines().position(|line| line.contains("*/"));
            assert_eq!(found, None, "{}: a line with what ends a comment in TypeScript and C", file.display());
        }
    }
}
