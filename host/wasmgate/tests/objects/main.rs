//! Objects from their mark to their end, on a registry over a real store: what a deletion does when the store fails it, what may be
//! written to an object that is being deleted, and what the controllers for garbage and namespaces make of it.

mod deletion;
mod garbage;
mod marked;
mod moved;
mod namespaces;
mod recorder;
mod world;
