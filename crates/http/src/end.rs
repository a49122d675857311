//! The order to end a stream or a connection, from outside the task that serves it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use tokio::sync::Notify;

/// The order to end a stream or a connection. The task that serves it waits for the order beside its work.
#[derive(Debug, Default)]
pub(crate) struct End {
    order: Notify,
    is_asked: AtomicBool,
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
        self.is_asked.store(true, SeqCst);
        self.order.notify_one();
        if self.is_over.load(SeqCst) {
            self.ask_connection();
        }
    }

    /// Whether the order was given.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(SeqCst)
    }

    /// Waits for the order.
    pub(crate) async fn asked(&self) {
        self.order.notified().await;
    }

    /// Records that the task has ended by itself. Either this sees an order that came meanwhile, or the order sees this.
    pub(crate) fn over(&self) {
        self.is_over.store(true, SeqCst);
        if self.is_asked.load(SeqCst) {
            self.ask_connection();
        }
    }

    fn ask_connection(&self) {
        if let Some(connection) = &self.connection {
            connection.ask();
        }
    }
}
