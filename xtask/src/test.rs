//! `cargo xtask test`: every suite, a summary, and `N passed, N failed` as the last line.
//!
//! What a suite could not run, because something is missing on this machine, it says in lines `SKIPPED: why`. The summary shows them
//! again, and a suite that has run nothing else is not counted as passed.
//!
//! Everything is built in the release profile with the same features, so that no dependency is compiled twice; the three crates that
//! would change the features of the others (the benchmarks, kube-rs as a client, and this one) are left out of the workspace's own tests.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::shell::{self, say};
use crate::{examples, run, setup, tools};

/// A suite that takes longer is taken for one that hangs.
const SUITE_DURATION_MAX: Duration = Duration::from_secs(20 * 60);
const BENCH: &str = "wasmgate-bench";
const CLIENTS: &str = "wasmgate-test-clients";

/// A suite: its name, what it needs besides the build, and what runs it.
struct Suite {
    name: &'static str,
    /// It mostly waits: it runs beside the others, and what it prints is shown when it is done.
    beside: bool,
    needs: fn() -> Result<(), String>,
    command: fn() -> Command,
}

/// In the order in which they run: what others rest on comes first.
const SUITES: &[Suite] = &[
    Suite { name: "style", beside: false, needs: nothing, command: || cargo(&["fmt", "--all", "--check"]) },
    Suite { name: "clippy", beside: false, needs: nothing, command: || xtask("clippy") },
    Suite { name: "deny", beside: false, needs: nothing, command: || xtask("deny") },
    // The tree's own order. In the profile in which this program was built.
    Suite { name: "xtask", beside: false, needs: nothing, command: || cargo(&["test", "--package", "xtask"]) },
    // Unit and integration tests of the host, the plugins, the SDK and the examples. Finds etcd on the PATH.
    Suite { name: "workspace", beside: false, needs: nothing, command: || workspace(&[]) },
    Suite { name: "etcd-3.5", beside: false, needs: tools::etcd, command: || with_second_etcd(workspace(&["--test", "etcd"])) },
    Suite { name: "python-example", beside: false, needs: nothing, command: python_example },
    Suite { name: "serving", beside: false, needs: nothing, command: || end_to_end("serving") },
    Suite { name: "serving-etcd", beside: false, needs: nothing, command: || with(end_to_end("serving"), "--store=etcd") },
    Suite {
        name: "serving-etcd-3.5",
        beside: false,
        needs: tools::etcd,
        command: || with_second_etcd(with(end_to_end("serving"), "--store=etcd")),
    },
    Suite { name: "warnings", beside: false, needs: nothing, command: || end_to_end("warned") },
    Suite { name: "reading", beside: false, needs: nothing, command: || end_to_end("reading") },
    Suite { name: "reading-etcd", beside: false, needs: nothing, command: || with(end_to_end("reading"), "--store=etcd") },
    Suite { name: "stored", beside: false, needs: nothing, command: || end_to_end("stored") },
    Suite { name: "refusals", beside: false, needs: nothing, command: || end_to_end("refusals") },
    Suite { name: "kubectl", beside: false, needs: tools::kubectl, command: || end_to_end("kubectl") },
    Suite {
        name: "python-client",
        beside: false,
        needs: tools::python_client,
        command: || end_to_end_by(&tools::client_python(), "python_client"),
    },
    Suite { name: "kube-rs", beside: false, needs: nothing, command: kube_rs },
    Suite { name: "plugins", beside: false, needs: nothing, command: || end_to_end("plugins") },
    Suite { name: "languages", beside: false, needs: nothing, command: || end_to_end("languages") },
    Suite { name: "trust", beside: false, needs: nothing, command: || end_to_end("trust") },
    Suite { name: "admission", beside: false, needs: nothing, command: || end_to_end("admission") },
    Suite { name: "bad-input", beside: false, needs: nothing, command: || end_to_end("bad_input") },
    Suite { name: "edge", beside: false, needs: nothing, command: || end_to_end("edge") },
    Suite { name: "crash", beside: false, needs: nothing, command: || end_to_end("crash") },
    Suite { name: "oracle", beside: true, needs: tools::kubectl, command: || end_to_end("oracle") },
];

fn nothing() -> Result<(), String> {
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = shell::command("cargo");
    command.args(arguments);
    command
}

/// Another command of this program.
fn xtask(command: &str) -> Command {
    let mut program = shell::command(std::env::current_exe().unwrap_or_else(|_| "target/debug/xtask".into()));
    program.arg(command);
    program
}

