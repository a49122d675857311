//! Uploads: what a request sends goes to a task that holds the upload, whatever becomes of the request.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tracing::Instrument as _;
use wharf_oci::Algorithm;

use super::{
    Bucket,
    finished::{ObjectFinished, run},
    hold::Hold,
    purge::remove,
    session::Session,
};
use crate::{Announced, Error, ErrorKind, Finished, Key, Result, Upload};

/// An upload that a request of this process holds.
///
/// The bytes go to a task that owns the session. So whenever the request goes away, in the middle of whatever, the
/// task still keeps what it was given, and lets go only then.
pub(super) struct ObjectUpload {
    /// The session; `None` while a task has it.
    session: Option<Session>,
    appending: Option<Appending>,
    size: u64,
    failed: bool,
    is_provisional: bool,
}

struct Appending {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<(Session, Result<()>)>,
}

enum Command {
    Append(Bytes),
    /// The upload is being finished: what this request has appended is all of it.
    Finish,
    /// Forget what this request has appended.
    Abort,
}

impl ObjectUpload {
    pub(super) async fn open(bucket: Arc<Bucket>, dir: Key, hold: Hold) -> Result<Self> {
        let session = Session::open(bucket, dir, hold).await?;
        Ok(Self {
            size: session.state.head.size,
            session: Some(session),
            appending: None,
            failed: false,
            is_provisional: false,
        })
    }

    /// The task that takes bytes; started by the first of them.
    fn appending(&mut self) -> Result<&Appending> {
        if self.failed {
            return Err(Error::new(
                ErrorKind::Other,
                "add to an upload after a write to it failed",
            ));
        }
        if let Some(session) = self.session.take() {
            // One piece waits here while the task works on another one.
            let (commands, queue) = mpsc::channel(1);
            self.appending = Some(Appending {
                commands,
                task: tokio::spawn(append(session, queue).in_current_span()),
            });
        }
        self.appending.as_ref().ok_or_else(lost)
    }

    /// Ends the task, if there is one, and gets the session back. An error is of what was appended.
    async fn end_appending(&mut self) -> Result<()> {
        let Some(Appending { commands, task }) = self.appending.take() else {
            return Ok(());
        };
        drop(commands);
        let (session, result) = task
            .await
            .map_err(|error| Error::with_source(ErrorKind::Other, "add to an upload", error))?;
        self.session = Some(session);
        self.failed |= result.is_err();
        result
    }

    /// Ends the task, and forgets what was appended.
    async fn abort_appending(&mut self) {
        self.command(Command::Abort).await;
        drop(self.end_appending().await);
    }

    /// When the task has ended with an error, that is told when its session comes back.
    async fn command(&self, command: Command) {
        if let Some(appending) = &self.appending {
            drop(appending.commands.send(command).await);
        }
    }

    async fn into_session(mut self: Box<Self>) -> Result<Session> {
        self.end_appending().await?;
        if self.failed {
            return Err(Error::new(
                ErrorKind::Other,
                "end a request on an upload after a write to it failed",
            ));
        }
        self.session.take().ok_or_else(lost)
    }
}

#[async_trait]
impl Upload for ObjectUpload {
    fn size(&self) -> u64 {
        self.size
    }

    fn write_provisionally(&mut self) {
        self.is_provisional = true;
        if let Some(session) = &mut self.session {
            session.is_provisional = true;
        }
    }

    fn announce(&mut self, announced: Announced) {
        if let Some(session) = &mut self.session {
            session.announced = announced;
        }
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let size = bytes.len() as u64;
        let appending = self.appending()?;
        if appending.commands.send(Command::Append(bytes)).await.is_ok() {
            self.size += size;
            return Ok(());
        }
        // The task has ended before its time, so it has an error to tell.
        self.failed = true;
        self.end_appending().await?;
        Err(lost())
    }

    async fn suspend(mut self: Box<Self>) -> Result<u64> {
        if self.is_provisional {
            self.abort_appending().await;
        }
        Ok(self.into_session().await?.state.head.size)
    }

    async fn finish(self: Box<Self>, also: Option<Algorithm>) -> Result<Box<dyn Finished>> {
        self.command(Command::Finish).await;
        let session = self.into_session().await?;
        let finished = run(ObjectFinished::of(session, also)).await?;
        Ok(Box::new(finished))
    }

    async fn discard(mut self: Box<Self>) -> Result<()> {
        self.abort_appending().await;
        let session = self.session.take().ok_or_else(lost)?;
        run(async move {
            let removed = remove(&session.bucket, &session.dir, &session.state.head, Vec::new()).await;
            session.forget();
            removed
        })
        .await
    }
}

/// Adds what comes to the upload, until there is no more. Unless it is provisional it counts then.
async fn append(mut session: Session, queue: mpsc::Receiver<Command>) -> (Session, Result<()>) {
    let result = match receive(&mut session, queue).await {
        Ok(End::Finish) if session.is_provisional => return (session, Ok(())),
        Ok(End::Finish | End::Closed) if !session.is_provisional => match session.keep().await {
            Ok(()) => return (session, Ok(())),
            failed => failed,
        },
        ended => ended.map(drop),
    };
    session.take_back().await;
    (session, result)
}

/// How the commands of a request end.
enum End {
    Finish,
    Abort,
    Closed,
}

async fn receive(session: &mut Session, mut queue: mpsc::Receiver<Command>) -> Result<End> {
    loop {
        match timeout_at(session.wake(), queue.recv()).await {
            Ok(Some(Command::Append(bytes))) => {
                session.add(bytes).await?;
                if Instant::now() >= session.wake() {
                    session.look_after().await?;
                }
            }
            Ok(Some(Command::Finish)) => return Ok(End::Finish),
            Ok(Some(Command::Abort)) => return Ok(End::Abort),
            Ok(None) => return Ok(End::Closed),
            Err(_elapsed) => session.look_after().await?,
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Other, "use an upload whose earlier call was abandoned")
}
