//! How the process uses the system's memory.

/// Turns off transparent huge pages. The allocator asks for them, and a server that holds little would take twice the memory: 2 MB are
/// resident for whatever few kilobytes lie in them.
#[cfg(target_os = "linux")]
pub fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}

/// Lets go of the program's own code, most of which only the start needs. What is run again is mapped again from the system's file cache,
/// some pages at a time.
#[cfg(target_os = "linux")]
pub fn let_go_of_code() {
    let Ok(program) = std::fs::read_link("/proc/self/exe") else { return };
    let Ok(mappings) = std::fs::read_to_string("/proc/self/maps") else { return };
    for range in mappings.lines().filter_map(|line| code_range(line, &program)) {
        let start = std::ptr::without_provenance_mut(range.start);
        // SAFETY: pages of a file that are executable and so never written come back with the same content.
        if let Err(error) = unsafe { rustix::mm::madvise(start, range.len(), rustix::mm::Advice::LinuxDontNeed) } {
            tracing::debug!(%error, "the code of the start stays in memory");
        }
    }
}

/// Where a line of `/proc/self/maps` says that code of this program lies: `5581-5590 r-xp 00000000 fe:00 12  /usr/bin/wasmgate`.
#[cfg(target_os = "linux")]
fn code_range(line: &str, program: &std::path::Path) -> Option<std::ops::Range<usize>> {
    let mut fields = line.split_whitespace();
    let (addresses, access) = (fields.next()?, fields.next()?);
    let (start, end) = addresses.split_once('-')?;
    let is_code = access == "r-xp" && line.ends_with(program.to_str()?);
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    is_code.then_some(range)
}

/// Other systems have no huge pages that come unasked.
#[cfg(not(target_os = "linux"))]
pub fn use_small_pages() {}

/// Other systems do so themselves.
#[cfg(not(target_os = "linux"))]
pub fn let_go_of_code() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_code_is_let_go_of() {
        let program = std::path::Path::new("/usr/bin/wasm gate");
        let range = |line: &str| code_range(line, program);
        assert_eq!(range("1000-3000 r-xp 00000000 fe:00 12      /usr/bin/wasm gate"), Some(0x1000..0x3000));
        for other in [
            // Relocations have been written to these.
            "1000-3000 r--p 00000000 fe:00 12      /usr/bin/wasm gate",
            "1000-3000 rw-p 00000000 fe:00 12      /usr/bin/wasm gate",
            "1000-3000 r-xp 00000000 fe:00 12      /usr/lib/libc.so.6",
            "1000-3000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(range(other), None, "{other}");
        }
    }

    /// Kilobytes of this program's code that are mapped.
    fn resident_code() -> u64 {
        let program = std::fs::read_link("/proc/self/exe").expect("the program's path");
        let mappings = std::fs::read_to_string("/proc/self/smaps").expect("the process' mappings");
        let mut is_code = false;
        let mut kilobytes = 0;
        for line in mappings.lines() {
            if let Some(resident) = line.strip_prefix("Rss:") {
                kilobytes += if is_code { resident.trim().trim_end_matches(" kB").parse().unwrap_or(0) } else { 0 };
            } else if !line.split_whitespace().next().is_some_and(|word| word.ends_with(':')) {
                is_code = code_range(line, &program).is_some();
            }
        }
        kilobytes
    }

    #[test]
    fn the_program_goes_on_without_most_of_its_code() {
        let before = resident_code();
        let_go_of_code();
        let after = resident_code();
        assert!(after < before, "{before} kB before, {after} kB after");
    }
}