fn workspace(arguments: &[&str]) -> Command {
    let mut command = cargo(&["test", "--release", "--workspace", "--no-fail-fast"]);
    command.args(["--exclude", BENCH, "--exclude", CLIENTS, "--exclude", "xtask"]);
    command.args(arguments);
    command
}

fn with(mut command: Command, argument: &str) -> Command {
    command.arg(argument);
    command
}

fn with_second_etcd(mut command: Command) -> Command {
    command.env("WASMGATE_ETCD", tools::etcd_program());
    command
}

fn with_server(mut command: Command) -> Command {
    command.env("WASMGATE_BIN", shell::target().join("release/wasmgate"));
    command
}

fn python_example() -> Command {
    let mut command = shell::command("python3");
    command.args(["-B", "-m", "unittest", "discover", "examples/python/team-label"]);
    command
}

fn kube_rs() -> Command {
    with_server(cargo(&["test", "--release", "--package", CLIENTS]))
}

/// A script of `tests/e2e`.
fn end_to_end(script: &str) -> Command {
    end_to_end_by("python3".as_ref(), script)
}

fn end_to_end_by(python: &std::path::Path, script: &str) -> Command {
    let mut command = with_server(shell::command(python));
    command.arg("-B").arg(shell::root().join("tests/e2e").join(script).with_extension("py"));
    command
}

/// What became of a suite.
struct Outcome {
    name: &'static str,
    result: Result<(), String>,
    cases: Cases,
    took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Failed,
    /// It could run nothing.
    Skipped,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
        }
    }
}

impl Outcome {
    fn verdict(&self) -> Verdict {
        match &self.result {
            Err(_) => Verdict::Failed,
            Ok(()) if self.cases.none_ran() => Verdict::Skipped,
            Ok(()) => Verdict::Ok,
        }
    }
}

/// What begins a line that says why something did not run.
pub const SKIPPED: &str = "SKIPPED: ";

/// Cases that a suite printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cases {
    passed: u64,
    failed: u64,
    /// Why some did not run, each reason once.
    skipped: Vec<String>,
}

impl Cases {
    /// Adds what a line counts: cargo's `test result: ok. 3 passed; 0 failed; …` or a script's `3 passed, 0 failed`.
    fn count(&mut self, line: &str) {
        if let Some(why) = line.strip_prefix(SKIPPED) {
            if !self.skipped.iter().any(|known| known == why) {
                self.skipped.push(why.to_owned());
            }
            return;
        }
        let line = line.strip_prefix("test result: ").map_or(line, |rest| rest.split_once(". ").map_or(rest, |(_, counts)| counts));
        let mut words = line.split([' ', ',', ';']).filter(|word| !word.is_empty());
        if let (Some(passed), Some("passed"), Some(failed), Some("failed")) = (words.next(), words.next(), words.next(), words.next())
            && let (Ok(passed), Ok(failed)) = (passed.parse::<u64>(), failed.parse::<u64>())
        {
            self.passed += passed;
            self.failed += failed;
        }
    }

    /// Whether nothing ran at all.
    fn none_ran(&self) -> bool {
        self.passed + self.failed == 0 && !self.skipped.is_empty()
    }
}

/// Runs all suites, or those named. One that fails does not keep the others from running.
pub fn test(names: &[String]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| !SUITES.iter().any(|suite| suite.name == **name)) {
        let known = SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ");
        return Err(format!("no suite `{unknown}`; there are {known}"));
    }
    let start = Instant::now();
    setup::for_testing();
    run::build()?;
    examples::examples(&[])?;
    examples::guests()?;
    say(format!("built after {} s", start.elapsed().as_secs()));
    let wanted: Vec<&Suite> = SUITES.iter().filter(|suite| names.is_empty() || names.iter().any(|name| name == suite.name)).collect();
    let outcomes = all(&wanted);

    summary(&outcomes, start.elapsed());
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    let skipped = outcomes.iter().filter(|outcome| outcome.verdict() == Verdict::Skipped).count();
    println!("{} passed, {failed} failed", outcomes.len() - failed - skipped);
    // The last line is the summary's: no error line behind it.
    if failed == 0 { Ok(()) } else { std::process::exit(1) }
}

/// A line for each suite, the sums, and everything that did not run.
fn summary(outcomes: &[Outcome], took: Duration) {
    println!("\n{:<18} {:>8} {:>7} {:>7}", "suite", "seconds", "passed", "failed");
    for outcome in outcomes {
        let Outcome { name, result, cases, took } = outcome;
        let (word, why) = (outcome.verdict().word(), result.as_ref().err().map(|error| format!("  {error}")).unwrap_or_default());
        println!("{name:<18} {:>8.1} {:>7} {:>7}  {word}{why}", took.as_secs_f32(), cases.passed, cases.failed);
    }
    let (passed, failed) = outcomes.iter().fold((0, 0), |(passed, failed), o| (passed + o.cases.passed, failed + o.cases.failed));
    println!("\n{passed} cases passed and {failed} failed in {} s", took.as_secs());
    for Outcome { name, cases, .. } in outcomes {
        cases.skipped.iter().for_each(|why| println!("{SKIPPED}{name}: {why}"));
    }
}

