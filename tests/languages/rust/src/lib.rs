//! rust_socketio against Parley. Everything is a test but `call_client`, which docs/clients.md shows.
pub mod call_client;
#[cfg(test)]
mod call_test;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod socketio_test;
