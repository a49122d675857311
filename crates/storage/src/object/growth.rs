//! What one request adds to an upload: the bytes that it gathers, their hash, and the objects that they go to.

use std::{mem, sync::Arc};

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Bucket,
    blob::Pieces,
    hashes::Hashes,
    parts::Parts,
    room::Room,
    state::{Staged, State},
};
use crate::{Error, ErrorKind, Key, Result, layout};

/// An upload with what a request has added, which the state does not have yet.
pub(super) struct Growth {
    bucket: Arc<Bucket>,
    dir: Key,
    pub(super) hashes: Hashes,
    /// Where the first bytes are. Each of these objects is large enough for a part, but for the last one, at the end.
    pub(super) objects: Vec<Staged>,
    /// Then these objects, or, behind them, the [target](Self::target): too small for a part, they are to be put together.
    loose: Vec<Staged>,
    /// The bytes in no object.
    tail: Vec<u8>,
    /// How many bytes of the tail are hashed.
    hashed: usize,
    /// Of the whole upload.
    pub(super) size: u64,
    pub(super) target: Target,
    /// All objects that this request has written, also those that others have replaced.
    pub(super) made: Vec<Staged>,
    part_size: usize,
    room: Option<Room>,
    /// How much room this request asks for.
    allowance: usize,
    /// How much it may ask for.
    most: usize,
}

/// Where the parts go.
pub(super) enum Target {
    /// No part was sent by this request.
    Nowhere,
    /// To an object of the upload.
    Object(Uuid, Parts),
    /// To the key of the blob.
    Blob(Parts),
}

/// What loose objects are read back for.
#[derive(Clone, Copy)]
enum Gather {
    Part,
    End,
}

impl Growth {
    /// `length` is what the request brings, if it says so.
    pub(super) fn new(
        bucket: &Arc<Bucket>,
        dir: &Key,
        state: &State,
        hashes: Hashes,
        length: Option<u64>,
        room: Option<Room>,
    ) -> Self {
        let mut objects = state.head.objects.clone();
        let is_part = |object: &Staged| object.size >= bucket.limits.smallest_part;
        let parts = objects.iter().rposition(is_part).map_or(0, |at| at + 1);
        let loose = objects.split_off(parts);
        let tail = state.tail.to_vec();
        let gathered = sum(&loose) + tail.len() as u64;
        let part_size = bucket.part_size(state.head.size, gathered, length);
        let announced = length.and_then(|length| usize::try_from(length).ok());
        let most = announced.map_or(part_size, |length| {
            part_size.min(length.saturating_add(tail.len()))
        });
        let most = most.clamp(1, bucket.rooms.limit());
        Self {
            bucket: Arc::clone(bucket),
            dir: dir.clone(),
            hashes,
            objects,
            loose,
            hashed: tail.len(),
            tail,
            size: state.head.size,
            target: Target::Nowhere,
            made: Vec::new(),
            part_size,
            room,
            allowance: most,
            most,
        }
    }

    /// Gathers bytes. Returns whether a part is full, and some bytes are left.
    pub(super) async fn fill(&mut self, bytes: &mut Bytes) -> Result<bool> {
        while !bytes.is_empty() {
            let behind = usize::try_from(sum(&self.loose)).unwrap_or(usize::MAX);
            let most = self.part_size.saturating_sub(behind);
            if self.tail.len() >= most {
                return Ok(true);
            }
            let room = self.room_size();
            if self.tail.len() < room {
                let taken = bytes.len().min(room.min(most) - self.tail.len());
                self.append(&bytes.split_to(taken));
            } else {
                self.grow().await?;
            }
        }
        Ok(false)
    }

    /// Sends what is gathered as the next part.
    pub(super) async fn ship(&mut self) -> Result<()> {
        self.absorb(Gather::Part).await?;
        self.send().await
    }

