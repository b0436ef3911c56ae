//! Runs compiled code where the system has mapped it: in the pages of the server's own binary.
//!
//! The engine otherwise copies compiled code into memory of its own. The standard plugins are some megabytes of it; run in place, a page is
//! read when it is first used, shared by all processes of the binary, and given up by the system when memory is scarce.

use wasmtime::Config;

/// Bytes that begin at a page's start, as code that is run in place must.
#[repr(C, align(4096))]
pub struct PageAligned<T: ?Sized>(
    /// The bytes.
    pub T,
);

/// Lets an engine run code where it lies. Other systems than Linux on x86-64, where pages are as large as [`PageAligned`] says and where an
/// instruction cache needs no care, copy.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn enable(config: &mut Config) {
    config.with_custom_code_memory(Some(std::sync::Arc::new(linux::CodePages)));
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) fn enable(_: &mut Config) {}

/// Whether this code can be run where it lies.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn fits(code: &'static [u8]) -> bool {
    let page = rustix::param::page_size();
    page <= align_of::<PageAligned<u8>>() && code.as_ptr().addr().is_multiple_of(page)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) fn fits(_: &'static [u8]) -> bool {
    false
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux {
    use rustix::mm::{self, MprotectFlags};
    use wasmtime::CustomCodeMemory;

    /// Makes pages executable and takes that back, never writable and executable at once.
    pub(super) struct CodePages;

    impl CustomCodeMemory for CodePages {
        fn required_alignment(&self) -> usize {
            rustix::param::page_size()
        }

        fn publish_executable(&self, start: *const u8, bytes: usize) -> wasmtime::Result<()> {
            protect(start, bytes, MprotectFlags::READ | MprotectFlags::EXEC)
        }

        fn unpublish_executable(&self, start: *const u8, bytes: usize) -> wasmtime::Result<()> {
            protect(start, bytes, MprotectFlags::READ)
        }
    }

    fn protect(start: *const u8, bytes: usize, access: MprotectFlags) -> wasmtime::Result<()> {
        // SAFETY: the engine names whole pages that hold nothing but its code, from which nothing runs when it stops being executable.
        unsafe { mm::mprotect(start.cast_mut().cast(), bytes, access) }
            .map_err(|error| wasmtime::Error::msg(format!("the system does not let plugins' code be run: {error}")))
    }
}
