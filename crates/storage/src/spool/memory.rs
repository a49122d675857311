//! Queues in memory, for a registry that keeps everything there.

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{AbandonedSpool, Spool, SpoolEntry, SpoolLimits, SpoolName, Spools};
use crate::Result;

/// Queues that end with the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemorySpools;

impl Spools for MemorySpools {
    fn open(&self, _name: &SpoolName, limits: SpoolLimits) -> Result<Arc<dyn Spool>> {
        Ok(Arc::new(MemorySpool {
            limits,
            ring: Mutex::default(),
        }))
    }

    fn tidy(&self, _in_use: &[SpoolName], _cutoff: SystemTime) -> Result<Vec<AbandonedSpool>> {
        Ok(Vec::new())
    }
}

#[derive(Debug)]
struct MemorySpool {
    limits: SpoolLimits,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<Bytes>,
    bytes: u64,
    /// The number of the oldest record.
    first: u64,
}

impl Ring {
    fn pop(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.bytes -= record.len() as u64;
            self.first += 1;
        }
    }
}

impl Spool for MemorySpool {
    fn append(&self, record: &[u8]) -> Result<u64> {
        let (limits, size) = (self.limits, record.len() as u64);
        if size > limits.bytes || limits.records == 0 {
            return Ok(1);
        }
        let mut ring = self.ring.lock();
        let mut dropped = 0;
        while ring.records.len() as u64 >= limits.records || ring.bytes + size > limits.bytes {
            ring.pop();
            dropped += 1;
        }
        ring.bytes += size;
        ring.records.push_back(Bytes::copy_from_slice(record));
        Ok(dropped)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn first(&self) -> Result<Option<SpoolEntry>> {
        let ring = self.ring.lock();
        Ok(ring.records.front().map(|record| SpoolEntry {
            record: record.clone(),
            position: (0, ring.first),
        }))
    }

    fn remove(&self, entry: &SpoolEntry) -> Result<()> {
        let mut ring = self.ring.lock();
        if entry.position == (0, ring.first) {
            ring.pop();
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.ring.lock().records.len() as u64
    }

    fn is_durable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_its_oldest_records() {
        let limits = SpoolLimits {
            records: 3,
            bytes: 10,
        };
        let spool = MemorySpools.open(&SpoolName::of("a"), limits).unwrap();
        for record in ["1", "2", "3"] {
            assert_eq!(spool.append(record.as_bytes()).unwrap(), 0);
        }
        let first = spool.first().unwrap().unwrap();
        assert_eq!(spool.append(b"4").unwrap(), 1);
        // It was dropped while a sender delivered it.
        spool.remove(&first).unwrap();
        assert_eq!(spool.len(), 3);
        assert_eq!(spool.append(b"123456789").unwrap(), 2);
        assert_eq!(spool.append(b"12345678901").unwrap(), 1);
        let mut left = Vec::new();
        while let Some(entry) = spool.first().unwrap() {
            spool.remove(&entry).unwrap();
            left.push(entry.record);
        }
        assert_eq!(left, [&b"4"[..], b"123456789"]);
    }
}