    /// Sends the tail as a part, and hashes it while it is on its way.
    async fn send(&mut self) -> Result<()> {
        let (part, fresh) = self.take_tail();
        // Both need the bytes; whichever ends last gives the room back.
        let room = self.room.take().map(Arc::new);
        self.allowance = self.most;
        match &mut self.target {
            Target::Object(_, parts) | Target::Blob(parts) => {
                let (sent, hashed) = tokio::join!(parts.send(part, room.clone()), self.hashes.update(fresh));
                sent.and(hashed)
            }
            Target::Nowhere => Err(Error::new(ErrorKind::Other, "send a part of no multipart upload")),
        }
    }

    /// Puts what is gathered where the next request finds it. What stays in the tail goes into the state.
    pub(super) async fn pause(&mut self) -> Result<()> {
        match self.target {
            Target::Nowhere => {
                let gathered = sum(&self.loose) + self.tail.len() as u64;
                if !self.loose.is_empty() && gathered >= self.bucket.limits.smallest_part {
                    self.absorb(Gather::End).await?;
                    self.spill().await?;
                } else if self.tail.len() > self.bucket.rooms.start_size() {
                    self.spill().await?;
                }
            }
            Target::Object(..) | Target::Blob(_) => self.end_parts().await?,
        }
        self.objects.append(&mut self.loose);
        self.hash_tail().await
    }

    /// Makes the tail all that is neither in an object that can be copied nor in a part.
    pub(super) async fn conclude(&mut self) -> Result<()> {
        if !matches!(self.target, Target::Nowhere) {
            return self.end_parts().await;
        }
        if self.loose.len() > 1 || !self.tail.is_empty() {
            return self.absorb(Gather::End).await;
        }
        self.objects.append(&mut self.loose);
        Ok(())
    }

    /// Hashes what is not hashed yet.
    pub(super) async fn hash_tail(&mut self) -> Result<()> {
        let (tail, fresh) = self.take_tail();
        self.hashes.update(fresh).await?;
        self.hashed = tail.len();
        self.tail = tail.into();
        Ok(())
    }

    /// The tail, and those of its bytes that are not hashed. Exactly as large as its content: a store in memory keeps
    /// the allocation.
    pub(super) fn take_tail(&mut self) -> (Bytes, Bytes) {
        let tail = Bytes::from(mem::take(&mut self.tail).into_boxed_slice());
        let fresh = tail.slice(mem::take(&mut self.hashed)..);
        (tail, fresh)
    }

    /// When to ask whether this request [gives way](Self::give_way).
    pub(super) fn turn(&self) -> Option<Instant> {
        self.room.as_ref().map(Room::turn)
    }

    /// Lets others have the room if they have waited for it while this request gathered slowly. It asks for less then.
    pub(super) async fn give_way(&mut self) -> Result<()> {
        let rooms = &self.bucket.rooms;
        if !self.room.as_mut().is_some_and(|room| room.is_over(rooms)) {
            return Ok(());
        }
        let least = rooms.start_size().min(self.allowance);
        self.allowance = (2 * self.tail.len()).clamp(least, self.allowance);
        self.spill().await
    }

    /// Whether something in the store is to be removed if this does not count.
    pub(super) fn has_sent(&self) -> bool {
        !self.made.is_empty() || !matches!(self.target, Target::Nowhere)
    }

    fn room_size(&self) -> usize {
        self.room.as_ref().map_or(0, Room::size)
    }

    /// Gets room for more bytes, if need be by sending those that are gathered.
    async fn grow(&mut self) -> Result<()> {
        let rooms = &self.bucket.rooms;
        let start = rooms.start_size().min(self.allowance);
        if self.room.is_none() && self.tail.len() < start {
            self.room = Some(rooms.start(start).await?);
        } else if self.room_size() < self.allowance {
            self.room = Some(rooms.whole(self.allowance).await?);
        } else {
            // It was filled in time.
            self.allowance = self.allowance.saturating_mul(2).min(self.most);
            self.spill().await?;
        }
        Ok(())
    }

