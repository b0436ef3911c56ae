//! Why a call has no answer. Three things that must never be mixed up, by type: a guest's answer (`Ok`), a guest's
//! [`Fault`], and a bug of ours (a panic, caught at the rim of the request).

use wasmtime::Trap;

use crate::limits;

/// What went wrong in a guest.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// It trapped.
    #[error("it trapped: {0}")]
    Trap(String),
    /// It did not answer in time.
    #[error("it did not answer within {0} ms")]
    Timeout(u64),
    /// It wanted more memory than it may have.
    #[error("it wanted more than its {0} bytes of memory")]
    Memory(usize),
    /// It called itself too deeply.
    #[error("it overflowed its stack")]
    Stack,
    /// Its answer is none.
    #[error("its answer is malformed: {0}")]
    Malformed(String),
    /// All its instances were busy for too long.
    #[error("none of its {0} instances became free in time")]
    Busy(u32),
    /// A new instance did not come up.
    #[error("a new instance did not start: {0}")]
    Start(String),
    /// It could not be told of the cluster's state.
    #[error("it could not be told of changes: {0}")]
    State(String),
    /// It never loaded.
    #[error("it is not in force")]
    Missing,
}

impl Fault {
    /// All that [`Self::kind`] gives.
    pub const KINDS: [&str; 9] = ["trap", "timeout", "memory", "stack", "malformed", "busy", "start", "state", "missing"];

    /// For a metric's label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::Timeout(_) => "timeout",
            Self::Memory(_) => "memory",
            Self::Stack => "stack",
            Self::Malformed(_) => "malformed",
            Self::Busy(_) => "busy",
            Self::Start(_) => "start",
            Self::State(_) => "state",
            Self::Missing => "missing",
        }
    }

    /// From what the engine says. `memory_refused`: the limiter said no since the call began, which a guest rarely
    /// survives and never explains.
    pub(crate) fn from_engine(error: &wasmtime::Error, memory_refused: Option<usize>) -> Self {
        if let Some(bytes) = memory_refused {
            return Self::Memory(bytes);
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => Self::Stack,
            Some(trap) => Self::Trap(trap.to_string()),
            None => Self::Trap(limits::shorten(&error.root_cause().to_string(), limits::MESSAGE_BYTES_MAX).to_owned()),
        }
    }
}
