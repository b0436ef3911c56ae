//! The Rust compiler for components: rustup's `wasm32-unknown-unknown`, or Debian's compiler, which builds the standard library
//! itself from the source package. `WASMGATE_WASM_TOOLCHAIN=rustup` or `=debian` decides by hand.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::shell::{self, say};

const TARGET: &str = "wasm32-unknown-unknown";
/// A download that takes longer is taken for one that hangs.
const RUSTUP_SECONDS_MAX: u64 = 20;
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld"];
/// `rust-version` of the workspace: Debian's own older compiler is no use.
const MINOR_MIN: u32 = 95;

/// A way to compile for [`TARGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The user's toolchain, with the target installed.
    Rustup,
    /// `/usr/bin/cargo` with build-std.
    Debian,
}

impl Toolchain {
    /// Finds one; where there is none, tries rustup.
    pub fn find() -> Result<Self, String> {
        match std::env::var("WASMGATE_WASM_TOOLCHAIN").as_deref() {
            Ok("rustup") => return if rustup_has_target() { Ok(Self::Rustup) } else { add_target().map(|()| Self::Rustup) },
            Ok("debian") => return debian().map(|()| Self::Debian),
            Ok(other) => return Err(format!("WASMGATE_WASM_TOOLCHAIN is `{other}`: it may be `rustup` or `debian`")),
            Err(_) => {}
        }
        if rustup_has_target() {
            return Ok(Self::Rustup);
        }
        let debian = debian();
        if debian.is_ok() && tried_rustup() {
            return Ok(Self::Debian);
        }
        match (add_target(), debian) {
            (Ok(()), _) => Ok(Self::Rustup),
            (Err(why), Ok(())) => {
                say(format!("{why}; Debian's compiler does it"));
                let _ = shell::write(&tried_marker(), b"");
                Ok(Self::Debian)
            }
            (Err(_), Err(_)) if crate::setup::install(DEBIAN_PACKAGES).is_ok() && self::debian().is_ok() => Ok(Self::Debian),
            (Err(rustup), Err(debian)) => Err(format!(
                "no Rust compiler for components ({TARGET}).\n  rustup: {rustup}\n  Debian: {debian}\n\
                 Either of these two gives one:\n  rustup target add {TARGET}\n  sudo apt-get install {}",
                DEBIAN_PACKAGES.join(" ")
            )),
        }
    }

    /// For stamps and for people.
    pub fn version(self) -> Result<String, String> {
        let rustc = match self {
            Self::Rustup => "rustc",
            Self::Debian => "/usr/bin/rustc",
        };
        shell::output(shell::command(rustc).arg("--version"))
    }

    /// `cargo build` of components.
    pub fn build(self) -> Command {
        let mut cargo = match self {
            Self::Rustup => shell::command("cargo"),
            Self::Debian => shell::command("/usr/bin/cargo"),
        };
        cargo.arg("build");
        self.flags(cargo)
    }

    /// `cargo clippy` of components, where it is installed. Debian's is called by its path, so that rustup's is not found before it.
    pub fn clippy(self) -> Option<Command> {
        const DEBIAN: &str = "/usr/bin/cargo-clippy";
        let mut cargo = match self {
            Self::Rustup => shell::command("cargo"),
            Self::Debian if Path::new(DEBIAN).exists() => shell::command(DEBIAN),
            Self::Debian => return None,
        };
        cargo.arg("clippy");
        if self == Self::Debian {
            cargo.env("CARGO", "/usr/bin/cargo");
        }
        Some(self.flags(cargo))
    }

    /// What every command of cargo needs for components.
    fn flags(self, mut cargo: Command) -> Command {
        cargo.args(["--quiet", "--profile", "plugin", "--target", TARGET, "--target-dir"]).arg(shell::target().join("wasm"));
        if self == Self::Debian {
            cargo
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", "/usr/bin/rustc")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld")
                .arg("-Zbuild-std=std,panic_abort");
        }
        cargo
    }
}

fn rustup_has_target() -> bool {
    let sysroot = shell::output(shell::command("rustc").args(["--print", "sysroot"])).unwrap_or_default();
    !sysroot.is_empty() && Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib").exists()
}

fn add_target() -> Result<(), String> {
    say(format!("rustup target add {TARGET} (at most {RUSTUP_SECONDS_MAX} s)"));
    shell::run_within(shell::command("rustup").args(["target", "add", TARGET]), Duration::from_secs(RUSTUP_SECONDS_MAX))
}

/// One attempt is enough for a machine: the next command does not wait again.
fn tried_rustup() -> bool {
    tried_marker().exists()
}

fn tried_marker() -> std::path::PathBuf {
    shell::target().join("wasm/.rustup-tried")
}

fn debian() -> Result<(), String> {
    let version = shell::output(shell::command("/usr/bin/rustc").arg("--version")).map_err(|_| "no /usr/bin/rustc".to_owned())?;
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()).unwrap_or_default();
    if minor < MINOR_MIN {
        return Err(format!("/usr/bin/rustc is {version}: 1.{MINOR_MIN} or newer is needed"));
    }
    if !Path::new("/usr/bin/cargo").exists() {
        return Err("no /usr/bin/cargo".to_owned());
    }
    if !Path::new("/usr/lib/rustlib/src/rust/library/std").exists() {
        return Err("no standard library source (rust-web-src)".to_owned());
    }
    shell::output(shell::command("wasm-ld").arg("--version")).map(|_| ()).map_err(|_| "no wasm-ld (lld)".to_owned())
}
