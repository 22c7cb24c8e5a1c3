//! etcd
pub mod proto;
pub mod state;
