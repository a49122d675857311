//! The order to end a stream or a connection, from outside the task that serves it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, Ordering::SeqCst},
};

use tokio::sync::Notify;

/// No order was given.
const NONE: u8 = 0;

/// A connection is to end unless a request has come.
const IF_IDLE: u8 = 1;

/// The end is unconditional.
const NOW: u8 = 2;

/// The order to end a stream or a connection. The task that serves it waits for the order beside its work.
#[derive(Debug, Default)]
pub(crate) struct End {
    order: Notify,
    /// One of [`NONE`], [`IF_IDLE`] and [`NOW`].
    given: AtomicU8,
    /// Whether the task has ended, and HTTP/2 still sends what it left in the buffers of its stream.
    is_over: AtomicBool,
    /// The end of the connection, for a stream.
    connection: Option<Arc<Self>>,
}

impl End {
    /// The end of a stream of the connection whose end is `connection`.
    pub(crate) fn of_stream(connection: Arc<Self>) -> Self {
        Self {
            connection: Some(connection),
            ..Self::default()
        }
    }

    /// Gives the order. A stream without a task can only be ended with its connection.
    pub(crate) fn ask(&self) {
        self.given.store(NOW, SeqCst);
        self.order.notify_one();
        if self.is_over.load(SeqCst) {
            self.ask_connection();
        }
    }

    /// Gives the order to an idle connection: it is void if a request came meanwhile.
    pub(crate) fn ask_if_idle(&self) {
        if self.given.compare_exchange(NONE, IF_IDLE, SeqCst, SeqCst).is_ok() {
            self.order.notify_one();
        }
    }

    /// Withdraws an order that was given to an idle connection, because it is not.
    pub(crate) fn withdraw(&self) {
        // An unconditional order stays.
        _ = self.given.compare_exchange(IF_IDLE, NONE, SeqCst, SeqCst);
    }

    /// Whether an order was given.
    pub(crate) fn is_asked(&self) -> bool {
        self.given.load(SeqCst) != NONE
    }

    /// Whether the order is unconditional.
    pub(crate) fn is_unconditional(&self) -> bool {
        self.given.load(SeqCst) == NOW
    }

    /// Waits for the order.
    pub(crate) async fn asked(&self) {
        self.order.notified().await;
    }

    /// Records that the task has ended by itself. Either this sees an order that came meanwhile, or the order sees this.
    pub(crate) fn over(&self) {
        self.is_over.store(true, SeqCst);
        if self.is_asked() {
            self.ask_connection();
        }
    }

    fn ask_connection(&self) {
        if let Some(connection) = &self.connection {
            connection.ask();
        }
    }
}
