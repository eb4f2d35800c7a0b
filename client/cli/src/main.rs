//! gavel, the command line.
fn main() {}
