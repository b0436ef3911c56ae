//! Nothing: the tests beside it are what this crate is for.
