//! The object handle of a call: what `objects.object` is on the host's side.
//!
//! A guest sees an object as a borrowed handle, which it must give back before it answers; the host keeps a pointer
//! into the request for as long as the call runs. Copying the object into the store instead would cost every plugin
//! what only few need.

use std::ptr::NonNull;

use admission::ObjectView;
use wasmtime::component::Resource;

/// The host's type of the WIT resource. Only ever a number: see [`Lent`].
pub enum ObjectHandle {}

/// The number of the object itself.
const OBJECT: u32 = 0;
/// The number of the object that it replaces.
const OLD: u32 = 1;

/// The objects on loan to the running call.
#[derive(Default)]
pub(crate) struct Lent([Option<NonNull<ObjectView<'static>>>; 2]);

// SAFETY: the pointers are only ever read as `&ObjectView`, which is `Sync`.
unsafe impl Send for Lent {}
// SAFETY: as above; nothing is reachable through `&Lent` but through `get`.
unsafe impl Sync for Lent {}

impl Lent {
    /// Lends the objects.
    ///
    /// # Safety
    /// The guest must not run after the borrows have ended without [`Self::end`] before it: the caller runs the guest
    /// inside a future that holds the borrows, calls `end` when the call returns, and drops the store where the future
    /// is dropped before.
    pub(crate) unsafe fn begin(&mut self, object: Option<&ObjectView<'_>>, old: Option<&ObjectView<'_>>) {
        let erase = |view: &ObjectView<'_>| NonNull::from(view).cast::<ObjectView<'static>>();
        self.0 = [object.map(erase), old.map(erase)];
    }

    /// Takes the objects back: handles are dead from here on.
    pub(crate) fn end(&mut self) {
        self.0 = [None, None];
    }

    /// The object of a handle.
    pub(crate) fn get(&self, handle: &Resource<ObjectHandle>) -> wasmtime::Result<&ObjectView<'_>> {
        let pointer = self.0.get(handle.rep() as usize).copied().flatten();
        let pointer = pointer.ok_or_else(|| wasmtime::format_err!("the object handle outlived its call"))?;
        // SAFETY: between `begin` and `end` the borrow that the pointer came from is alive.
        Ok(unsafe { pointer.as_ref() })
    }

    /// What a call hands to the guest.
    pub(crate) fn handles(
        object: Option<&ObjectView<'_>>,
        old: Option<&ObjectView<'_>>,
    ) -> (Option<Resource<ObjectHandle>>, Option<Resource<ObjectHandle>>) {
        (object.map(|_| Resource::new_borrow(OBJECT)), old.map(|_| Resource::new_borrow(OLD)))
    }
}
