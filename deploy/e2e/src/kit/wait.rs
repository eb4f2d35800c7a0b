//! Waiting for what is to come about: asked again and again, up to a deadline.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::bail;

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks until the answer is `Some`. An error ends the waiting at once.
pub(crate) async fn until<T>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if start.elapsed() > within {
            bail!("waited {within:?} in vain until {what}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks until the answer is right, and says what it was last when it does not become so. Errors count as answers that
/// are not right yet: the server asked may be on its way.
pub(crate) async fn until_is<T: Debug>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<T>,
    right: impl Fn(&T) -> bool,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        let answer = ask().await;
        match answer {
            Ok(answer) if right(&answer) => return Ok(answer),
            answer if start.elapsed() > within => {
                bail!("waited {within:?} in vain until {what}; the last answer was {answer:#?}")
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}
