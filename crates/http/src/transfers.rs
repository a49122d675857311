//! Answers on their way to clients: the memory that they hold, and the end of those that no client takes, and of requests
//! whose bodies do not come.
//!
//! A large answer is read in pieces, and each piece is charged to the share `transfers` before it is read. A client
//! that is slow and one that attacks look the same for a while, and differ only in number: so an answer whose client
//! takes nothing is kept for long while there is room, and ended when another answer needs its memory. So is a request
//! whose client sends next to nothing, when another one needs its place. Of the [source](Source) with the most of them the
//! one goes that has stalled for longest.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
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

use crate::{
    end::End,
    senders::{Senders, StalledSender},
    turns::{Networks, Queues, Source, Turns},
};

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

/// How many clients that stall are ended for one large body: together they hold about as much as it needs.
const SOME: usize = 10;

/// The answers of a server that hold memory.
#[derive(Debug)]
pub(crate) struct Transfers {
    memory: Share,
    requests: Share,
    networks: Networks,
    pub(crate) senders: Arc<Senders>,
    handed_out: Mutex<HandedOut>,
}

/// What is short, and so which clients that stall may be ended for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Short {
    /// Memory of answers, which those hold that no client takes.
    Answers,
    /// Connections, requests and bodies, which stalled senders hold as well.
    Places,
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
    source: Source,
    end: Arc<End>,
}

/// A client that may be ended for another one.
struct Candidate {
    /// How many of its source there are.
    count: usize,
    stalled: Duration,
    client: Option<SocketAddr>,
    end: Arc<End>,
    /// Number of its piece in [`HandedOut`]; `None`: it is a sender.
    piece: Option<u64>,
}

/// An amount of a share that a request waits for.
#[derive(Clone, Copy)]
struct Ask<'a> {
    share: &'a Share,
    amount: usize,
    patience: Duration,
}

