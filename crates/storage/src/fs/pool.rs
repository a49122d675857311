//! Buffers for streaming that are used again.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// The size of a buffer in bytes, and so of the pieces of a stream.
pub(super) const BUFFER: usize = 256 * 1024;

/// Idle buffers are kept for this many bytes while streams run, and for [`KEPT_AT_REST`] otherwise.
const KEPT: usize = 16 * 1024 * 1024 / BUFFER;
const KEPT_AT_REST: usize = 1024 * 1024 / BUFFER;

/// Allocations of this size go to the kernel and back each time with most allocators; a pool does not.
#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Box<[u8]>>,
    lent: usize,
}

/// A buffer of [`BUFFER`] bytes, returned to its pool when dropped.
pub(super) struct Buffer {
    bytes: Option<Box<[u8]>>,
    filled: usize,
    pool: Arc<Pool>,
}

impl Pool {
    /// An idle buffer, or a new one. What it holds is left over from its last use.
    pub(super) fn take(self: &Arc<Self>) -> Buffer {
        let idle = {
            let mut state = self.state.lock();
            state.lent += 1;
            state.idle.pop()
        };
        let bytes = idle.unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
        Buffer {
            bytes: Some(bytes),
            filled: 0,
            pool: Arc::clone(self),
        }
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        let mut surplus = Vec::new();
        let mut state = self.state.lock();
        state.lent -= 1;
        state.idle.push(bytes);
        let keep = if state.lent == 0 { KEPT_AT_REST } else { KEPT };
        if state.idle.len() > keep {
            surplus = state.idle.split_off(keep);
        }
        drop(state);
        drop(surplus);
    }
}

impl Buffer {
    /// Where to read into.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.bytes.as_deref_mut().unwrap_or_default()
    }

    /// The first `filled` bytes.
    pub(super) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.filled = filled;
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
        let pool = Arc::new(Pool::default());
        let lent: Vec<_> = (0..100).map(|_| pool.take().into_bytes(1)).collect();
        assert!(lent.iter().all(|bytes| bytes.len() == 1));
        let last = lent[0].clone();
        drop(lent);
        assert_eq!(pool.state.lock().idle.len(), KEPT);
        drop(last);
        assert_eq!(pool.state.lock().idle.len(), KEPT_AT_REST);
        assert_eq!(pool.state.lock().lent, 0);
        pool.take();
        assert_eq!(pool.state.lock().idle.len(), KEPT_AT_REST);
    }
}
