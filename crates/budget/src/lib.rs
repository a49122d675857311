//! The budget of one server: how much memory, how many connections and how much work its clients may use together.
//!
//! A [`Share`] is one part of the budget, with a limit that holds over all connections. A [`Permit`] is charged
//! *before* the first byte is taken and gives back when it is dropped, which is when the work ends and not when the
//! connection does. When a share is exhausted, the client gets an answer that says when to come again.
//!
//! # Invariants
//!
//! - The permits of a share together never exceed its limit.
//! - A wait for a permit has a limit of time.
//! - Waiting requests get their permits in the order in which they asked, so that large ones are not starved.
//! - A request that holds a permit waits only for shares that stand further down in [`Budget`], and for more of the same
//!   share never: so no two requests wait for each other.

mod machine;
mod share;

pub use machine::Machine;
pub use share::{Exhausted, Permit, Share};

const MIB: usize = 1 << 20;

/// Bytes that an idle connection takes, with TLS and HTTP/2.
const CONNECTION: usize = 64 << 10;

/// Bytes that the head of a request over HTTP/2 takes at most while the request runs.
const HEAD: usize = 64 << 10;

/// All shares of one server. Cloning it clones handles of the same shares.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Open connections.
    pub connections: Share,
    /// Requests over HTTP/2; HTTP/1.1 has one request a connection.
    pub requests: Share,
    /// Bytes of bodies that are gathered whole before they are looked at, manifests above all; and of the references of a
    /// repository's manifests while they are read, beyond a few.
    pub bodies: Share,
    /// Bytes of uploads to a bucket that were received and are not in the bucket yet. A directory takes bytes as they come: there
    /// the store divides a fixed memory among all uploads, and connections bound how many there are.
    pub parts: Share,
    /// Changes of the store whose work has not ended, whether or not their client still waits for it.
    pub work: Share,
    /// Bytes of blobs that were read and not yet taken by the client.
    pub transfers: Share,
    /// Bytes that clients may send over HTTP/2 before they are read: the windows of connections.
    pub windows: Share,
    /// Bytes of answers that are in memory whole until they are sent: lists, and large manifests.
    pub answers: Share,
    /// Requests that wait for the check of a password.
    pub passwords: Share,
    /// Large manifests that are being pushed: parsing one takes several times its size.
    pub large_pushes: Share,
    /// Deletions that are being planned: a plan reads what every repository needs.
    pub plans: Share,
    /// Bytes of what deletions that are carried out are to remove: the pointers of their plans.
    pub deletions: Share,
    /// Lists of repositories, tags and images that are being made: each reads some thousand manifests.
    pub lists: Share,
    /// Repositories of which all manifests are being read, to find which of them refer to which.
    pub graphs: Share,
    /// Stored blobs that are being hashed again.
    pub hashes: Share,
    /// Large stored manifests that are being read and parsed.
    pub large_reads: Share,
    /// Layers that are decompressed to read their files for a screen. Two images that are compared take all turns.
    pub layers: Share,
    /// Bytes of the activity log that are not written yet.
    pub activity: Share,
}

/// How many changes of the store may be under way: each takes little beside what other shares count.
const WORK: usize = 1024;

/// How many requests may wait for the check of a password: some for each address of a large site that starts.
const PASSWORDS: usize = 1024;

/// Bytes of entries of the activity log that may wait to be written.
const ACTIVITY: usize = 4 * MIB;

/// How many lists are made at once. Most of them take some milliseconds.
const LISTS: usize = 4;

/// How many pieces of heavy work of one kind run at once. More would not end sooner, and take more memory.
pub const HEAVY: usize = 2;

/// Limits of the shares of a [`Budget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Requests over HTTP/2.
    pub requests: usize,
    /// Bytes of bodies that are gathered whole.
    pub bodies: usize,
    /// Bytes of uploads that are not in the bucket yet.
    pub parts: usize,
    /// Bytes of blobs in memory.
    pub transfers: usize,
    /// Bytes that clients may send over HTTP/2 before they are read.
    pub windows: usize,
}

