//! The systemd that serves the caller: the system's for root, the user's own for every other user.
//! It is found and connected to; nothing is asked of it here.

use crate::host::systemd::{Route, Socket, Unreached};
use crate::kernel::name::Name;
use crate::sys::{self, Errno};
use std::os::fd::RawFd;

/// A manager that could be connected to.
#[derive(Debug)]
pub(crate) struct Systemd {
    pub socket: Socket,
    /// Which process listens: the manager, also for the bus, as that gets its socket from it.
    pub pid: i32,
}

/// Finds it. The manager's own socket comes first: a bus is one more process to wait for.
pub(crate) fn find(uid: u32, runtime_dir: Option<&str>) -> Result<Systemd, Unreached> {
    let own = format!("/run/user/{uid}");
    let runtime = runtime_dir.unwrap_or(&own);
    let sockets = match uid {
        0 => vec![("/run/systemd/private".to_owned(), Route::Private)],
        _ => vec![
            (format!("{runtime}/systemd/private"), Route::Private),
            (format!("{runtime}/bus"), Route::Bus),
        ],
    };
    let mut unreached = Unreached { socket: None, errno: libc::ENOENT };
    for (path, route) in sockets {
        match connect(&path, uid) {
            Ok((socket, pid)) => {
                sys::regardless(sys::close(socket));
                return Ok(Systemd { socket: Socket { path, route }, pid });
            }
            Err(Errno(libc::ENOENT | libc::ENOTDIR)) => {}
            Err(Errno(errno)) if unreached.socket.is_none() => {
                unreached = Unreached { socket: Some(path), errno }
            }
            Err(_) => {}
        }
    }
    Err(unreached)
}

/// How often, and with how many milliseconds between, a manager with a full queue is tried again.
const TRIES: (u32, i32) = (200, 10);

/// A connection to a socket, and the process that listens there. No request is sent to another
/// user's process, nor to one in a pid namespace that is not ours or above it.
pub(crate) fn connect(path: &str, uid: u32) -> sys::Result<(RawFd, i32)> {
    let name = Name::new(path);
    for _ in 0..TRIES.0 {
        match sys::connect_unix(name.as_c_str()) {
            Ok(socket) => {
                let judged = sys::peer(socket).and_then(|(pid, owner)| match pid {
                    _ if owner != uid && owner != 0 => Err(Errno(libc::EPERM)),
                    0 => Err(Errno(libc::ESRCH)),
                    pid => Ok((socket, pid)),
                });
                return judged.inspect_err(|_| sys::regardless(sys::close(socket)));
            }
            Err(Errno(libc::EAGAIN)) => sys::regardless(sys::poll([], TRIES.1)),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno(libc::EAGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_listens_is_found_and_what_does_not_is_told() {
        let directory =
            std::env::temp_dir().join(format!("stockade-systemd-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("systemd")).unwrap();
        let runtime = directory.to_str().unwrap();
        let uid = nix::unistd::getuid().as_raw().max(1);
        assert_eq!(
            find(uid, Some(runtime)).unwrap_err(),
            Unreached { socket: None, errno: libc::ENOENT }
        );
        let private = directory.join("systemd/private");
        drop(UnixListener::bind(&private).unwrap());
        let refused =
            Unreached { socket: Some(private.to_str().unwrap().into()), errno: libc::ECONNREFUSED };
        assert_eq!(find(uid, Some(runtime)).unwrap_err(), refused);
        let _bus = UnixListener::bind(directory.join("bus")).unwrap();
        let found = find(uid, Some(runtime)).unwrap();
        assert_eq!((found.socket.route, found.pid), (Route::Bus, std::process::id() as i32));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
