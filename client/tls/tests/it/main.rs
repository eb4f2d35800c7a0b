//! Real certificates, real handshakes, real files.

mod authority;
mod files;
mod following;
mod handshakes;
