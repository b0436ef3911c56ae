//! A disk in memory that may lose its power, be full, or break.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;
use wasmgate_storage_embedded::{Disk, limits::RESERVE_BYTES};

use super::Random;

const PAGE: u64 = 4096;
const SECTOR: usize = 512;
const NO_SPACE: i32 = 28;

/// The disk. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The store.
    main: Option<Contents>,
    /// The file beside it.
    other: Option<Contents>,
    syncs: u64,
    writes: u64,
    /// When the power goes.
    cut_at: Option<Cut>,
    is_cut: bool,
    /// Bytes that there are.
    capacity: Option<u64>,
    /// Pages of all files that hold something: files are sparse, as a file system's are.
    used_pages: u64,
    reserved: u64,
}

/// When the power goes: at a sync, which then writes nothing for certain, or in the middle of a transaction's writes.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Sync(u64),
    Write(u64),
}

type Contents = Arc<Mutex<Pages>>;

/// One file.
#[derive(Debug, Default)]
struct Pages {
    /// What a reader sees.
    live: Vec<u8>,
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Change>,
    written: HashSet<u64>,
}

/// An open file.
#[derive(Debug)]
struct OpenFile {
    disk: SimulatedDisk,
    contents: Contents,
}

#[derive(Clone, Debug)]
enum Change {
    Length(u64),
    Write(u64, Vec<u8>),
}

fn apply(image: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => image.resize(*length as usize, 0),
        Change::Write(offset, data) => {
            // What lies beyond a length that did not survive does not survive either.
            let start = (*offset as usize).min(image.len());
            let end = (start + data.len()).min(image.len());
            image[start..end].copy_from_slice(&data[..end - start]);
        }
    }
}

impl SimulatedDisk {
    /// A disk whose store holds this.
    pub fn holding(image: Vec<u8>) -> Self {
        let disk = Self::default();
        {
            let mut state = disk.0.lock().unwrap();
            let written: HashSet<_> = (0..(image.len() as u64).div_ceil(PAGE)).collect();
            state.used_pages = written.len() as u64;
            let pages = Pages { durable: image.clone(), live: image, pending: Vec::new(), written };
            state.main = Some(Arc::new(Mutex::new(pages)));
        }
        disk
    }

    /// The power goes at the nth sync or the nth write from now.
    pub fn cut_at(&self, cut: Cut) {
        let mut state = self.0.lock().unwrap();
        state.cut_at = Some(match cut {
            Cut::Sync(nth) => Cut::Sync(state.syncs + nth),
            Cut::Write(nth) => Cut::Write(state.writes + nth),
        });
    }

    /// The power stays for now. How many syncs or writes were left, unless it has gone already.
    pub fn hold(&self) -> Option<Cut> {
        let mut state = self.0.lock().unwrap();
        let left = match state.cut_at.take()? {
            Cut::Sync(at) => Cut::Sync(at.saturating_sub(state.syncs).max(1)),
            Cut::Write(at) => Cut::Write(at.saturating_sub(state.writes).max(1)),
        };
        (!state.is_cut).then_some(left)
    }

    pub fn is_cut(&self) -> bool {
        self.0.lock().unwrap().is_cut
    }

    /// The disk after the power cut: all that was synced, and of the rest whatever chance has it. A write may have reached
    /// the disk in some sectors only.
    pub fn survivors(&self, random: &mut Random) -> Self {
        let state = self.0.lock().unwrap();
        let Some(main) = &state.main else { return Self::default() };
        let pages = main.lock().unwrap();
        let mut image = pages.durable.clone();
        let percent = [0, 10, 50, 90, 100][random.below(5) as usize];
        for change in &pages.pending {
            match change {
                Change::Length(_) if random.below(100) < percent => apply(&mut image, change),
                Change::Write(offset, data) if random.below(8) == 0 => {
                    for (number, sector) in data.chunks(SECTOR).enumerate() {
                        if random.below(2) == 0 {
                            apply(&mut image, &Change::Write(offset + (number * SECTOR) as u64, sector.to_vec()));
                        }
                    }
                }
                Change::Write(..) if random.below(100) < percent => apply(&mut image, change),
                _ => {}
            }
        }
        Self::holding(image)
    }

