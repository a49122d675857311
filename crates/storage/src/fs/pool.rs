//! Buffers for streaming that are used again.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Idle buffers are kept for this many bytes while streams run, and for [`KEPT_AT_REST`] otherwise.
const KEPT: usize = 16 * 1024 * 1024;
const KEPT_AT_REST: usize = 1024 * 1024;

/// Buffers of one size. Large allocations go to the kernel and back each time with most allocators; a pool
/// does not.
#[derive(Debug)]
pub(super) struct Pool {
    /// Size of each buffer in bytes.
    size: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Box<[u8]>>,
    lent: usize,
}

/// A buffer, returned to its pool when dropped.
pub(super) struct Buffer {
    bytes: Option<Box<[u8]>>,
    filled: usize,
    pool: Arc<Pool>,
}

impl Pool {
    /// A pool of buffers of `size` bytes.
    pub(super) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            size,
            state: Mutex::default(),
        })
    }

    /// An idle buffer, or a new one. What it holds is left over from its last use.
    pub(super) fn take(self: &Arc<Self>) -> Buffer {
        let idle = {
            let mut state = self.state.lock();
            state.lent += 1;
            state.idle.pop()
        };
        let bytes = idle.unwrap_or_else(|| vec![0; self.size].into_boxed_slice());
        Buffer {
            bytes: Some(bytes),
            filled: 0,
            pool: Arc::clone(self),
        }
    }

    /// Number of buffers that are in use.
    pub(super) fn lent(&self) -> usize {
        self.state.lock().lent
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        let mut surplus = Vec::new();
        let mut state = self.state.lock();
        state.lent -= 1;
        state.idle.push(bytes);
        let keep = if state.lent == 0 { KEPT_AT_REST } else { KEPT } / self.size;
        if state.idle.len() > keep {
            surplus = state.idle.split_off(keep);
        }
        drop(state);
        drop(surplus);
    }
}

impl Buffer {
    /// The memory that a read may fill.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.bytes.as_deref_mut().unwrap_or_default()
    }

    /// The first `filled` bytes of the [`space`](Self::space).
    pub(super) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.filled = filled;
        self.freeze()
    }

    /// Copies as much of `bytes` behind the filled part as there is room for; returns how much.
    pub(super) fn add(&mut self, bytes: &[u8]) -> usize {
        let filled = self.filled;
        let room = &mut self.space()[filled..];
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        count
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.pool.size
    }

    /// The filled part.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_deref().map_or(&[], |bytes| &bytes[..self.filled])
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            self.pool.give_back(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_and_few_stay_at_rest() {
        let pool = Pool::new(256 * 1024);
        let lent: Vec<_> = (0..100).map(|_| pool.take().into_bytes(1)).collect();
        assert!(lent.iter().all(|bytes| bytes.len() == 1));
        let last = lent[0].clone();
        drop(lent);
        assert_eq!(pool.state.lock().idle.len(), KEPT / pool.size);
        drop(last);
        assert_eq!(pool.state.lock().idle.len(), KEPT_AT_REST / pool.size);
        assert_eq!(pool.state.lock().lent, 0);
        pool.take();
        assert_eq!(pool.state.lock().idle.len(), KEPT_AT_REST / pool.size);
    }
}
