//! What only the operating system has: socket files, symbolic links, threads and panics.
#![cfg(not(madsim))]

#[path = "support/both.rs"]
mod both;

use both::directory;
use fairlead_net::{
    fs, task, tcp,
    time::{Duration, now, sleep, timeout},
    unix,
};
use socket2::{SockFilter, SockRef};
use std::{
    fs as os,
    io::ErrorKind,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};
use tokio::io::AsyncWriteExt as _;

/// Less than the interval at which a watcher looks by itself: the kernel must have told it.
const PROMPT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_socket_file_left_behind_is_replaced_and_other_files_are_not() {
    let dir = directory("unix-stale");
    let path = dir.join("socket");
    // Unlike ours it leaves its file behind, as a crash does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let l = unix::Listener::bind(&path).unwrap();
    drop(l);
    assert!(!path.exists());
    os::write(&path, "precious").unwrap();
    assert_eq!(unix::Listener::bind(&path).map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::AddrInUse));
    assert_eq!(os::read(&path).unwrap(), b"precious");
}

/// From now on nothing that is sent to this socket arrives, and nothing is said about it: as at the address of a container that is gone.
fn swallow<'s>(socket: impl Into<SockRef<'s>>) {
    // One instruction, "return": keep 0 bytes.
    socket.into().attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
}

#[tokio::test]
#[expect(clippy::disallowed_types, reason = "the peer is a socket that this test can spoil")]
async fn a_peer_that_vanished_acknowledges_neither_bytes_nor_their_repetition() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = tcp::Stream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().unwrap();
    swallow(&accepted);
    client.write_all(b"question").await.unwrap();
    let begun = now();
    let waited = || now() - begun;
    while client.delivery().unwrap().since_sent + Duration::from_millis(100) > waited() {
        assert!(client.delivery().unwrap().unacknowledged);
        assert!(waited() < Duration::from_secs(5), "never repeated");
        sleep(Duration::from_millis(5)).await;
    }
    assert!(waited() > Duration::from_millis(190), "repeated after {:?}", waited());
    swallow(&listener);
    let connecting = tcp::Stream::connect(listener.local_addr().unwrap());
    assert!(timeout(Duration::from_millis(200), connecting).await.is_err(), "its address answers nothing");
}

/// A symbolic link is swapped by a rename.
fn point(link: &Path, to: &str) {
    let new = link.with_file_name("swap");
    symlink(to, &new).unwrap();
    os::rename(&new, link).unwrap();
}

#[tokio::test]
async fn a_swapped_symbolic_link_is_a_change_as_in_kubernetes() {
    let dir = directory("fs-links");
    for version in ["..v1", "..v2"] {
        os::create_dir(dir.join(version)).unwrap();
        os::write(dir.join(version).join("tls.crt"), version).unwrap();
    }
    point(&dir.join("..data"), "..v1");
    symlink("..data/tls.crt", dir.join("tls.crt")).unwrap();
    let path = dir.join("tls.crt");
    let mut watcher = fs::watch(std::slice::from_ref(&path)).unwrap();
    point(&dir.join("..data"), "..v2");
    timeout(PROMPT, watcher.changed()).await.expect("told of the swap").unwrap();
    assert_eq!(fs::read(&path, 100).await.unwrap(), b"..v2");
}

#[tokio::test]
async fn a_file_rewritten_in_place_with_as_many_bytes_is_a_change() {
    let dir = directory("fs-in-place");
    let path = dir.join("a.yml");
    os::write(&path, "one").unwrap();
    let mut watcher = fs::watch(std::slice::from_ref(&path)).unwrap();
    os::write(&path, "two").unwrap();
    timeout(PROMPT, watcher.changed()).await.expect("told of the write").unwrap();
}

#[tokio::test]
async fn a_file_in_a_directory_made_later_is_found_by_looking() {
    let dir = directory("fs-later");
    let path = dir.join("sub").join("a.yml");
    let mut watcher = fs::watch(std::slice::from_ref(&path)).unwrap();
    os::create_dir(path.parent().unwrap()).unwrap();
    os::write(&path, "there").unwrap();
    timeout(3 * fs::POLL_INTERVAL, watcher.changed()).await.expect("found").unwrap();
    os::remove_file(&path).unwrap();
    timeout(PROMPT, watcher.changed()).await.expect("and watched from then on").unwrap();
}

#[tokio::test]
async fn what_is_written_is_for_its_owner_only() {
    let dir = directory("fs-mode");
    let path = dir.join("acme.json");
    fs::write_atomic(&path, b"{}").await.unwrap();
    assert_eq!(os::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let e = fs::write_atomic(path.join("below-a-file"), b"").await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotADirectory);
}

#[tokio::test]
async fn a_panic_is_told_to_whoever_waits() {
    let boom = || panic!("boom {}", 7);
    let told = Err(task::JoinError::Panicked("boom 7".into()));
    assert_eq!(task::spawn(async move { boom() }).await, told);
    assert_eq!(task::spawn_blocking(boom).await, told);
    assert_eq!(task::spawn_worker("doomed", None, move || async move { boom() }).unwrap().await, told);
}

#[tokio::test]
async fn a_worker_has_a_thread_of_its_own_on_one_cpu() {
    let allowed = |status: String| {
        status.lines().find_map(|l| Some(l.strip_prefix("Cpus_allowed_list:")?.trim().to_owned())).unwrap_or_default()
    };
    let seen = task::spawn_worker("worker-1", Some(1), move || async move {
        sleep(Duration::from_millis(1)).await; // timers are on
        let name = std::thread::current().name().map(str::to_owned);
        (name, allowed(os::read_to_string("/proc/thread-self/status").unwrap()))
    });
    let (name, cpus) = seen.unwrap().await.unwrap();
    assert_eq!(name.as_deref(), Some("worker-1"));
    assert!(cpus.parse::<usize>().is_ok(), "pinned to {cpus:?}");
}