/// Bytes that are charged until they are sent.
struct Piece {
    bytes: Bytes,
    _permit: Permit,
    transfers: Arc<Transfers>,
    number: u64,
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
            networks: Networks::default(),
            senders: Arc::default(),
            handed_out: Mutex::default(),
        }
    }

    /// The permit for a request of an HTTP/2 connection. While all are in use, one request of each connection waits for the
    /// turn of its network, and clients that stall are ended in its favour.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if no request ends in time, or another one of the connection waits already.
    pub(crate) async fn admit(&self, turns: &Turns) -> Result<Permit, Exhausted> {
        if let Some(permit) = self.requests.try_take(1) {
            return Ok(permit);
        }
        let Ok(_turn) = turns.own.request().try_acquire() else {
            return self.requests.take(1);
        };
        let ask = Ask {
            share: &self.requests,
            amount: 1,
            patience: LONGEST_ADMISSION,
        };
        self.in_turn(turns, Queues::request, Short::Places, ask).await
    }

    /// The permit for `amount` bytes of a body, of `share`, in the turn of its network.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if there is no room within `patience`.
    pub(crate) async fn gather(
        &self,
        turns: &Turns,
        share: &Share,
        amount: usize,
        patience: Duration,
    ) -> Result<Permit, Exhausted> {
        if let Some(permit) = share.try_take(amount) {
            return Ok(permit);
        }
        let ask = Ask {
            share,
            amount,
            patience,
        };
        self.in_turn(turns, Queues::body, Short::Places, ask).await
    }

    /// Waits for memory for a whole answer of `amount` bytes, which `share` permits, and ends stalled answers meanwhile.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if there is no room in time.
    pub(crate) async fn room(&self, share: &Share, amount: usize) -> Result<Permit, Exhausted> {
        if let Some(permit) = share.try_take(amount) {
            return Ok(permit);
        }
        let ask = Ask {
            share,
            amount,
            patience: LONGEST_ADMISSION,
        };
        self.wait(Short::Answers, ask).await
    }

    /// Waits in the turn that the network of a connection has in `queue`.
    async fn in_turn(
        &self,
        turns: &Turns,
        queue: fn(&Queues) -> &Semaphore,
        short: Short,
        ask: Ask<'_>,
    ) -> Result<Permit, Exhausted> {
        let network = self.networks.of(turns.source);
        let permit = async {
            // An error means that the semaphore was closed, which it never is.
            let _turn = queue(&network).acquire().await.ok();
            self.wait(short, ask).await
        };
        match tokio::time::timeout(ask.patience, permit).await {
            Ok(permit) => permit,
            Err(_elapsed) => Err(ask.share.refuse()),
        }
    }

    /// Waits for a permit, and ends clients that stall meanwhile.
    async fn wait(&self, short: Short, ask: Ask<'_>) -> Result<Permit, Exhausted> {
        let ending = async {
            loop {
                self.end_longest(short, GRACE);
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            permit = ask.share.wait(ask.amount, ask.patience) => permit,
            never = ending => never,
        }
    }

    /// Ends one client that has stalled for `grace` at least: of the source with the most of them, the one that has for
    /// longest. Returns whether there was one.
    pub(crate) fn end_longest(&self, short: Short, grace: Duration) -> bool {
        let Some(chosen) = self.choose(short, grace) else {
            return false;
        };
        if let Some(number) = chosen.piece {
            self.lock().pieces.remove(&number);
        }
        chosen.end.ask();
        let ended = match chosen.piece {
            Some(_) => "an answer that its client did not take",
            None => "a request whose client sent next to nothing",
        };
        let client = chosen.client.map(|client| client.to_string());
        tracing::info!(
            client = client.unwrap_or_default(),
            stalled.seconds = chosen.stalled.as_secs(),
            "ended {ended}: others need its room"
        );
        true
    }

    /// The client to end for what is `short`, of those that have stalled for `grace` at least.
    fn choose(&self, short: Short, grace: Duration) -> Option<Candidate> {
        let mut sources: HashMap<Source, Candidate> = HashMap::new();
        let mut add = |source, candidate: Candidate| match sources.entry(source) {
            Entry::Vacant(place) => _ = place.insert(candidate),
            Entry::Occupied(mut longest) => {
                let count = longest.get().count + 1;
                if candidate.stalled > longest.get().stalled {
                    longest.insert(candidate);
                }
                longest.get_mut().count = count;
            }
        };
        for (number, piece) in &self.lock().pieces {
            let stalled = piece.since.elapsed();
            if stalled < grace {
                break;
            }
            // One that was asked to end before is on its way.
            if !piece.end.is_unconditional() {
                let candidate = Candidate {
                    count: 1,
                    stalled,
                    client: piece.client,
                    end: Arc::clone(&piece.end),
                    piece: Some(*number),
                };
                add(piece.source, candidate);
            }
        }
        let senders = match short {
            Short::Answers => Vec::new(),
            Short::Places => self.senders.stalled(grace),
        };
        for StalledSender { origin, stalled } in senders {
            let candidate = Candidate {
                count: 1,
                stalled,
                client: origin.client,
                end: origin.end,
                piece: None,
            };
            add(origin.source, candidate);
        }
        sources
            .into_values()
            .max_by_key(|candidate| (candidate.count, candidate.stalled))
    }

    /// Ends a few clients that stall.
    pub(crate) fn end_some(&self) {
        for _ in 0..SOME {
            if !self.end_longest(Short::Places, GRACE) {
                return;
            }
        }
    }

    /// Ends all answers that have been stalled for `limit`.
    pub(crate) fn end_stalled(&self, limit: Duration) {
        while self.end_first(limit) {}
    }

    fn end_first(&self, limit: Duration) -> bool {
        let mut handed_out = self.lock();
        let Some(first) = handed_out.pieces.first_entry() else {
            return false;
        };
        let stalled = first.get().since.elapsed();
        if stalled < limit {
            return false;
        }
        let Stalled { client, end, .. } = first.remove();
        drop(handed_out);
        end.ask();
        let client = client.map(|client| client.to_string()).unwrap_or_default();
        tracing::info!(
            client,
            stalled.seconds = stalled.as_secs(),
            "ended an answer that its client did not take: `http.timeouts.answer` is over"
        );
        true
    }

    fn note(&self, client: Option<SocketAddr>, source: Source, end: &Arc<End>) -> u64 {
        let mut handed_out = self.lock();
        let number = handed_out.next;
        handed_out.next += 1;
        let stalled = Stalled {
            since: Instant::now(),
            client,
            source,
            end: Arc::clone(end),
        };
        handed_out.pieces.insert(number, stalled);
        number
    }

    fn lock(&self) -> MutexGuard<'_, HandedOut> {
        self.handed_out.lock().unwrap_or_else(PoisonError::into_inner)
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
                    let _turn = turns.own.memory().acquire().await.ok();
                    let ask = Ask {
                        share: &transfers.memory,
                        amount,
                        patience: LONGEST_WAIT,
                    };
                    transfers
                        .in_turn(&turns, Queues::memory, Short::Answers, ask)
                        .await
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
            self.lying = Some(self.transfers.note(self.client, self.turns.source, &self.end));
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
        let number = self.transfers.note(self.client, self.turns.source, &self.end);
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
    use crate::senders::Origin;

    fn transfers(memory: usize) -> Arc<Transfers> {
        let share = |name, limit| Share::new(name, limit);
        Arc::new(Transfers::new(share("transfers", memory), share("requests", 1)))
    }

    fn holding(transfers: &Arc<Transfers>, turns: &Arc<Turns>) -> (Holding, Arc<End>) {
        let end = Arc::<End>::default();
        let (transfers, turns) = (Arc::clone(transfers), Arc::clone(turns));
        (Holding::new(transfers, turns, None, Arc::clone(&end)), end)
    }

    /// The turns of a connection of its own source.
    fn connection(number: u64) -> Arc<Turns> {
        Arc::new(Turns::new(Source::Connection(number)))
    }

    /// The turns of a connection from 192.0.2.`last`.
    fn of_network(last: u8) -> Arc<Turns> {
        Arc::new(Turns::new(Source::Network([192, 0, 2, last].into())))
    }

    async fn next_piece(holding: &mut Holding) -> Bytes {
        poll_fn(|cx| holding.poll_permit(cx, None)).await.unwrap();
        holding.hand_out(vec![0; PIECE].into())
    }

    #[tokio::test(start_paused = true)]
    async fn memory_for_an_answer_is_taken_from_the_one_that_is_stalled_for_longest() {
        let (transfers, turns) = (transfers(2 * PIECE), connection(1));
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
        let (transfers, turns) = (transfers(PIECE), connection(1));
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
        let (many, single) = (connection(1), connection(2));
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
        let (transfers, turns) = (transfers(PIECE), connection(1));
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
        let turns = connection(1);
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
        let (transfers, turns) = (transfers(PIECE), connection(1));
        let (mut answer, end) = holding(&transfers, &turns);
        let _piece = next_piece(&mut answer).await;
        let limit = Duration::from_secs(900);
        tokio::time::sleep(limit - GRACE).await;
        transfers.end_stalled(limit);
        assert!(tokio::time::timeout(GRACE, end.asked()).await.is_err());
        transfers.end_stalled(limit);
        end.asked().await;
    }

    #[tokio::test(start_paused = true)]
    async fn many_connections_of_a_network_wait_like_one() {
        let transfers = transfers(PIECE);
        let held = transfers.admit(&of_network(1)).await.unwrap();
        let mut queue = Vec::new();
        for _ in 0..50 {
            let transfers = Arc::clone(&transfers);
            queue.push(tokio::spawn(async move { transfers.admit(&of_network(1)).await }));
        }
        tokio::task::yield_now().await;
        let honest = {
            let transfers = Arc::clone(&transfers);
            tokio::spawn(async move { transfers.admit(&of_network(2)).await })
        };
        tokio::task::yield_now().await;
        drop(held);
        let first = queue.remove(0).await.unwrap().unwrap();
        drop(first);
        assert!(honest.await.unwrap().is_ok());
        assert!(
            !queue.iter().any(tokio::task::JoinHandle::is_finished),
            "they came after it"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_from_a_stalled_sender_of_the_network_with_the_most() {
        let transfers = transfers(PIECE);
        let sender = |turns: &Turns| {
            let end = Arc::<End>::default();
            let origin = Origin {
                client: None,
                source: turns.source,
                end: Arc::clone(&end),
            };
            (transfers.senders.add(origin), end)
        };
        let (alone, alone_end) = sender(&of_network(1));
        let _alone = alone.wait();
        transfers.senders.stalled(GRACE);
        tokio::time::advance(RETRY).await;
        let ((one, one_end), (other, other_end)) = (sender(&of_network(2)), sender(&of_network(2)));
        let _two = (one.wait(), other.wait());
        transfers.senders.stalled(GRACE);
        tokio::time::advance(GRACE).await;
        let permit = transfers.admit(&of_network(2)).await.unwrap();
        let third = of_network(3);
        let waiting = transfers.admit(&third);
        let ((), admitted) = tokio::join!(
            async {
                tokio::select! {
                    () = one_end.asked() => {}
                    () = other_end.asked() => {}
                    () = alone_end.asked() => panic!("its network has but one"),
                }
                drop(permit);
            },
            waiting
        );
        assert!(admitted.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_of_answers_is_not_sought_with_senders() {
        let transfers = transfers(PIECE);
        let origin = Origin {
            client: None,
            source: Source::Connection(1),
            end: Arc::default(),
        };
        let sender = transfers.senders.add(origin);
        let _wait = sender.wait();
        assert!(!transfers.end_longest(Short::Places, GRACE));
        tokio::time::advance(GRACE).await;
        assert!(!transfers.end_longest(Short::Answers, GRACE));
        assert!(transfers.end_longest(Short::Places, GRACE));
        assert!(!transfers.end_longest(Short::Places, GRACE), "it was asked once");
    }
}