/// One after the other, but for those that run beside the others; the outcomes are in the order of the suites.
fn all(suites: &[&Suite]) -> Vec<Outcome> {
    std::thread::scope(|scope| {
        let mut outcomes: Vec<Option<Outcome>> = suites.iter().map(|_| None).collect();
        let numbered =
            || suites.iter().enumerate().map(|(index, suite)| (index, *suite, format!("suite {} of {}", index + 1, suites.len())));
        let beside: Vec<_> = numbered()
            .filter(|(_, suite, _)| suite.beside)
            .map(|(index, suite, number)| (index, scope.spawn(move || one(suite, &number, Print::WhenDone(Vec::new())))))
            .collect();
        for (index, suite, number) in numbered().filter(|(_, suite, _)| !suite.beside) {
            outcomes[index] = Some(one(suite, &number, Print::AtOnce));
        }
        for (index, thread) in beside {
            outcomes[index] = Some(thread.join().expect("a suite's thread does not panic"));
        }
        outcomes.into_iter().flatten().collect()
    })
}

/// When a suite's output is shown.
enum Print {
    AtOnce,
    WhenDone(Vec<String>),
}

impl Print {
    fn line(&mut self, line: String) {
        match self {
            Self::AtOnce => println!("{line}"),
            Self::WhenDone(lines) => lines.push(line),
        }
    }

    fn done(self) {
        if let Self::WhenDone(lines) = self {
            println!("{}", lines.join("\n"));
        }
    }
}

fn one(suite: &Suite, number: &str, mut print: Print) -> Outcome {
    let start = Instant::now();
    let mut cases = Cases::default();
    let result = (suite.needs)().and_then(|()| {
        let mut command = (suite.command)();
        say(format!("{number}, {}: {}", suite.name, shell::shown(&command)));
        watched(&mut command, &mut cases, &mut print)
    });
    print.done();
    let took = start.elapsed();
    let outcome = Outcome { name: suite.name, result, cases, took };
    say(format!("{number}, {}: {} after {} s", outcome.name, outcome.verdict().word(), took.as_secs()));
    outcome
}

/// Runs it, hands its output on, and counts what it counts.
fn watched(command: &mut Command, cases: &mut Cases, print: &mut Print) -> Result<(), String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("{}: {error}", shell::shown(command)))?;
    let Some(output) = child.stdout.take() else { return Err("no output".into()) };
    let pid = child.id();
    let (done, over) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let overdue = over.recv_timeout(SUITE_DURATION_MAX) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if overdue {
            // A script that is asked ends the servers that it has started.
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        overdue
    });
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        cases.count(&line);
        print.line(line);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    drop(done);
    match watchdog.join() {
        Ok(true) => Err(format!("not done after {} s", SUITE_DURATION_MAX.as_secs())),
        _ if status.success() => Ok(()),
        _ => Err(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted() {
        for (line, passed, failed) in [
            ("test result: ok. 12 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s", 12, 1),
            ("test result: FAILED. 3 passed; 2 failed; 0 ignored", 3, 2),
            ("7 passed, 0 failed", 7, 0),
            ("ok     it passed, nothing failed (0.1 s)", 0, 0),
            ("", 0, 0),
        ] {
            let mut cases = Cases::default();
            cases.count(line);
            assert_eq!(cases, Cases { passed, failed, skipped: Vec::new() }, "{line}");
        }
    }

    #[test]
    fn what_could_not_run_is_seen() {
        let mut cases = Cases::default();
        ["SKIPPED: no etcd", "0 passed, 0 failed", "SKIPPED: no etcd"].into_iter().for_each(|line| cases.count(line));
        assert_eq!(cases.skipped, ["no etcd"]);
        let verdict = |cases: &Cases| Outcome { name: "", result: Ok(()), cases: cases.clone(), took: Duration::ZERO }.verdict();
        assert_eq!(verdict(&cases), Verdict::Skipped);
        cases.count("3 passed, 0 failed");
        assert_eq!(verdict(&cases), Verdict::Ok);
        assert_eq!(verdict(&Cases::default()), Verdict::Ok, "a suite need not count");
    }
}
