//! Unix stream sockets, named by a path; in the simulator a bounded stream inside one host.
//!
//! `Listener`: `bind(&Path)`, `accept`, `local_path`. `Stream`: `connect(&Path)`, `AsyncRead + AsyncWrite + Unpin`.
//! Binding replaces a socket file that nobody answers any more, and dropping the listener removes it: a crashed
//! predecessor never keeps Fairlead from starting. A path in use is `AddrInUse`; one that is absent is `NotFound`.

pub use crate::arm::unix::{Listener, Stream};