impl Limits {
    /// The limits that suit `machine`: a third of its descriptors for connections, as much for the files that one request
    /// of each connection reads, and a sixth for further requests over HTTP/2. All bytes together take at most half of
    /// its memory, those of uploads to a bucket, and connections, and heads of requests at most a quarter each.
    pub fn of(machine: Machine) -> Self {
        let quarter = machine.memory.map_or(usize::MAX, |memory| memory / 4);
        Self {
            connections: (machine.descriptors / 3)
                .min(quarter / CONNECTION)
                .clamp(16, 4096),
            requests: (machine.descriptors / 6).min(quarter / HEAD).clamp(16, 2048),
            bodies: quarter.clamp(8 * MIB, 64 * MIB),
            parts: quarter.clamp(16 * MIB, 96 * MIB),
            transfers: quarter.clamp(8 * MIB, 64 * MIB),
            windows: (quarter / 2).clamp(4 * MIB, 32 * MIB),
        }
    }
}

impl Budget {
    /// A budget with `limits`, of which nothing is used.
    pub fn new(limits: Limits) -> Self {
        Self {
            connections: Share::new("connections", limits.connections),
            requests: Share::new("requests", limits.requests),
            bodies: Share::new("bodies", limits.bodies),
            parts: Share::new("parts", limits.parts),
            work: Share::new("work", WORK),
            transfers: Share::new("transfers", limits.transfers),
            windows: Share::new("windows", limits.windows),
            answers: Share::new("answers", limits.transfers / 2),
            passwords: Share::new("passwords", PASSWORDS),
            large_pushes: Share::new("large_pushes", HEAVY),
            plans: Share::new("plans", 1),
            deletions: Share::new("deletions", limits.bodies),
            lists: Share::new("lists", LISTS),
            graphs: Share::new("graphs", HEAVY),
            hashes: Share::new("hashes", HEAVY),
            large_reads: Share::new("large_reads", HEAVY),
            layers: Share::new("layers", HEAVY),
            activity: Share::new("activity", ACTIVITY),
        }
    }

    /// All shares, in the order in which they are documented.
    pub fn shares(&self) -> [&Share; 18] {
        [
            &self.connections,
            &self.requests,
            &self.bodies,
            &self.parts,
            &self.work,
            &self.transfers,
            &self.windows,
            &self.answers,
            &self.passwords,
            &self.large_pushes,
            &self.plans,
            &self.deletions,
            &self.lists,
            &self.graphs,
            &self.hashes,
            &self.large_reads,
            &self.layers,
            &self.activity,
        ]
    }
}

impl Default for Budget {
    /// The budget that suits this machine.
    fn default() -> Self {
        Self::new(Limits::of(Machine::read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_into_a_small_container_and_into_few_descriptors() {
        let small = Limits::of(Machine {
            memory: Some(64 * MIB),
            descriptors: 256,
        });
        assert_eq!((small.connections, small.requests), (85, 42));
        assert_eq!(
            (small.bodies, small.parts, small.transfers),
            (16 * MIB, 16 * MIB, 16 * MIB)
        );
        let many_descriptors = Limits::of(Machine {
            memory: Some(64 * MIB),
            descriptors: 1 << 20,
        });
        assert_eq!(
            (many_descriptors.connections, many_descriptors.requests),
            (256, 256)
        );
        let large = Limits::of(Machine {
            memory: None,
            descriptors: 1 << 20,
        });
        assert_eq!((large.connections, large.requests), (4096, 2048));
        assert_eq!(
            (large.bodies, large.parts, large.transfers),
            (64 * MIB, 96 * MIB, 64 * MIB)
        );
    }

    #[test]
    fn each_share_has_its_own_name() {
        let budget = Budget::default();
        let names: std::collections::HashSet<_> = budget.shares().map(Share::name).into_iter().collect();
        assert_eq!(names.len(), budget.shares().len());
    }
}
