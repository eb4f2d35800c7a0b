//! gavel-webhook: the admission webhook.

fn main() {}
