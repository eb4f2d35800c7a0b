use crate::outcome::Outcome;
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}
pub(crate) async fn run(_: Arguments) -> anyhow::Result<Outcome> { Ok(Outcome::Yes) }
