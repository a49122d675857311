//! Answers on their way to clients: the memory that they hold, and the end of those that no client takes.
//!
//! A large answer is read in pieces, and each piece is charged to the share `transfers` before it is read. A client
//! that is slow and one that attacks look the same for a while, and differ only in number: so an answer whose client
//! takes nothing is kept for long while there is room, and ended when another answer needs its memory, the longest
//! stalled first.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Semaphore, time::Instant};
use wharf_budget::{Exhausted, Permit, Share};

use crate::end::End;

/// Bytes that are charged before a piece is read: no piece of a blob is larger.
const PIECE: usize = 256 << 10;

/// Time without progress after which an answer may be ended in favour of another one. Where memory is short, pieces
/// are of 64 KiB: a client that takes 13 kB/s is never ended so.
const GRACE: Duration = Duration::from_secs(5);

/// Time between two attempts to end an answer while another one waits.
const RETRY: Duration = Duration::from_millis(500);

/// Maximum time for which an answer waits for memory.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Maximum time for which a request waits to be let in: longer than [`GRACE`], so that it outlasts stalled answers.
const LONGEST_ADMISSION: Duration = Duration::from_secs(10);

/// The answers of a server that hold memory.
#[derive(Debug)]
pub(crate) struct Transfers {
    memory: Share,
    requests: Share,
    handed_out: Mutex<HandedOut>,
}

/// Pieces in memory, in the order in which they were handed to their connections; and answers over HTTP/2 whose next
/// piece the client does not let come.
#[derive(Debug, Default)]
struct HandedOut {
    pieces: BTreeMap<u64, Stalled>,
    next: u64,
}

/// A piece that its client has not taken yet.
#[derive(Debug)]
struct Stalled {
    since: Instant,
    client: Option<SocketAddr>,
    end: Arc<End>,
}

/// Bytes that are charged until they are sent.
struct Piece {
    bytes: Bytes,
    _permit: Permit,
    transfers: Arc<Transfers>,
    number: u64,
}

/// The place of one connection in the queues for memory and for requests: one at a time, so that a connection with a
/// hundred streams waits like a connection with one.
#[derive(Debug)]
pub(crate) struct Turns {
    memory: Semaphore,
    request: Semaphore,
}

/// The wait for a permit.
type Waiting = dyn Future<Output = Result<Permit, Exhausted>> + Send;

/// The memory for one answer: permits for its pieces, one after the other.
pub(crate) struct Holding {
    transfers: Arc<Transfers>,
    turns: Arc<Turns>,
    client: Option<SocketAddr>,
    end: Arc<End>,
    /// Over HTTP/2, where a client need not let a piece come: the entry of this answer in [`HandedOut`] while it waits for
    /// its client.
    lying: Option<u64>,
    is_stream: bool,
    /// The permit for the next piece.
    next: Option<Permit>,
    waiting: Option<Pin<Box<Waiting>>>,
}

impl Transfers {
    pub(crate) fn new(memory: Share, requests: Share) -> Self {
        Self {
            memory,
            requests,
            handed_out: Mutex::default(),
        }
    }

    /// The permit for a request of an HTTP/2 connection. While all are in use, one request of each connection waits,
    /// and stalled answers are ended in its favour.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if no request ends in time, or another one of the connection waits already.
    pub(crate) async fn admit(&self, turns: &Turns) -> Result<Permit, Exhausted> {
        if let Some(permit) = self.requests.try_take(1) {
            return Ok(permit);
        }
        let Ok(_turn) = turns.request.try_acquire() else {
            return self.requests.take(1);
        };
        self.wait(&self.requests, 1, LONGEST_ADMISSION).await
    }

    /// Waits for memory for a whole answer of `amount` bytes, which `share` permits, and ends stalled answers meanwhile.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if there is no room in time.
    pub(crate) async fn room(&self, share: &Share, amount: usize) -> Result<Permit, Exhausted> {
        match share.try_take(amount) {
            Some(permit) => Ok(permit),
            None => self.wait(share, amount, LONGEST_ADMISSION).await,
        }
    }