    /// How much room there is from now on, what is used included; `None`: enough.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().unwrap().capacity = bytes;
    }

    pub fn used_bytes(&self) -> u64 {
        self.0.lock().unwrap().used()
    }

    /// What a reader would see.
    pub fn image(&self) -> Vec<u8> {
        self.0.lock().unwrap().main.as_ref().expect("there is a store").lock().unwrap().live.clone()
    }

    fn open_file(&self, contents: &Contents) -> Box<dyn StorageBackend> {
        Box::new(OpenFile { disk: self.clone(), contents: contents.clone() })
    }
}

impl State {
    fn used(&self) -> u64 {
        self.used_pages * PAGE + self.reserved
    }

    fn room_for(&self, more: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() + more > capacity => Err(io::Error::from_raw_os_error(NO_SPACE)),
            _ => Ok(()),
        }
    }

    fn powered(&self) -> io::Result<()> {
        if self.is_cut { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.powered()?;
        self.syncs += 1;
        self.is_cut = matches!(self.cut_at, Some(Cut::Sync(at)) if self.syncs >= at);
        self.powered()
    }

    /// After a write, which may reach the disk though the power goes in it.
    fn wrote(&mut self) -> io::Result<()> {
        self.writes += 1;
        self.is_cut = matches!(self.cut_at, Some(Cut::Write(at)) if self.writes >= at);
        self.powered()
    }
}

impl OpenFile {
    fn lock(&self) -> io::Result<(MutexGuard<'_, State>, MutexGuard<'_, Pages>)> {
        let state = self.disk.0.lock().unwrap();
        state.powered()?;
        Ok((state, self.contents.lock().unwrap()))
    }
}

impl StorageBackend for OpenFile {
    fn len(&self) -> io::Result<u64> {
        let (_state, pages) = self.lock()?;
        Ok(pages.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (_state, pages) = self.lock()?;
        let data = pages.live.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(data.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut state, mut pages) = self.lock()?;
        let before = pages.written.len();
        pages.written.retain(|page| page * PAGE < len);
        state.used_pages -= (before - pages.written.len()) as u64;
        let change = Change::Length(len);
        apply(&mut pages.live, &change);
        pages.pending.push(change);
        state.wrote()
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, mut pages) = self.lock()?;
        state.sync()?;
        for change in std::mem::take(&mut pages.pending) {
            apply(&mut pages.durable, &change);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut state, mut pages) = self.lock()?;
        let all: Vec<u64> = (offset / PAGE..(offset + data.len() as u64).div_ceil(PAGE)).collect();
        let new = all.iter().filter(|page| !pages.written.contains(page)).count() as u64;
        if new > 0 {
            state.room_for(new * PAGE)?;
            state.used_pages += new;
            pages.written.extend(all);
        }
        let change = Change::Write(offset, data.to_vec());
        apply(&mut pages.live, &change);
        pages.pending.push(change);
        state.wrote()
    }
}

impl Disk for SimulatedDisk {
    fn exists(&self) -> bool {
        self.0.lock().unwrap().main.is_some()
    }

    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        let main = {
            let state = self.0.lock().unwrap();
            state.powered()?;
            state.main.clone().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?
        };
        Ok(self.open_file(&main))
    }

    fn open_other(&self) -> io::Result<Box<dyn StorageBackend>> {
        let other = Contents::default();
        {
            let mut state = self.0.lock().unwrap();
            state.powered()?;
            state.other = Some(other.clone());
        }
        Ok(self.open_file(&other))
    }

    fn adopt_other(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        // The name may or may not have reached the disk when the power goes.
        let survives = state.syncs.is_multiple_of(2);
        let synced = state.sync();
        if synced.is_ok() || survives {
            let other = state.other.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            if let Some(old) = state.main.replace(other) {
                state.used_pages -= old.lock().unwrap().written.len() as u64;
            }
        }
        synced
    }

    fn discard_other(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if let Some(other) = state.other.take() {
            state.used_pages -= other.lock().unwrap().written.len() as u64;
        }
        Ok(())
    }

    fn reserve(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.reserved == 0 {
            state.room_for(RESERVE_BYTES as u64)?;
            state.reserved = RESERVE_BYTES as u64;
        }
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        self.0.lock().unwrap().reserved = 0;
        Ok(())
    }

    fn size_bytes(&self) -> io::Result<u64> {
        let main = self.0.lock().unwrap().main.clone();
        Ok(main.map_or(0, |main| main.lock().unwrap().live.len() as u64))
    }

    fn name(&self) -> String {
        "the simulated disk".into()
    }
}
