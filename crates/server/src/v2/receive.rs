//! Request bodies: read in pieces, with a time limit for each.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time;
use wharf_budget::{Permit, Share};
use wharf_oci::ErrorCode;
use wharf_registry::Error as RegistryError;

use crate::{
    call::Call,
    error::{Failure, Result},
    incoming,
};

/// The next bytes of `body`; `None` at its end.
///
/// An error ends the request: the client disconnected, or sent nothing for [`Limits::idle`](wharf_http::Limits::idle). One
/// that sends next to nothing is ended earlier when others need its place.
pub(super) async fn next(call: Call<'_>, body: &mut Incoming) -> Result<Option<Bytes>> {
    let next = incoming::next(call.context, body);
    match time::timeout(call.context.limits().idle, next).await {
        Ok(next) => next.map_err(|error| broken_off(&error)),
        Err(_elapsed) => Err(too_slow(call)),
    }
}

/// The next bytes of a blob; counted in the metrics.
pub(super) async fn next_of_blob(call: Call<'_>, body: &mut Incoming) -> Result<Option<Bytes>> {
    let bytes = next(call, body).await?;
    if let (Some(bytes), Some(metrics)) = (&bytes, &call.app.services.metrics) {
        metrics.transfers().received(bytes.len() as u64);
    }
    Ok(bytes)
}

/// A body in memory, and the permit for what it takes there.
pub(super) struct Gathered {
    pub(super) bytes: Bytes,
    pub(super) charge: Permit,
}

/// How long a request waits for room for the first bytes of its body. Short: that a client has hung up shows only when its
/// body is read, so a long queue would be one of clients that are gone.
const PATIENCE: Duration = Duration::from_millis(500);

/// A body of up to so many bytes is taken before more is charged for it: nearly all manifests are smaller.
const FIRST: usize = 8 << 10;

/// Up to this size a body is charged for in steps, each as large as all before it; then all the rest at once.
const STEPS: usize = 64 << 10;

/// What the facts of a manifest take in memory beside its bytes, in multiples of these. For the bytes beyond [`STEPS`]
/// the registry has turns of its own.
const FACTS: usize = 7;

/// The part of the budget that bodies of more than [`STEPS`] leave to others: one of so many.
const RESERVE: usize = 4;

/// The whole body of at most `limit` bytes, charged to the budget before it is read. A body that announces more is refused
/// before a byte of it is read. The client has [`Limits::idle`](wharf_http::Limits::idle) for all of it: it is small.
///
/// **Memory follows the bytes that came.** The first step is waited for when the first byte has come; each further one is charged when the body has
/// filled those before it, so that a client which announces much and sends little holds little.
///
/// **No deadlock.** A request that holds a charge never waits for more of it: if there is no room for the next step, the
/// request is refused, and gives back what it has. A large body asks for all its rest at once, so that of many large ones
/// some succeed, instead of each holding a part. They leave a reserve to the small ones.
pub(super) async fn whole(call: Call<'_>, body: &mut Incoming, limit: usize) -> Result<Gathered> {
    let too_large = || Failure::from(RegistryError::ManifestTooLarge { limit });
    let announced = body.size_hint();
    if announced.lower() > limit as u64 {
        return Err(too_large());
    }
    let most = announced
        .upper()
        .map_or(limit, |upper| usize::try_from(upper).unwrap_or(limit).min(limit));
    let share = &call.app.services.budget.bodies;
    let mut room = most.min(FIRST);
    let gather = async {
        // A client that announces a body and sends none of it holds nothing.
        let mut coming = next(call, body).await?;
        let mut charge = call.context.room_for_body(share, amount(room), PATIENCE).await?;
        let mut whole = Vec::with_capacity(room);
        while let Some(bytes) = coming {
            let size = whole.len() + bytes.len();
            if size > limit {
                return Err(too_large());
            }
            while size > room {
                let step = next_step(room, most.max(size));
                let more = charge_step(share, room, step);
                charge.merge(more.inspect_err(|_| call.context.make_room_for_body())?);
                room = step;
                whole.reserve_exact(room - whole.len());
            }
            whole.extend_from_slice(&bytes);
            coming = next(call, body).await?;
        }
        let bytes = Bytes::from(whole);
        Ok(Gathered { bytes, charge })
    };
    let patience = call.context.limits().idle;
    match time::timeout(patience, gather).await {
        Ok(gathered) => gathered,
        Err(_elapsed) => {
            let text = format!("the manifest did not come whole within {patience:?}; push it again");
            Err(Failure::new(ErrorCode::ManifestInvalid, text)
                .with_status(StatusCode::REQUEST_TIMEOUT)
                .and_close())
        }
    }
}