    /// Waits for `amount` of `share`, and ends stalled answers meanwhile.
    async fn wait(&self, share: &Share, amount: usize, patience: Duration) -> Result<Permit, Exhausted> {
        let ending = async {
            loop {
                self.end_longest(GRACE);
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            permit = share.wait(amount, patience) => permit,
            never = ending => never,
        }
    }

    /// Ends the answer that has been stalled for longest, if that is `grace` at least. Returns whether there was one.
    pub(crate) fn end_longest(&self, grace: Duration) -> bool {
        self.end_first(grace, "another one needs its memory")
    }

    /// Ends all answers that have been stalled for `limit`.
    pub(crate) fn end_stalled(&self, limit: Duration) {
        while self.end_first(limit, "`http.timeouts.answer` is over") {}
    }

    fn end_first(&self, grace: Duration, reason: &str) -> bool {
        let mut handed_out = self.lock();
        let Some(first) = handed_out.pieces.first_entry() else {
            return false;
        };
        let stalled = first.get().since.elapsed();
        if stalled < grace {
            return false;
        }
        let Stalled { client, end, .. } = first.remove();
        drop(handed_out);
        end.ask();
        let client = client.map(|client| client.to_string()).unwrap_or_default();
        tracing::info!(
            client,
            stalled.seconds = stalled.as_secs(),
            "ended an answer that its client did not take: {reason}"
        );
        true
    }

    fn note(&self, client: Option<SocketAddr>, end: &Arc<End>) -> u64 {
        let mut handed_out = self.lock();
        let number = handed_out.next;
        handed_out.next += 1;
        let stalled = Stalled {
            since: Instant::now(),
            client,
            end: Arc::clone(end),
        };
        handed_out.pieces.insert(number, stalled);
        number
    }

    fn lock(&self) -> MutexGuard<'_, HandedOut> {
        self.handed_out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            memory: Semaphore::new(1),
            request: Semaphore::new(1),
        }
    }
}

impl Holding {
    /// The memory for an answer to `client` over HTTP/2, on the connection with `turns`; `end` ends it. The client may
    /// leave it lying from the start.
    pub(crate) fn of_stream(
        transfers: Arc<Transfers>,
        turns: Arc<Turns>,
        client: Option<SocketAddr>,
        end: Arc<End>,
    ) -> Self {
        let mut holding = Self::new(transfers, turns, client, end);
        holding.is_stream = true;
        holding.lie();
        holding
    }

    /// The memory for an answer to `client` on the connection with `turns`, which `end` ends.
    pub(crate) fn new(
        transfers: Arc<Transfers>,
        turns: Arc<Turns>,
        client: Option<SocketAddr>,
        end: Arc<End>,
    ) -> Self {
        Self {
            transfers,
            turns,
            client,
            end,
            lying: None,
            is_stream: false,
            next: None,
            waiting: None,
        }
    }

