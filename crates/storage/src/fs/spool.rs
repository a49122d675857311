//! Queues on the disk: each a directory of append-only segments, and a file that says where the oldest record is.
//!
//! ```text
//! wharf/events/<name>/0000000000000000      records: length, check, bytes; the next one behind it
//! wharf/events/<name>/0000000000000001      where new records go
//! wharf/events/<name>/cursor                the segment and the offset of the oldest record
//! ```
//!
//! # What is found after a crash
//!
//! A record is written with one call at the end of the last segment, and counts from its return: what the process
//! was told is in the page cache then, which a `kill -9` does not touch. After a cut of power the end of a segment
//! may be missing, or zero, or half of a record; its check tells, and what lies behind it is cut off. Segments are
//! never appended to by a second process, so nothing is ever written behind a record that did not survive.
//!
//! The cursor is written in place. It fits in one sector and has a check of its own; without it, or with an old one,
//! some records come again.

use std::{collections::VecDeque, fmt, io, ops::ControlFlow, sync::Arc, time::SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::{
    Engine, FsStorage, OURS, create_directory,
    sys::{Disk, Kind, write_all_at},
};
use crate::{
    Error, Result,
    spool::{AbandonedSpool, Spool, SpoolEntry, SpoolLimits, SpoolName, Spools},
};

const EVENTS: &str = "wharf/events";
const CURSOR: &str = "cursor";

/// Bytes before each record: its length, and the check over that and the record.
const HEADER: u64 = 12;

/// What the checks begin with, so that a format to come has different ones.
const FORMAT: &[u8] = b"wharf spool 1";

/// About how many segments a full queue has; the oldest one is removed as a whole.
const SEGMENTS: u64 = 8;

/// Size in bytes after which a new segment is begun: a segment is read whole when the queue is opened.
const SEGMENT_BYTES: u64 = 4 << 20;

impl<D: Disk> Spools for FsStorage<D> {
    fn open(&self, name: &SpoolName, limits: SpoolLimits) -> Result<Arc<dyn Spool>> {
        let spool = FsSpool::open(Arc::clone(&self.engine), name, limits)
            .map_err(|error| Error::io(format!("open the queue `{EVENTS}/{name}`"), error))?;
        Ok(Arc::new(spool))
    }

    fn tidy(&self, in_use: &[SpoolName], cutoff: SystemTime) -> Result<Vec<AbandonedSpool>> {
        tidy(&self.engine, in_use, cutoff)
            .map_err(|error| Error::io(format!("look for old queues in `{EVENTS}`"), error))
    }
}

struct FsSpool<D: Disk> {
    engine: Arc<Engine<D>>,
    directory: String,
    limits: SpoolLimits,
    state: Mutex<State<D>>,
}

struct State<D: Disk> {
    /// Segments, oldest first; only the last one may be empty.
    segments: VecDeque<Segment>,
    /// Offset of the oldest record in the first segment.
    offset: u64,
    /// The first segment, open, when it was read from.
    reading: Option<(u64, Arc<D::File>)>,
    /// The last segment, open, when this process began it.
    writing: Option<Arc<D::File>>,
    cursor: Arc<D::File>,
    next_number: u64,
    records: u64,
    bytes: u64,
    unsynced: Unsynced<D>,
}

/// The files and names that the next sync makes durable.
struct Unsynced<D: Disk> {
    files: Vec<Arc<D::File>>,
    names: bool,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    /// Offset behind its last whole record.
    end: u64,
    /// Number of its records that are still in the queue.
    records: u64,
    /// Bytes of these records, with their headers.
    bytes: u64,
}

impl<D: Disk> FsSpool<D> {
    fn open(engine: Arc<Engine<D>>, name: &SpoolName, limits: SpoolLimits) -> io::Result<Self> {
        let disk = &engine.disk;
        let directory = format!("{EVENTS}/{name}");
        for path in [OURS, EVENTS, &directory] {
            create_directory(disk, path)?;
        }
        for path in ["", OURS, EVENTS] {
            disk.sync_directory(&disk.open_directory(path)?)?;
        }
        let cursor = open_or_create(disk, &format!("{directory}/{CURSOR}"))?;
        let (first, offset) = read_cursor(disk, &cursor)?.unwrap_or((0, 0));
        let mut state = State {
            segments: VecDeque::new(),
            offset: 0,
            reading: None,
            writing: None,
            cursor: Arc::new(cursor),
            next_number: first,
            records: 0,
            bytes: 0,
            unsynced: Unsynced {
                files: Vec::new(),
                names: true,
            },
        };
        for number in segment_numbers(disk, &directory)? {
            let path = segment_path(&directory, number);
            let skip = if number == first { offset } else { 0 };
            let segment = scan(disk, &path, number, skip)?;
            state.next_number = state.next_number.max(number + 1);
            if number < first || segment.records == 0 {
                disk.remove_file(&path)?;
                continue;
            }
            if state.segments.is_empty() {
                state.offset = skip;
            }
            state.records += segment.records;
            state.bytes += segment.bytes;
            state.segments.push_back(segment);
        }
        Ok(Self {
            engine,
            directory,
            limits,
            state: Mutex::new(state),
        })
    }

    fn path(&self, number: u64) -> String {
        segment_path(&self.directory, number)
    }

    /// The file that the next record goes into, and where.
    fn place(&self, state: &mut State<D>) -> io::Result<(Arc<D::File>, u64)> {
        let is_full = |segment: &Segment| {
            segment.end >= SEGMENT_BYTES.min(self.limits.bytes / SEGMENTS)
                || segment.records >= (self.limits.records / SEGMENTS).max(1)
        };
        if let (Some(file), Some(last)) = (&state.writing, state.segments.back())
            && !is_full(last)
        {
            return Ok((Arc::clone(file), last.end));
        }
        let number = state.next_number;
        let file = Arc::new(self.engine.disk.create(&self.path(number))?);
        state.next_number += 1;
        if state.segments.is_empty() {
            state.offset = 0;
        }
        state.segments.push_back(Segment {
            number,
            end: 0,
            records: 0,
            bytes: 0,
        });
        state.unsynced.names = true;
        state.writing = Some(Arc::clone(&file));
        Ok((file, 0))
    }

    /// Removes the first segment, with what is left in it.
    fn drop_first(&self, state: &mut State<D>) -> io::Result<u64> {
        let Some(segment) = state.segments.pop_front() else {
            return Ok(0);
        };
        state.records -= segment.records;
        state.bytes -= segment.bytes;
        state.offset = 0;
        state.reading = None;
        if state.segments.is_empty() {
            state.writing = None;
        }
        let next = state
            .segments
            .front()
            .map_or(state.next_number, |next| next.number);
        self.write_cursor(state, next, 0)?;
        state.unsynced.names = true;
        self.engine.remove_if_there(&self.path(segment.number))?;
        Ok(segment.records)
    }

    fn write_cursor(&self, state: &State<D>, number: u64, offset: u64) -> io::Result<()> {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&number.to_le_bytes());
        place[8..].copy_from_slice(&offset.to_le_bytes());
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&place);
        bytes[16..].copy_from_slice(&check(&place));
        write_all_at(&self.engine.disk, &*state.cursor, &bytes, 0)
    }

    fn make_room(&self, state: &mut State<D>, size: u64) -> io::Result<u64> {
        let mut dropped = 0;
        while !state.segments.is_empty()
            && (state.records >= self.limits.records || state.bytes + size > self.limits.bytes)
        {
            dropped += self.drop_first(state)?;
        }
        Ok(dropped)
    }

    fn write(&self, record: &[u8]) -> io::Result<u64> {
        let size = HEADER + record.len() as u64;
        let Ok(length) = u32::try_from(record.len()) else {
            return Ok(1);
        };
        if size > self.limits.bytes || self.limits.records == 0 {
            return Ok(1);
        }
        let length = length.to_le_bytes();
        let mut bytes = Vec::with_capacity(record.len() + 12);
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&checks(&[&length, record]));
        bytes.extend_from_slice(record);
        let mut state = self.state.lock();
        let dropped = self.make_room(&mut state, size)?;
        let (file, end) = self.place(&mut state)?;
        write_all_at(&self.engine.disk, &*file, &bytes, end)?;
        if !state
            .unsynced
            .files
            .iter()
            .any(|unsynced| Arc::ptr_eq(unsynced, &file))
        {
            state.unsynced.files.push(file);
        }
        state.records += 1;
        state.bytes += size;
        if let Some(last) = state.segments.back_mut() {
            last.end += size;
            last.records += 1;
            last.bytes += size;
        }
        Ok(dropped)
    }

    fn read(&self) -> io::Result<Option<SpoolEntry>> {
        let mut state = self.state.lock();
        while state.records > 0 {
            let Some(segment) = state.segments.front().copied() else {
                return Ok(None);
            };
            if segment.records > 0 {
                let file = self.reader(&mut state, segment.number)?;
                if let Some(record) = read_record(&self.engine.disk, &file, state.offset, segment.end)? {
                    return Ok(Some(SpoolEntry {
                        record,
                        position: (segment.number, state.offset),
                    }));
                }
                let (records, file) = (segment.records, self.path(segment.number));
                tracing::error!(
                    records,
                    file,
                    "a file of queued events is damaged; the rest of its events is lost"
                );
            }
            self.drop_first(&mut state)?;
        }
        Ok(None)
    }

    fn reader(&self, state: &mut State<D>, number: u64) -> io::Result<Arc<D::File>> {
        if let Some((open, file)) = &state.reading
            && *open == number
        {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(self.engine.disk.open(&self.path(number))?);
        state.reading = Some((number, Arc::clone(&file)));
        Ok(file)
    }

    fn remove_entry(&self, entry: &SpoolEntry) -> io::Result<()> {
        let mut state = self.state.lock();
        let offset = state.offset;
        let is_last = state.segments.len() == 1;
        let Some(first) = state.segments.front_mut() else {
            return Ok(());
        };
        if entry.position != (first.number, offset) || first.records == 0 {
            return Ok(());
        }
        let size = HEADER + entry.record.len() as u64;
        first.records -= 1;
        first.bytes -= size;
        let first = *first;
        state.offset += size;
        state.records -= 1;
        state.bytes -= size;
        if first.records == 0 && !is_last {
            self.drop_first(&mut state)?;
            return Ok(());
        }
        self.write_cursor(&state, first.number, state.offset)
    }

    fn sync_all(&self) -> io::Result<()> {
        let disk = &self.engine.disk;
        let (unsynced, cursor) = {
            let mut state = self.state.lock();
            let names = std::mem::replace(&mut state.unsynced.names, false);
            let files = std::mem::take(&mut state.unsynced.files);
            (Unsynced::<D> { files, names }, Arc::clone(&state.cursor))
        };
        for file in &unsynced.files {
            disk.sync_file(file)?;
        }
        disk.sync_file(&cursor)?;
        if unsynced.names {
            disk.sync_directory(&disk.open_directory(&self.directory)?)?;
        }
        Ok(())
    }

    fn failed(&self, doing: &str, error: io::Error) -> Error {
        Error::io(format!("{doing} the queue `{}`", self.directory), error)
    }
}

