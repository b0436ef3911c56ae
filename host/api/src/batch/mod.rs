//! The kinds of `batch`, a file or a folder each, and what they have in common.

pub(crate) mod cron_job;
pub(crate) mod job;
pub(crate) mod job_spec;
