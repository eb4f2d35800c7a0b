//! Questions that go on while something happens: none may be left without an answer.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use gavel_proto::v1;
use tonic::Code;

use crate::kit::{GavelServer, NumberedPolicy, admission, seconds, wait};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(60);

/// What was answered meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) count: usize,
    /// The policy's numbers as they were told; one that was told again and again, once.
    pub(crate) numbers: Vec<u32>,
    /// The greatest staleness that an answer told, in seconds.
    pub(crate) stalest: f64,
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers, all right, the oldest of {:.1} s", self.count, self.stalest)
    }
}

/// Asks all the time while something goes on, and fails as soon as there is no answer. Tells what came of it.
pub(crate) async fn answers_while<T>(
    policy: &NumberedPolicy,
    server: &GavelServer,
    something: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(T, Answers)> {
    let mut answers = Answers::default();
    let asking = async {
        loop {
            let (number, answer) = policy.ask(server).await.context("a question without an answer")?;
            answers.count += 1;
            answers.stalest = staleness(&answer)?.max(answers.stalest);
            if answers.numbers.last() != Some(&number) {
                answers.numbers.push(number);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let done = tokio::select! {
        done = something => done?,
        failed = asking => return failed,
    };
    ensure!(answers.count > 0, "nobody was asked meanwhile");
    Ok((done, answers))
}

/// How old an answer says that it is, in seconds; those about a cluster say it always.
pub(crate) fn staleness(answer: &v1::AdmitResponse) -> anyhow::Result<f64> {
    seconds(answer.staleness.as_ref()).context("an answer does not tell how old it is")
}

/// Waits until an answer is older than this many seconds.
pub(crate) async fn until_older(
    policy: &NumberedPolicy,
    server: &GavelServer,
    age: f64,
) -> anyhow::Result<()> {
    let ask = async || staleness(&policy.ask(server).await?.1);
    wait::until_is(&format!("answers are older than {age} s"), SOON, ask, |told| *told > age).await?;
    Ok(())
}

/// Whoever takes no answer that is older than this gets none, and is told why.
pub(crate) async fn nothing_fresh(
    policy: &NumberedPolicy,
    server: &GavelServer,
    most: Duration,
) -> anyhow::Result<()> {
    let question = fresh(policy, most);
    let refused = server.admit_within(question, Duration::from_secs(1)).await;
    let status = refused.err().with_context(|| format!("{most:?} at most was asked for, and answered"))?;
    ensure!(status.code() == Code::DeadlineExceeded, "{status}");
    ensure!(status.message().contains("it was last known to be current"), "{status}");
    Ok(())
}

/// Waits until an answer can be had that is not older than this.
pub(crate) async fn until_fresh(
    policy: &NumberedPolicy,
    server: &GavelServer,
    most: Duration,
) -> anyhow::Result<()> {
    let ask = async || Ok(server.admit(fresh(policy, most)).await?);
    let answer = wait::until_is("an answer is fresh", SOON, ask, |_| true).await?;
    ensure!(answer.allowed, "{answer:?}");
    Ok(())
}

fn fresh(policy: &NumberedPolicy, most: Duration) -> v1::AdmitRequest {
    let consistency = Some(v1::Consistency { max_staleness: Some(most.into()), ..Default::default() });
    v1::AdmitRequest { consistency, ..admission(&policy.pod("asked")) }
}
