//! Files that are read again as soon as they change, and never a reason to lock all clients out.
//!
//! [`Watched`] is what a server holds: some files, and what a [`Reader`] made of them last. [`read`] is how a file is read once.
//! What the files mean is for the readers to say, and nothing here writes.
//!
//! **What is in force.** Each use compares the files with what was read last: device, inode, size, and both time stamps, the
//! one that can be set and the one that cannot. A file that changed a moment ago could change again within the same stamp, so
//! until its stamps are old it is compared by content. A change of the file is therefore in force for the very next request,
//! also one that keeps size and modification time.
//!
//! What is compared is the file that was read, which is kept open: when it is written, replaced, renamed or removed, its
//! stamps change. They do not when a directory above it is swapped, or a symbolic link to it, nor when it lies in a lower layer
//! of overlayfs, where a change makes another file. So the path itself is looked at as well, at most once in a millisecond,
//! because that costs five times as much: such a change is in force up to a millisecond later. On NFS, what another machine
//! changed shows when the cache of attributes lets it: after 3 to 60 s, unless the mount has other options.
//!
//! **When they are damaged.** What cannot be read, or is refused by its reader, is taken for an accident: the last good state
//! stays in force, and the log says so once for each change. It is not read again before it changes, which mending does; but what
//! cannot be read is tried once in a second as well, because the cause may lie elsewhere. Files that belong together cannot be
//! replaced at once: what may be just that is told only when it lasts longer than the reader's [`GRACE`](Reader::GRACE).
//!
//! **What a use costs.** One system call for each file while nothing changes. After a change one look at the files serves all
//! requests that wait for it. A use that must not wait for a slow disk calls [`Watched::refresh_within`].

mod file;
mod watched;

pub use file::{Contents, read, read_whole};
pub use watched::{Damage, Read, Reader, Status, Watched};