    /// Waits until the next piece may be read, of an answer with `left` bytes to come.
    pub(crate) fn poll_permit(
        &mut self,
        cx: &mut Context<'_>,
        left: Option<u64>,
    ) -> Poll<Result<(), Exhausted>> {
        self.rise();
        if self.next.is_some() {
            return Poll::Ready(Ok(()));
        }
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            None => {
                let amount = left.and_then(|left| usize::try_from(left).ok());
                let amount = amount.map_or(PIECE, |left| left.min(PIECE));
                if let Some(permit) = self.transfers.memory.try_take(amount) {
                    self.next = Some(permit);
                    return Poll::Ready(Ok(()));
                }
                let (transfers, turns) = (Arc::clone(&self.transfers), Arc::clone(&self.turns));
                self.waiting.insert(Box::pin(async move {
                    // An error means that the semaphore was closed, which it never is.
                    let _turn = turns.memory.acquire().await.ok();
                    transfers.wait(&transfers.memory, amount, LONGEST_WAIT).await
                }))
            }
        };
        let permit = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        self.next = Some(permit?);
        Poll::Ready(Ok(()))
    }

    /// Records that the answer waits for its client.
    fn lie(&mut self) {
        if self.is_stream {
            self.lying = Some(self.transfers.note(self.client, &self.end));
        }
    }

    /// Records that the client lets the next piece come.
    fn rise(&mut self) {
        if let Some(number) = self.lying.take() {
            self.transfers.lock().pieces.remove(&number);
        }
    }

    /// Charges a piece until its last clone is dropped, which is when it was sent.
    pub(crate) fn hand_out(&mut self, bytes: Bytes) -> Bytes {
        let Some(mut permit) = self.next.take() else {
            return bytes;
        };
        permit.shrink_to(bytes.len());
        // An answer that was made whole may be larger. It is in memory already: what is free is charged.
        let surplus = bytes.len().saturating_sub(permit.amount());
        if let Some(more) = self.transfers.memory.try_take(surplus) {
            permit.merge(more);
        }
        let number = self.transfers.note(self.client, &self.end);
        self.lie();
        Bytes::from_owner(Piece {
            bytes,
            _permit: permit,
            transfers: Arc::clone(&self.transfers),
            number,
        })
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.transfers.lock().pieces.remove(&self.number);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.rise();
    }
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holding")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn transfers(memory: usize) -> Arc<Transfers> {
        let share = |name, limit| Share::new(name, limit);
        Arc::new(Transfers::new(share("transfers", memory), share("requests", 1)))
    }

    fn holding(transfers: &Arc<Transfers>, turns: &Arc<Turns>) -> (Holding, Arc<End>) {
        let end = Arc::<End>::default();
        let (transfers, turns) = (Arc::clone(transfers), Arc::clone(turns));
        (Holding::new(transfers, turns, None, Arc::clone(&end)), end)
    }

    async fn next_piece(holding: &mut Holding) -> Bytes {
        poll_fn(|cx| holding.poll_permit(cx, None)).await.unwrap();
        holding.hand_out(vec![0; PIECE].into())
    }

    #[tokio::test(start_paused = true)]
    async fn memory_for_an_answer_is_taken_from_the_one_that_is_stalled_for_longest() {
        let (transfers, turns) = (transfers(2 * PIECE), Arc::default());
        let (mut first, first_end) = holding(&transfers, &turns);
        let (mut second, second_end) = holding(&transfers, &turns);
        let first = next_piece(&mut first).await;
        tokio::time::sleep(GRACE / 2).await;
        let _second = next_piece(&mut second).await;
        let (mut third, _) = holding(&transfers, &turns);
        let begin = Instant::now();
        tokio::select! {
            _ = next_piece(&mut third) => panic!("nothing is free"),
            () = first_end.asked() => {}
            () = second_end.asked() => panic!("it is stalled for less long"),
        }
        assert!(begin.elapsed() >= GRACE / 2, "every answer has its time of grace");
        drop(first);
        let _third = next_piece(&mut third).await;
        assert_eq!(transfers.memory.used(), 2 * PIECE);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_charged_until_they_are_sent_though_their_answer_is_complete() {
        let (transfers, turns) = (transfers(PIECE), Arc::default());
        let (mut answer, _) = holding(&transfers, &turns);
        let piece = next_piece(&mut answer).await;
        let half = piece.slice(..10);
        drop((answer, piece));
        assert_eq!(transfers.memory.used(), PIECE);
        drop(half);
        assert_eq!((transfers.memory.used(), transfers.lock().pieces.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_many_streams_waits_like_one_with_a_single_stream() {
        let transfers = transfers(PIECE);
        let (many, single) = (Arc::<Turns>::default(), Arc::<Turns>::default());
        let (mut held, _) = holding(&transfers, &many);
        let held = next_piece(&mut held).await;
        for _ in 0..50 {
            let (mut stream, end) = holding(&transfers, &many);
            tokio::spawn(async move {
                let _stalled = next_piece(&mut stream).await;
                end.asked().await;
            });
        }
        tokio::task::yield_now().await;
        let (mut honest, _) = holding(&transfers, &single);
        drop(held);
        let begin = Instant::now();
        let _piece = next_piece(&mut honest).await;
        assert!(
            begin.elapsed() <= 2 * GRACE,
            "it waited for one of the other streams"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_beyond_the_limit_waits_once_for_each_connection() {
        let (transfers, turns) = (transfers(PIECE), Turns::default());
        let permit = transfers.admit(&turns).await.unwrap();
        let mut second = std::pin::pin!(transfers.admit(&turns));
        assert!(tokio::time::timeout(RETRY, second.as_mut()).await.is_err());
        assert!(transfers.admit(&turns).await.is_err(), "it does not wait");
        drop(permit);
        drop(second.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn room_for_a_whole_answer_is_made_by_ending_one_whose_client_lets_nothing_come() {
        let transfers = transfers(PIECE);
        let answers = Share::new("answers", 1);
        let whole = transfers.room(&answers, 1).await.unwrap();
        let end = Arc::<End>::default();
        let turns = Arc::default();
        let lying = Holding::of_stream(Arc::clone(&transfers), turns, None, Arc::clone(&end));
        tokio::spawn(async move {
            end.asked().await;
            drop((lying, whole));
        });
        assert!(transfers.room(&answers, 1).await.is_ok());
        assert!(transfers.lock().pieces.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_answer_ends_after_the_long_limit() {
        let (transfers, turns) = (transfers(PIECE), Arc::default());
        let (mut answer, end) = holding(&transfers, &turns);
        let _piece = next_piece(&mut answer).await;
        let limit = Duration::from_secs(900);
        tokio::time::sleep(limit - GRACE).await;
        transfers.end_stalled(limit);
        assert!(tokio::time::timeout(GRACE, end.asked()).await.is_err());
        transfers.end_stalled(limit);
        end.asked().await;
    }
}
