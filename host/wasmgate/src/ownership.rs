//! Whose files are: the server keeps Secrets and private keys on disk, and runs code from there, so it needs to know who else could read
//! or replace them.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;

use rustix::fs::StatVfsMountFlags;

/// What others than the owner may do: any of this makes a file less than private.
pub const OTHERS: u32 = 0o077;
/// Writing, by the group or by everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Writing by everybody.
const WRITABLE_BY_EVERYBODY: u32 = 0o002;
/// Reading by everybody.
const READABLE_BY_EVERYBODY: u32 = 0o004;
const ROOT: u32 = 0;

/// The user that this process acts as.
pub fn own_uid() -> u32 {
    uzers::get_effective_uid()
}

/// A user as a person knows it: `jane (uid 1000)`, or the number alone where it has no name here.
pub fn account(uid: u32) -> String {
    match uzers::get_user_by_uid(uid) {
        Some(user) => format!("{} (uid {uid})", user.name().to_string_lossy()),
        None => format!("uid {uid}"),
    }
}

/// As `chown` takes a user: by name where it has one.
pub fn account_name(uid: u32) -> String {
    uzers::get_user_by_uid(uid).map_or_else(|| uid.to_string(), |user| user.name().to_string_lossy().into_owned())
}

/// Whether it is this process's user's.
pub fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == own_uid()
}

/// Whether somebody could change it who is neither this process's user nor root.
pub fn is_anothers(metadata: &Metadata) -> bool {
    !is_own(metadata) && metadata.uid() != ROOT
}

/// Whether the group or everybody may write to it.
pub fn is_writable_by_others(metadata: &Metadata) -> bool {
    metadata.mode() & WRITABLE_BY_OTHERS != 0
}

/// Whether every user of the machine may change a file or directory. Not where it is mounted read-only, as Kubernetes mounts config maps
/// and secrets, with whatever mode.
pub fn is_open_to_everybody(file: &File, metadata: &Metadata) -> bool {
    let read_only = || rustix::fs::fstatvfs(file).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
    metadata.mode() & WRITABLE_BY_EVERYBODY != 0 && !is_device(metadata) && !read_only()
}

/// A pipe or a device, as `/dev/stdin`: what comes through it is not kept there.
fn is_device(metadata: &Metadata) -> bool {
    !metadata.is_file() && !metadata.is_dir()
}

/// Whether everybody may read it.
pub fn is_readable_by_everybody(metadata: &Metadata) -> bool {
    metadata.mode() & READABLE_BY_EVERYBODY != 0
}

/// Its permission bits, as `chmod` takes them: `0755`.
pub fn mode(metadata: &Metadata) -> String {
    format!("{:04o}", metadata.mode() & 0o7777)
}