impl<D: Disk> Spool for FsSpool<D> {
    fn append(&self, record: &[u8]) -> Result<u64> {
        self.write(record)
            .map_err(|error| self.failed("append to", error))
    }

    fn sync(&self) -> Result<()> {
        self.sync_all().map_err(|error| self.failed("sync", error))
    }

    fn first(&self) -> Result<Option<SpoolEntry>> {
        self.read().map_err(|error| self.failed("read", error))
    }

    fn remove(&self, entry: &SpoolEntry) -> Result<()> {
        self.remove_entry(entry)
            .map_err(|error| self.failed("remove from", error))
    }

    fn len(&self) -> u64 {
        self.state.lock().records
    }

    fn is_durable(&self) -> bool {
        true
    }
}

impl<D: Disk> fmt::Debug for FsSpool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FsSpool")
            .field("directory", &self.directory)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn open_or_create<D: Disk>(disk: &D, path: &str) -> io::Result<D::File> {
    match disk.open_to_write(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(path),
        other => other,
    }
}

/// The segment and the offset of the oldest record; `None` when there is no valid cursor.
fn read_cursor<D: Disk>(disk: &D, file: &D::File) -> io::Result<Option<(u64, u64)>> {
    let mut bytes = [0; 24];
    if !read_exactly(disk, file, &mut bytes, 0)? {
        return Ok(None);
    }
    let (place, found) = bytes.split_at(16);
    let (number, offset) = place.split_at(8);
    let read = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or_default();
    Ok((found == check(place)).then(|| (read(number), read(offset))))
}

