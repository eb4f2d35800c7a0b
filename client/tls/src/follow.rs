//! Following files: looked at every interval, and made into something anew when they changed.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::files::{self, Content};
use crate::{Error, Event};

/// How often files that have just changed are read again, until two readings agree.
const SETTLING: usize = 3;

/// What is made of files, and how.
pub(crate) trait Recipe: Send + Sync + 'static {
    /// What is made of them.
    type Made: Send + Sync + 'static;

    /// The files.
    fn files(&self) -> Vec<PathBuf>;

    /// Makes it of the files' contents, which come in the order of [`Recipe::files`].
    fn make(&self, contents: &[Content]) -> Result<Self::Made, Error>;

    /// What is not as it should be, in words that stay the same as time goes by.
    fn warnings(&self, contents: &[Content], made: &Self::Made, now: SystemTime) -> Vec<String>;
}

/// What was made of files that are followed: the last that was good. Cheap to clone; the files are followed until the
/// last clone is dropped.
pub struct Followed<T>(watch::Receiver<Arc<T>>);

impl<T> Followed<T> {
    /// The last that was good.
    pub fn current(&self) -> Arc<T> {
        self.0.borrow().clone()
    }

    /// Waits until there is another one than this clone has seen by this method. Never ends once nobody follows the
    /// files any more, as at the end of the runtime.
    pub async fn changed(&mut self) -> Arc<T> {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.0.borrow_and_update().clone()
    }
}

impl<T> Clone for Followed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Without what was made, which may be a secret.
impl<T> fmt::Debug for Followed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").finish_non_exhaustive()
    }
}

/// Makes it once, without following; and tells what is not as it should be.
pub(crate) fn load<R: Recipe>(recipe: &R) -> Result<(R::Made, Vec<String>), Error> {
    let contents = files::read(&recipe.files())?;
    let made = recipe.make(&contents)?;
    let warnings = recipe.warnings(&contents, &made, SystemTime::now());
    Ok((made, warnings))
}

/// Makes it, and follows the files from now on.
pub(crate) async fn start<R: Recipe>(
    recipe: R,
    interval: Duration,
    events: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Followed<R::Made>, Error> {
    let recipe = Arc::new(recipe);
    let contents = settled(&recipe, None).await?;
    let made = Arc::new(recipe.make(&contents)?);
    let (sender, receiver) = watch::channel(made.clone());
    let mut follower = Follower { recipe, events, made, warned: Vec::new(), sender };
    follower.warn(&contents);
    tokio::spawn(follower.follow(interval, contents));
    Ok(Followed(receiver))
}

struct Follower<R: Recipe, E> {
    recipe: Arc<R>,
    events: E,
    made: Arc<R::Made>,
    warned: Vec<String>,
    sender: watch::Sender<Arc<R::Made>>,
}

impl<R: Recipe, E: Fn(Event) + Send + Sync + 'static> Follower<R, E> {
    async fn follow(mut self, interval: Duration, contents: Vec<Content>) {
        // An error is compared, too: it is told once, and not every few seconds.
        let mut last = Ok(contents);
        loop {
            tokio::select! {
                () = self.sender.closed() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let now = settled(&self.recipe, Some(&last)).await;
            if !same(&now, &last) {
                self.take(&now);
            }
            if let Ok(contents) = &now {
                self.warn(contents);
            }
            last = now;
        }
    }

    fn take(&mut self, now: &Result<Vec<Content>, Error>) {
        let made = now.as_ref().map_err(Clone::clone).and_then(|contents| self.recipe.make(contents));
        match made {
            Ok(made) => {
                self.made = Arc::new(made);
                self.sender.send_replace(self.made.clone());
                (self.events)(Event::Reloaded);
            }
            Err(error) => (self.events)(Event::Failed(error.to_string())),
        }
    }

    /// Tells what is not as it should be and has not been told; time alone can make it so.
    fn warn(&mut self, contents: &[Content]) {
        let warnings = self.recipe.warnings(contents, &self.made, SystemTime::now());
        for warning in warnings.iter().filter(|warning| !self.warned.contains(warning)) {
            (self.events)(Event::Warning(warning.clone()));
        }
        self.warned = warnings;
    }
}

/// The files' contents. Where they differ from the last ones, they are read until two readings agree: between two files
/// a link may be switched, and what was read then never was together.
async fn settled<R: Recipe>(
    recipe: &Arc<R>,
    last: Option<&Result<Vec<Content>, Error>>,
) -> Result<Vec<Content>, Error> {
    let mut now = read(recipe).await;
    if last.is_some_and(|last| same(&now, last)) {
        return now;
    }
    for _ in 0..SETTLING {
        let again = read(recipe).await;
        if same(&again, &now) {
            break;
        }
        now = again;
    }
    now
}

async fn read<R: Recipe>(recipe: &Arc<R>) -> Result<Vec<Content>, Error> {
    let files = recipe.files();
    match tokio::task::spawn_blocking(move || files::read(&files)).await {
        Ok(read) => read,
        // The runtime ends: nobody will look at the error.
        Err(error) => Err(Error::Tls(error.to_string())),
    }
}

/// Whether two readings are of the same contents; that permissions changed makes no difference.
fn same(one: &Result<Vec<Content>, Error>, other: &Result<Vec<Content>, Error>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one.iter().map(|c| &c.bytes).eq(other.iter().map(|c| &c.bytes)),
        (Err(one), Err(other)) => one == other,
        _ => false,
    }
}
