//! Room for reviews: so many at a time, and so many bytes of them.

use axum::http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use std::sync::Arc;

/// Reviews of the largest size there is room for at a time; of usual ones there is room for thousands.
const LARGEST: usize = 8;
/// What bytes are counted in.
const KIB: usize = 1024;

/// The room there is.
#[derive(Debug)]
pub(crate) struct Room {
    reviews: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    largest: usize,
}

/// Room that a review takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    _review: OwnedSemaphorePermit,
    _kib: OwnedSemaphorePermit,
}

impl Room {
    pub(crate) fn new(reviews: u32, largest: usize) -> Self {
        // A review that comes without its length may be of the largest size.
        let largest = largest.div_ceil(KIB).clamp(1, Semaphore::MAX_PERMITS / LARGEST).min(u32::MAX as usize);
        Self {
            reviews: Arc::new(Semaphore::new(reviews as usize)),
            kib: Arc::new(Semaphore::new(largest * LARGEST)),
            largest,
        }
    }

    /// Takes room for a review with these headers, if there is any.
    pub(crate) fn take(&self, headers: &HeaderMap) -> Option<Taken> {
        let length =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let kib = length.map_or(self.largest, |length: usize| length.div_ceil(KIB).min(self.largest));
        Some(Taken {
            _review: self.reviews.clone().try_acquire_owned().ok()?,
            _kib: self.kib.clone().try_acquire_many_owned(u32::try_from(kib).ok()?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_and_given_back() {
        let headers = |length: &str| {
            let mut headers = HeaderMap::new();
            if !length.is_empty() {
                headers.insert(header::CONTENT_LENGTH, length.parse().unwrap());
            }
            headers
        };
        let room = Room::new(3, 10 * KIB);
        let small: Vec<Taken> = (0..3).map(|_| room.take(&headers("5000")).unwrap()).collect();
        assert!(room.take(&headers("1")).is_none(), "too many");
        drop(small);
        let room = Room::new(100, 10 * KIB);
        let mut large: Vec<Taken> = (0..7).map(|_| room.take(&headers("")).unwrap()).collect();
        large.push(room.take(&headers("99999999999")).unwrap());
        assert!(room.take(&headers("1")).is_none(), "too large");
        large.pop();
        assert!(room.take(&headers("1")).is_some());
    }
}