fn segment_path(directory: &str, number: u64) -> String {
    format!("{directory}/{number:016x}")
}

fn segment_numbers<D: Disk>(disk: &D, directory: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    disk.read_directory(directory, &mut |name, kind| {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let number = (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok());
        if let (Some(Some(number)), Kind::File | Kind::Unknown) = (number, kind) {
            numbers.push(number);
        }
        ControlFlow::Continue(())
    })?;
    numbers.sort_unstable();
    Ok(numbers)
}

/// Counts what is whole in a segment from `skip` on, and cuts off what is not.
fn scan<D: Disk>(disk: &D, path: &str, number: u64, skip: u64) -> io::Result<Segment> {
    let file = disk.open_to_write(path)?;
    let size = disk.stat_file(&file)?.size;
    let mut segment = Segment {
        number,
        end: skip,
        records: 0,
        bytes: 0,
    };
    while let Some(record) = read_record(disk, &file, segment.end, size)? {
        let bytes = HEADER + record.len() as u64;
        segment.end += bytes;
        segment.bytes += bytes;
        segment.records += 1;
    }
    if segment.end < size {
        tracing::warn!(
            file = path,
            bytes = size - segment.end,
            "the end of a file of queued events was not written when the machine stopped; it is cut off"
        );
        disk.set_length(&file, segment.end)?;
    }
    Ok(segment)
}