    /// Sends what is gathered as an object of its own, and lets go of the room.
    async fn spill(&mut self) -> Result<()> {
        if !self.tail.is_empty() {
            let written = self.put_tail().await?;
            let is_part = written.size >= self.bucket.limits.smallest_part;
            if is_part && self.loose.is_empty() && matches!(self.target, Target::Nowhere) {
                self.objects.push(written);
            } else {
                self.loose.push(written);
            }
        }
        self.room = None;
        Ok(())
    }

    async fn put_tail(&mut self) -> Result<Staged> {
        let written = Staged {
            name: Uuid::new_v4(),
            size: self.tail.len() as u64,
        };
        self.check_count()?;
        self.made.push(written);
        let (bytes, fresh) = self.take_tail();
        let key = layout::object_upload_data(&self.dir, written.name);
        let (put, hashed) = tokio::join!(self.bucket.put(&key, bytes), self.hashes.update(fresh));
        put.and(hashed)?;
        Ok(written)
    }

    /// Reads the loose objects back, to put their bytes before the tail.
    ///
    /// A request that has some room never waits for more: it sends what it has gathered first.
    async fn absorb(&mut self, what: Gather) -> Result<()> {
        if self.loose.is_empty() {
            return Ok(());
        }
        let whole = usize::try_from(sum(&self.loose)).unwrap_or(usize::MAX) + self.tail.len();
        if self.room_size() < whole.min(self.bucket.rooms.limit()) {
            if !self.tail.is_empty() {
                let written = self.put_tail().await?;
                self.loose.push(written);
            }
            self.room = None;
            let rooms = &self.bucket.rooms;
            self.room = Some(match what {
                Gather::Part => rooms.whole(whole).await?,
                Gather::End => rooms.end(whole).await?,
            });
        }
        let (own, mut at) = (self.tail.len(), 0);
        self.tail.reserve_exact(whole - own);
        self.tail.resize(whole, 0);
        self.tail.copy_within(..own, whole - own);
        for object in mem::take(&mut self.loose) {
            let key = layout::object_upload_data(&self.dir, object.name);
            let mut pieces = Pieces::of(&self.bucket, &key, object.size).await?;
            while let Some(piece) = pieces.next().await? {
                self.tail[at..at + piece.len()].copy_from_slice(&piece);
                at += piece.len();
            }
        }
        self.hashed += at;
        Ok(())
    }

    /// Sends the last part. An object of the upload is complete then.
    async fn end_parts(&mut self) -> Result<()> {
        self.check_count()?;
        self.absorb(Gather::End).await?;
        if !self.tail.is_empty() {
            self.send().await?;
        }
        match &mut self.target {
            Target::Object(name, parts) => {
                let (name, size) = (*name, parts.size);
                self.made.push(Staged { name, size });
                parts.complete_staged().await?;
                self.objects.push(Staged { name, size });
                self.target = Target::Nowhere;
                Ok(())
            }
            Target::Blob(parts) => parts.settle().await,
            Target::Nowhere => Ok(()),
        }
    }

    /// The blob gets at least one part for each object.
    fn check_count(&self) -> Result<()> {
        let most = self.bucket.limits.objects;
        if self.objects.len() + self.loose.len() < most {
            return Ok(());
        }
        let context = format!(
            "add to upload `{}`: the store makes one blob of {most} chunks, and no more; send larger chunks",
            self.dir
        );
        Err(Error::new(ErrorKind::TooLarge, context))
    }

    /// The buffer is as large as the room from the first byte on. What is not filled of it takes no memory, and no byte is
    /// moved to a larger one, which would take room that is not counted.
    fn append(&mut self, bytes: &[u8]) {
        let needed = self.tail.len() + bytes.len();
        if needed > self.tail.capacity() {
            self.tail
                .reserve_exact(needed.max(self.room_size()) - self.tail.len());
        }
        self.tail.extend_from_slice(bytes);
        self.size += bytes.len() as u64;
    }
}

fn sum(objects: &[Staged]) -> u64 {
    objects.iter().map(|object| object.size).sum()
}
