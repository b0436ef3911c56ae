//! Every bound of this crate, with its unit in its name.

use std::time::Duration;

/// A component's size.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// Size of a component's compiled code: it is about twice the component's.
pub const COMPILED_BYTES_MAX: usize = 8 * COMPONENT_BYTES_MAX;
/// A manifest's size.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// Plugins that are compiled and started at once. The others wait for one of them to be done.
pub const LOADS_COUNT_MAX: usize = 8;
/// Plugins of a directory.
pub const DIRECTORY_PLUGINS_MAX: usize = 256;
/// What a manifest may ask for as an instance's memory.
pub const MEMORY_BYTES_MAX: usize = 1 << 30;
/// An instance's memory where the manifest says nothing.
pub const MEMORY_BYTES_DEFAULT: usize = 128 << 20;
/// What a manifest may ask for as a call's time.
pub const TIMEOUT_MILLISECONDS_MAX: u64 = 30_000;
/// A call's time where the manifest says nothing.
pub const TIMEOUT_MILLISECONDS_DEFAULT: u64 = 1_000;
/// What a manifest may ask for as instances of one plugin.
pub const INSTANCES_MAX: u32 = 64;
/// Elements of an instance's tables.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Memories, tables and core instances inside one instance: Python's components have the most, about twenty.
pub const PARTS_PER_INSTANCE_MAX: u32 = 100;
/// Live instances of all plugins.
pub const INSTANCES_TOTAL_MAX: u32 = 512;
/// Handles of requests that an instance may hold before another takes its place: a language that collects garbage drops them late.
pub const REQUEST_HANDLES_HELD_MAX: usize = 1_000;
/// What the host copies out of a guest in one call: answers and arguments of what it calls.
pub const COPIED_BYTES_PER_CALL_MAX: usize = 32 << 20;
/// Bytes of a mutating plugin's patch, as of a client's.
pub const PATCH_BYTES_MAX: usize = 3 << 20;
/// How long a new instance has to come up: instantiation, `configure`, and its first state.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an instance has to be told of changes.
pub const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// The ticker's beat: a guest that loops gives its worker back this often.
pub const EPOCH_TICK: Duration = Duration::from_millis(5);
/// Changes told in one call of `changes.apply`.
pub const CHANGES_PER_CALL_MAX: usize = 1_000;
/// Bytes of the objects told in one call of `changes.apply`, unless one object alone has more.
pub const CHANGES_BYTES_PER_CALL_MAX: usize = 1 << 20;
/// Indexes of one plugin.
pub const INDEXES_MAX: usize = 16;
/// Parts of an index's key.
pub const INDEX_KEY_PARTS_MAX: usize = 4;
/// Bytes of a part of a key. A longer text is no key, and cannot be asked for.
pub const INDEX_KEY_BYTES_MAX: usize = 1_024;
/// Objects that a look-up in an index gives at once.
pub const INDEX_PAGE_ENTRIES_MAX: usize = 1_000;
/// Bytes of what they show, unless one alone has more.
pub const INDEX_PAGE_BYTES_MAX: usize = 1 << 20;
/// Changes that an index takes in on the way of a call; more are left to another thread, for which the call waits.
pub const INDEX_CHANGES_INLINE_MAX: usize = 256;
/// Handles of indexes that an instance may hold at once.
pub const INDEX_HANDLES_MAX: u32 = 1_024;
/// Origins that `http` may reach.
pub const HTTP_ORIGINS_MAX: usize = 64;
/// What a manifest may ask for as bytes of the body of a request of `http`, or of its answer.
pub const HTTP_BODY_BYTES_MAX: u64 = 16 << 20;
/// These bytes where the manifest says nothing.
pub const HTTP_BODY_BYTES_DEFAULT: u64 = 1 << 20;
/// Of the time that a call has left, what its outgoing request does not get: what the guest has to answer in.
pub const HTTP_TIME_KEPT_BACK: f64 = 0.1;
/// Bytes of a key of a counter.
pub const COUNTER_KEY_BYTES_MAX: usize = 1_024;
/// What a manifest may ask for as keys of counters.
pub const COUNTER_KEYS_MAX: u64 = 65_536;
/// These where it says nothing; upstream's `cacheSize`.
pub const COUNTER_KEYS_DEFAULT: u64 = 4_096;
/// Answers that are remembered of one pure plugin and one of its roles.
pub const REMEMBERED_ANSWERS_MAX: usize = 4_096;
/// Bytes of a question whose answer is remembered.
pub const REMEMBERED_QUESTION_BYTES_MAX: usize = 2_048;
/// Objects that come with a call.
pub const LOOKUPS_MAX: usize = 8;
/// Objects that `cluster.list` gives at once, in bytes.
pub const LIST_BYTES_MAX: usize = 64 << 20;
/// Random bytes of one call.
pub const RANDOM_BYTES_MAX: u32 = 1_024;
/// Lines that one call may log.
pub const LOG_LINES_PER_CALL_MAX: u32 = 64;
/// Bytes of one logged line.
pub const LOG_LINE_BYTES_MAX: usize = 4_096;
/// Bytes of a guest's words that go into an error.
pub const MESSAGE_BYTES_MAX: usize = 8_192;
/// Warnings, and audit annotations, of one answer.
pub const NOTES_MAX: usize = 1_024;
/// Objects that one answer charges.
pub const CHARGED_OBJECTS_MAX: usize = 64;
/// Amounts that one object is charged at once.
pub const CHARGED_AMOUNTS_MAX: usize = 256;
/// Bytes of the name of an amount, and of its quantity.
pub const CHARGED_AMOUNT_BYTES_MAX: usize = 512;
/// Names of an object by pointer.
pub const POINTER_BYTES_MAX: usize = 4_096;
/// Fields that a guest picks at once.
pub const PICKED_FIELDS_MAX: usize = 64;
/// The path of such a field.
pub const PICKED_FIELD_BYTES_MAX: usize = 256;
/// Characters of why a plugin does not load.
pub const REASON_CHARS_MAX: usize = 2_048;
/// How long a directory must be quiet before it is read.
pub const DIRECTORY_DEBOUNCE: Duration = Duration::from_millis(200);
/// After so long it is read, quiet or not.
pub const DIRECTORY_DEBOUNCE_MAX: Duration = Duration::from_secs(5);
/// How often a directory is read even where nothing told of a change: network file systems do not tell.
pub const DIRECTORY_RESCAN: Duration = Duration::from_secs(30);
/// Bytes of a token that is looked at at all.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Tokens whose verified signature is remembered.
pub const VERIFIED_TOKENS_MAX: usize = 4_096;

const _: () = assert!(MEMORY_BYTES_DEFAULT <= MEMORY_BYTES_MAX);
const _: () = assert!(TIMEOUT_MILLISECONDS_DEFAULT <= TIMEOUT_MILLISECONDS_MAX);
const _: () = assert!(INSTANCES_MAX <= INSTANCES_TOTAL_MAX);
// A pool's slot is reserved at 4 GiB whatever the limit, so that no load or store needs a bounds check.
const _: () = assert!(MEMORY_BYTES_MAX < 1 << 32);

/// A guest's words, as far as they are kept.
pub(crate) fn bounded(mut text: String) -> String {
    let end = shorten(&text, MESSAGE_BYTES_MAX).len();
    text.truncate(end);
    text
}

/// The start of a guest's words, at a character's border.
pub(crate) fn shorten(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}