/// The record at `offset` of a file in which `end` is the end; `None` when there is none, or not all of one.
fn read_record<D: Disk>(disk: &D, file: &D::File, offset: u64, end: u64) -> io::Result<Option<Bytes>> {
    let mut header = [0; 12];
    if offset + HEADER > end || !read_exactly(disk, file, &mut header, offset)? {
        return Ok(None);
    }
    let (length, found) = header.split_at(4);
    let size: u32 = length.try_into().map(u32::from_le_bytes).unwrap_or_default();
    if offset + HEADER + u64::from(size) > end {
        return Ok(None);
    }
    let mut record = vec![0; size as usize];
    let is_whole = read_exactly(disk, file, &mut record, offset + HEADER)?;
    Ok((is_whole && found == checks(&[length, &record])).then(|| record.into()))
}

/// Fills `buffer` from `offset` on; false when the file ends before.
fn read_exactly<D: Disk>(
    disk: &D,
    file: &D::File,
    mut buffer: &mut [u8],
    mut offset: u64,
) -> io::Result<bool> {
    while !buffer.is_empty() {
        let count = disk.read_at(file, buffer, offset)?;
        if count == 0 {
            return Ok(false);
        }
        buffer = &mut buffer[count..];
        offset += count as u64;
    }
    Ok(true)
}

fn check(bytes: &[u8]) -> [u8; 8] {
    checks(&[bytes])
}

/// A part of a SHA-256: wharf has the code anyway, and its cost is small beside that of the write.
fn checks(parts: &[&[u8]]) -> [u8; 8] {
    let mut hasher = Sha256::new_with_prefix(FORMAT);
    for part in parts {
        hasher.update(part);
    }
    let mut check = [0; 8];
    check.copy_from_slice(&hasher.finalize()[..8]);
    check
}

fn tidy<D: Disk>(
    engine: &Engine<D>,
    in_use: &[SpoolName],
    cutoff: SystemTime,
) -> io::Result<Vec<AbandonedSpool>> {
    let mut names = Vec::new();
    let listed = engine.disk.read_directory(EVENTS, &mut |name, _| {
        let name = String::from_utf8_lossy(name).into_owned();
        if !in_use.iter().any(|used| used.as_str() == name) {
            names.push(name);
        }
        ControlFlow::Continue(())
    });
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    }
    let mut abandoned = Vec::new();
    for name in names {
        let directory = format!("{EVENTS}/{name}");
        let is_removed = last_used(engine, &directory)? < cutoff;
        if is_removed {
            engine.remove_recursively(&directory)?;
        }
        abandoned.push(AbandonedSpool { name, is_removed });
    }
    Ok(abandoned)
}

/// When something in the directory, or its list of names, last changed.
fn last_used<D: Disk>(engine: &Engine<D>, directory: &str) -> io::Result<SystemTime> {
    let mut last = SystemTime::from(engine.disk.stat(directory)?.modified);
    for number in segment_numbers(&engine.disk, directory).unwrap_or_default() {
        let stamp = engine.disk.stat(&segment_path(directory, number))?.modified;
        last = last.max(stamp.into());
    }
    Ok(last)
}

#[cfg(test)]
mod tests;
