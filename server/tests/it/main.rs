//! The server from outside: real sockets, free ports, manifests in temporary folders.

mod admin;
mod grpc;
mod process;
mod reload;
mod support;