/// What a body of `size` bytes is charged.
fn amount(size: usize) -> usize {
    size + FACTS * size.min(STEPS)
}

/// The next size to charge for after `size`; `most` is the most that can come.
fn next_step(size: usize, most: usize) -> usize {
    if size < STEPS {
        (2 * size).clamp(FIRST, STEPS).min(most)
    } else {
        most
    }
}

/// Charges for the step from one size to another.
fn charge_step(share: &Share, from: usize, to: usize) -> Result<Permit> {
    let more = amount(to) - amount(from);
    Ok(if to > STEPS {
        share.take_beside(more, share.limit() / RESERVE)?
    } else {
        share.take(more)?
    })
}

/// The failure of a body that ended early: the connection failed, or its bytes are not valid HTTP.
fn broken_off(error: &hyper::Error) -> Failure {
    tracing::debug!(%error, "a request body ended early");
    let text = "the request body ended before its announced length";
    Failure::new(ErrorCode::SizeInvalid, text).and_close()
}

fn too_slow(call: Call<'_>) -> Failure {
    let patience = call.context.limits().idle;
    let text = format!(
        "no byte of the request body came for {patience:?}; of an upload, ask for its state, and go on after the bytes that are kept; otherwise send it again"
    );
    Failure::new(ErrorCode::BlobUploadInvalid, text)
        .with_status(StatusCode::REQUEST_TIMEOUT)
        .and_close()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes that a body is charged for as it grows.
    fn steps(most: usize) -> Vec<usize> {
        let mut sizes = vec![most.min(FIRST)];
        while sizes[sizes.len() - 1] < most {
            sizes.push(next_step(sizes[sizes.len() - 1], most));
        }
        sizes
    }

    #[test]
    fn a_body_is_charged_for_in_steps_and_a_large_one_then_at_once() {
        assert_eq!(steps(0), [0]);
        assert_eq!(steps(1000), [1000]);
        assert_eq!(steps(20 << 10), [8 << 10, 16 << 10, 20 << 10]);
        assert_eq!(steps(4 << 20), [8 << 10, 16 << 10, 32 << 10, 64 << 10, 4 << 20]);
        let all: usize = steps(4 << 20)
            .windows(2)
            .map(|pair| amount(pair[1]) - amount(pair[0]))
            .sum();
        assert_eq!(all + amount(FIRST), amount(4 << 20));
    }

    #[test]
    fn large_bodies_leave_room_for_small_ones() {
        let share = Share::new("bodies", 64 << 20);
        let mut held = Vec::new();
        while let Ok(charge) = charge_step(&share, STEPS, 4 << 20) {
            held.push(charge);
        }
        assert_eq!(held.len(), 12);
        assert!(share.take(amount(FIRST)).is_ok());
    }

    #[test]
    fn hundreds_of_slow_bodies_take_little() {
        let share = Share::new("bodies", 64 << 20);
        let held: Vec<Permit> = (0..300).map(|_| share.take(amount(FIRST)).unwrap()).collect();
        assert!(share.used() < share.limit() / 3, "{share:?}");
        assert!(charge_step(&share, STEPS, 4 << 20).is_ok());
        drop(held);
    }
}
