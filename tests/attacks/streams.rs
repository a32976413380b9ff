//! What is shared with the caller by descriptor: sockets, files, pipes.

use super::program;
use crate::support::{As, Place, errors, landlock_abi, skip, text, unwrapped};
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// The program of these attacks, in the place once.
fn target(place: &Place) -> std::path::PathBuf {
    let there = place.path.join("streams");
    if there.exists() { there } else { program(place, "streams") }
}

/// The program of these attacks, and a profile that shows it, with lines of its own after
/// `[process]`.
fn sandbox(place: &Place, name: &str, process: &str, more: &str) -> std::path::PathBuf {
    let target = target(place);
    let rt = format!("\"/rt\" = {{ bind = \"{}\" }}", target.display());
    place.file(
        name,
        &format!(
            "format = 1\n[mounts]\n{rt}\n\"/proc\" = \"proc\"\n[process]\n{process}\n{more}\n"
        ),
    )
}

/// `stockade run` of the profile, with something as standard input; where the profile passes 5,
/// that is it instead.
fn run(place: &Place, who: As, profile: &Path, words: &[&str], input: impl Into<Stdio>) -> Output {
    let launcher = place.path.join("stockade");
    let passes = std::fs::read_to_string(profile).unwrap().contains("pass-fds");
    let mut command = place.outside(who, "sh");
    command.args(["-c", if passes { "exec \"$@\" 5<&0 </dev/null" } else { "exec \"$@\"" }, "sh"]);
    command
        .arg(launcher)
        .arg("run")
        .arg(profile)
        .arg("/rt")
        .args(words)
        .stdin(input)
        .output()
        .unwrap()
}

/// An accepted connection, as inetd gives it, whose peer has said a word.
fn accepted() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"hello").unwrap();
    (listener.accept().unwrap().0.into(), client)
}

/// A service on the host's loopback that the sandbox has no way to; its port.
fn private_service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut connection = connection;
            drop(connection.write_all(b"private"));
        }
    });
    port.to_string()
}

fn rules_over_tcp() -> bool {
    let can = landlock_abi() >= 4;
    if !can {
        skip("this kernel's Landlock has no rules for TCP (ABI 4)");
    }
    can
}

#[test]
fn a_tcp_socket_stays_out_of_the_callers_network() {
    if !rules_over_tcp() {
        return;
    }
    let (place, port) = (Place::new(), private_service());
    let get = |who, process: &str, more: &str, act: &str| {
        let profile = sandbox(&place, "tcp.toml", process, more);
        let (socket, _peer) = accepted();
        run(
            &place,
            who,
            &profile,
            &[act, if process.is_empty() { "0" } else { "5" }, &port],
            socket,
        )
    };
    for who in As::all() {
        for process in ["", "pass-fds = [5]"] {
            for act in ["reach", "fast", "occupy"] {
                let output = get(*who, process, "", act);
                let said = text(&output.stderr);
                assert!(
                    output.status.code() == Some(1),
                    "{who:?} {act} {process}: {:?} {said}",
                    output.status
                );
                assert!(
                    ["connect: Permission", "sendto: Operation not", "bind: Permission"]
                        .iter()
                        .any(|begin| said.contains(begin)),
                    "{said}"
                );
                // The twin: in the caller's own network nothing holds it, and lists of the
                // profile's own count.
                let output = get(*who, process, "[network]\nmode = \"host\"", act);
                assert!(output.status.success(), "{who:?} {act}: {}", text(&output.stderr));
            }
            let own = format!("[landlock]\ntcp-connect = [{port}]");
            assert_eq!(
                text(&get(*who, process, &own, "reach").stdout),
                "private",
                "{who:?} {process}"
            );
            // What it was given for: it talks with its peer.
            assert_eq!(text(&get(*who, process, "", "told").stdout), "hello", "{who:?} {process}");
            // Where Landlock rules over no files, too.
            assert_eq!(
                get(*who, process, "[landlock]\npaths = \"off\"", "reach").status.code(),
                Some(1),
                "{who:?} {process}"
            );
        }
    }
}

#[test]
fn a_udp_socket_that_nothing_holds_is_refused_or_reported() {
    let place = Place::new();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    for who in As::all() {
        for process in ["", "pass-fds = [5]"] {
            let words = ["send", if process.is_empty() { "0" } else { "5" }, &port];
            let socket = || -> OwnedFd { UdpSocket::bind("127.0.0.1:0").unwrap().into() };
            let profile = sandbox(&place, "udp.toml", process, "");
            let output = run(&place, *who, &profile, &words, socket());
            if landlock_abi() >= 10 {
                assert_eq!(output.status.code(), Some(1), "{who:?}: {}", text(&output.stderr));
                continue;
            }
            let said = errors(&output);
            assert!(
                output.status.code() == Some(125)
                    && said.contains("cannot keep the UDP socket on descriptor"),
                "{who:?}: {said}"
            );
            assert!(said.contains("optional = [\"network.passed-sockets\"]"), "{said}");
            let told = std::fs::read_to_string(&profile)
                .unwrap()
                .replace("format = 1\n", "format = 1\noptional = [\"network.passed-sockets\"]\n");
            let profile = place.file("told.toml", &told);
            let output = run(&place, *who, &profile, &words, socket());
            let said = errors(&output);
            assert!(
                output.status.success() && said.contains("is not kept from the caller's network"),
                "{who:?}: {said}"
            );
            server.recv(&mut [0; 8]).unwrap();
        }
    }
}

/// Landlock's rules for TCP are not for MPTCP (since Linux 6.14), SCTP and what is no internet
/// socket.
#[test]
fn other_sockets_and_folders_are_refused() {
    let place = Place::new();
    let profile = sandbox(&place, "other.toml", "pass-fds = [5]", "");
    let caller = target(&place);
    for kind in
        ["mptcp", "sctp", "netlink", "packet", "raw", "vsock", "folder", "memory", "memory-both"]
    {
        for who in As::all() {
            let mut command = place.outside(*who, &caller);
            let output = command
                .args(["on", "5", kind])
                .arg(place.path.join("stockade"))
                .arg("run")
                .arg(&profile)
                .args(["/rt", "nonblock", "5"]);
            let output = output.output().unwrap();
            let said = errors(&output);
            match (kind, output.status.code()) {
                (_, Some(77)) => {}
                ("memory", code) => assert!(
                    code == Some(125) && said.contains("cannot keep the file on descriptor 5"),
                    "{who:?}: {said}"
                ),
                ("memory-both", code) => assert_eq!(code, Some(0), "{who:?}: {said}"),
                ("folder", code) => assert!(
                    code == Some(125) && said.contains("it is a directory"),
                    "{who:?}: {said}"
                ),
                (_, code) => assert!(
                    code == Some(125) && said.contains("landlock::socket"),
                    "{who:?} {kind}: {code:?} {said}"
                ),
            }
        }
    }
}

/// The caller's part: a unix socket of a kind as descriptor 5 or 0 of a sandbox, or of the target
/// outside of one.
fn with_unix(place: &Place, who: As, profile: Option<&Path>, kind: &str, act: &[&str]) -> Command {
    let caller = target(place);
    let fd = if profile
        .is_some_and(|profile| std::fs::read_to_string(profile).unwrap().contains("pass-fds"))
    {
        "5"
    } else {
        "0"
    };
    let mut command = place.outside(who, &caller);
    command
        .args(["on", fd, kind])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match profile {
        Some(profile) => {
            command.arg(place.path.join("stockade")).arg("run").arg(profile).arg("/rt")
        }
        None => command.arg(&caller),
    };
    command.arg(act[0]).arg(fd).args(&act[1..]);
    command
}

fn abstract_name(name: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(name).unwrap()
}

/// A client of the host's, which says a word to an abstract name as soon as it is there.
fn client(name: &str, datagrams: bool) {
    for _ in 0..100 {
        let said = if datagrams {
            UnixDatagram::unbound().unwrap().send_to_addr(b"word", &abstract_name(name)).is_ok()
        } else {
            UnixStream::connect_addr(&abstract_name(name))
                .is_ok_and(|mut stream| stream.write_all(b"word").is_ok())
        };
        if said {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Abstract names are of the network that a socket was made in, and nothing keeps a socket from
/// taking one there.
#[test]
fn a_unix_socket_takes_no_name_of_the_callers_network() {
    let place = Place::new();
    let name = format!("stockade-serve-{}", std::process::id());
    for who in As::all() {
        for process in ["", "pass-fds = [5]"] {
            let profile = sandbox(&place, "unix.toml", process, "");
            let optional = std::fs::read_to_string(&profile).unwrap().replacen(
                '\n',
                "\noptional = [\"network.passed-sockets\"]\n",
                1,
            );
            let optional = place.file("unix-told.toml", &optional);
            let host = sandbox(&place, "unix-host.toml", process, "[network]\nmode = \"host\"");
            for kind in ["unix-pair-datagram", "unix-datagram", "unix", "unix-packet"] {
                let output = with_unix(&place, *who, Some(&profile), kind, &["serve", &name])
                    .output()
                    .unwrap();
                let said = errors(&output);
                assert!(
                    output.status.code() == Some(125) && said.contains("landlock::socket"),
                    "{who:?} {kind}: {:?} {said}",
                    output.status
                );
                assert!(
                    said.contains("it can take an abstract name there"),
                    "{who:?} {kind}: {said}"
                );
                if kind == "unix-packet" {
                    continue;
                }
                // The twins: outside, where it is accepted, and where the network is the caller's.
                for (profile, less) in
                    [(None, false), (Some(&*optional), true), (Some(&*host), false)]
                {
                    let child =
                        with_unix(&place, *who, profile, kind, &["serve", &name]).spawn().unwrap();
                    client(&name, kind.contains("datagram"));
                    let output = child.wait_with_output().unwrap();
                    let said = errors(&output);
                    assert!(output.status.success(), "{who:?} {kind}: {said}");
                    assert!(
                        ["word", "hello"].contains(&&*text(&output.stdout)),
                        "{who:?} {kind}: {said}"
                    );
                    assert_eq!(
                        said.contains("is not kept from the caller's network"),
                        less,
                        "{who:?} {kind}: {said}"
                    );
                }
            }
            // Those that are tied to a peer or a name do what they are for, and nothing else.
            for kind in [
                "unix-pair",
                "unix-pair-packet",
                "unix-named-listening",
                "unix-packet-named-listening",
            ] {
                let act = |act: &[&str]| {
                    with_unix(&place, *who, Some(&profile), kind, act).output().unwrap()
                };
                let output = act(&["serve", &name]);
                assert_eq!(
                    output.status.code(),
                    Some(1),
                    "{who:?} {kind}: {}",
                    text(&output.stderr)
                );
                let output = act(if kind.contains("pair") { &["told"] } else { &["listen"] });
                assert!(output.status.success(), "{who:?} {kind}: {}", text(&output.stderr));
                assert_eq!(
                    text(&output.stdout),
                    if kind.contains("pair") { "hello" } else { "" },
                    "{who:?} {kind}"
                );
            }
        }
    }
}

#[test]
fn a_unix_datagram_socket_reaches_no_service_of_the_callers_network() {
    let place = Place::new();
    let name = format!("stockade-reach-{}", std::process::id());
    let service = UnixDatagram::bind_addr(&abstract_name(&name)).unwrap();
    service.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let heard = || service.recv(&mut [0; 8]).is_ok();
    for who in As::all() {
        let tell = |profile: Option<&Path>| {
            let output = with_unix(&place, *who, profile, "unix-datagram-named", &["tell", &name])
                .output()
                .unwrap();
            (output.status.code(), errors(&output))
        };
        let (code, said) = tell(Some(&sandbox(&place, "reach.toml", "", "")));
        assert_eq!(code, Some(if landlock_abi() >= 6 { 1 } else { 125 }), "{who:?}: {said}");
        let open = sandbox(&place, "reach-open.toml", "", "[landlock]\nscope = []");
        let (code, said) = tell(Some(&open));
        assert!(
            code == Some(125) && said.contains("does not hold it here") && !heard(),
            "{who:?}: {said}"
        );
        let told = std::fs::read_to_string(&open).unwrap().replacen(
            '\n',
            "\noptional = [\"network.passed-sockets\"]\n",
            1,
        );
        for twin in [None, Some(&*place.file("reach-told.toml", &told))] {
            let (code, said) = tell(twin);
            assert!(code == Some(0) && heard(), "{who:?}: {said}");
        }
    }
}

#[test]
fn a_file_is_not_opened_for_more_than_it_was() {
    let place = Place::new();
    for who in As::all() {
        let folder = place.folder("files", *who);
        let file = folder.join("input");
        let fresh = || {
            std::fs::write(&file, "input").unwrap();
            if *who == As::User && crate::support::is_root() {
                std::os::unix::fs::chown(&file, Some(crate::support::USER), None).unwrap();
            }
            // Anybody's, so that root's target could write it, too.
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666))
                .unwrap();
            File::open(&file).unwrap()
        };
        for (process, fd) in [("", "0"), ("pass-fds = [5]", "5")] {
            let profile = sandbox(&place, "file.toml", process, "");
            assert_eq!(
                run(&place, *who, &profile, &["write", fd], fresh()).status.code(),
                Some(1),
                "{who:?}"
            );
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "input");
            assert_eq!(
                text(&run(&place, *who, &profile, &["told", fd], fresh()).stdout),
                "input",
                "{who:?}"
            );
            for line in ["[landlock]\npaths = \"off\"", "[namespaces]\nnested = true"] {
                let profile = sandbox(&place, "bare.toml", process, line);
                let output = run(&place, *who, &profile, &["write", fd], fresh());
                let said = errors(&output);
                assert!(
                    output.status.code() == Some(125)
                        && said.contains("cannot keep the file on descriptor"),
                    "{who:?} {line}: {said}"
                );
                // A file that the target may not write is none to refuse, and a pipe is the way
                // that the help names.
                let output =
                    run(&place, *who, &profile, &["told", fd], File::open("/etc/passwd").unwrap());
                assert!(output.status.success(), "{who:?} {line}: {}", text(&output.stderr));
                let mut cat =
                    Command::new("cat").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
                let output = run(&place, *who, &profile, &["told", fd], cat.stdout.take().unwrap());
                cat.wait().unwrap();
                assert_eq!(
                    text(&output.stdout),
                    "input",
                    "{who:?} {line}: {}",
                    text(&output.stderr)
                );
            }
        }
        // The twin: outside of a sandbox it is written, and a file that is written is read.
        let outside = place
            .outside(*who, target(&place))
            .args(["write", "0"])
            .stdin(fresh())
            .status()
            .unwrap();
        assert!(
            outside.success() && std::fs::read_to_string(&file).unwrap() == "CHANGED",
            "{who:?}"
        );
        drop(fresh());
        let profile = sandbox(&place, "file.toml", "", "");
        let output = File::options().append(true).open(&file).unwrap();
        assert_eq!(
            run(&place, *who, &profile, &["read", "0"], output).status.code(),
            Some(1),
            "{who:?}"
        );
    }
}

/// The owner of a file changes its mode, whatever it was opened for. Set-id, what the target wrote
/// there would be the caller's program for every other user of the machine.
#[test]
fn a_file_on_a_descriptor_is_not_made_set_id() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    for who in As::all() {
        let file = place.folder("mode", *who).join(format!("output-{who:?}"));
        let make = || {
            std::fs::write(&file, "").unwrap();
            if *who == As::User && crate::support::is_root() {
                std::os::unix::fs::chown(&file, Some(crate::support::USER), None).unwrap();
            }
            File::options().append(true).open(&file).unwrap()
        };
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
        for line in ["", "[seccomp]\npolicy = \"off\"", "[landlock]\npaths = \"off\""] {
            let profile = sandbox(&place, "mode.toml", "", line);
            for act in ["set-id", "set-id-path"] {
                assert_eq!(
                    run(&place, *who, &profile, &[act, "0"], make()).status.code(),
                    Some(1),
                    "{who:?} {act} {line}"
                );
                assert!(mode() & 0o6000 == 0, "{who:?} {act} {line}: {:o}", mode());
            }
            if *who == As::User {
                assert!(
                    run(&place, *who, &profile, &["plain-mode", "0"], make()).status.success(),
                    "{who:?} {line}"
                );
            }
        }
        if *who == As::User {
            // The word lifts it.
            let profile = sandbox(&place, "mode.toml", "", "[seccomp]\nset-id = true");
            assert!(
                run(&place, *who, &profile, &["set-id", "0"], make()).status.success()
                    && mode() & 0o4000 != 0,
                "{who:?}"
            );
        }
        assert!(
            place
                .outside(*who, target(&place))
                .args(["set-id", "0"])
                .stdin(make())
                .status()
                .unwrap()
                .success()
        );
        assert!(mode() & 0o4000 != 0, "{who:?}: the twin makes it set-id");
    }
}

/// A named pipe has an inode of a file system, and no rule. One without a name is beyond Landlock,
/// and the threat model says so.
#[test]
fn a_fifo_that_is_written_is_not_read() {
    let place = Place::new();
    for who in As::all() {
        let folder = place.folder("pipes", *who);
        let fifo = folder.join(format!("fifo-{who:?}"));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        std::fs::set_permissions(&fifo, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        // Opened for both, so that nothing waits; the sandbox has an end for writing.
        let mut both = File::options().read(true).write(true).open(&fifo).unwrap();
        both.write_all(b"others").unwrap();
        let end = || File::options().write(true).open(&fifo).unwrap();
        let profile = sandbox(&place, "fifo.toml", "", "");
        assert_eq!(
            run(&place, *who, &profile, &["read", "0"], end()).status.code(),
            Some(1),
            "{who:?}"
        );
        let twin =
            place.outside(*who, target(&place)).args(["read", "0"]).stdin(end()).output().unwrap();
        assert_eq!(text(&twin.stdout), "others", "{who:?}");
    }
    crate::support::a_page_says(
        "An ordinary user's target reads a pipe that it was given for writing",
    );
}

/// A pipe is its maker's, whichever end was given (pipe(7), proc_pid_fd(5)): `plan` and `check`
/// report it, a run does not.
#[test]
fn a_pipe_for_writing_is_reported_before_the_run() {
    let place = Place::new();
    let profile = sandbox(&place, "pipe.toml", "", "");
    for who in As::all() {
        for (command, reports) in [("plan", true), ("check", true), ("run", false)] {
            let mut launcher = place.stockade(*who);
            let output = launcher
                .arg(command)
                .arg(&profile)
                .args(["/rt", "nonblock", "0"])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = unwrapped(&(text(&output.stdout) + &text(&output.stderr)));
            assert!(output.status.success(), "{who:?} {command}: {said}");
            let told = said.contains("a pipe for writing on 1, 2 can be read by the target, too");
            assert_eq!(told, reports && *who == As::User, "{who:?} {command}: {said}");
        }
        // The twin: what is no such pipe is not reported.
        let file = || File::options().write(true).open("/dev/null").unwrap();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut launcher = place.stockade(*who);
        let status = launcher
            .arg("check")
            .arg(&profile)
            .arg("/rt")
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(theirs))
            .stderr(file())
            .status();
        assert!(status.unwrap().success());
        drop(launcher);
        let said = std::io::read_to_string(ours).unwrap();
        assert!(!said.contains("a pipe for writing"), "{who:?}: {said}");
    }
}

/// The kernel's limits on what is shared by descriptor.
#[test]
fn what_a_shared_file_keeps_is_said() {
    crate::support::a_page_says("A file that was opened for appending can be written anywhere");
    crate::support::a_page_says(
        "of a file that the caller owns the target can change permission bits, times and \
         attributes, whatever it was opened for",
    );
    crate::support::a_page_says(
        "The place in a file, which the caller shares, is where the target leaves it",
    );
    let place = Place::new();
    let profile = sandbox(&place, "shared.toml", "", "");
    for who in As::all() {
        let file = place.folder("shared", *who).join(format!("lines-{who:?}"));
        std::fs::write(&file, "one\ntwo\n").unwrap();
        let mut input = File::open(&file).unwrap();
        assert_eq!(
            text(&run(&place, *who, &profile, &["told", "0"], input.try_clone().unwrap()).stdout),
            "one\ntwo\n",
            "{who:?}"
        );
        // The offset is one for both (open(2)).
        assert_eq!(std::io::Seek::stream_position(&mut input).unwrap(), 8, "{who:?}");
    }
}

/// O_NONBLOCK belongs to the open file description, which the caller has, too: the next program's
/// write would fail with EAGAIN.
#[test]
fn flags_of_what_the_caller_shares_are_put_back() {
    let place = Place::new();
    let flags = |end: &File| {
        let info =
            std::fs::read_to_string(format!("/proc/self/fdinfo/{}", end.as_raw_fd())).unwrap();
        info.lines()
            .find_map(|line| line.strip_prefix("flags:").map(|flags| flags.trim().to_owned()))
            .unwrap()
    };
    for who in As::all() {
        for (process, fd) in [("", "0"), ("pass-fds = [5]", "5")] {
            let (end, _other) = nix::unistd::pipe().unwrap();
            let end = File::from(end);
            let before = flags(&end);
            let profile = sandbox(&place, "flags.toml", process, "");
            let output = run(&place, *who, &profile, &["nonblock", fd], end.try_clone().unwrap());
            assert!(output.status.success(), "{who:?}: {}", text(&output.stderr));
            assert_eq!(flags(&end), before, "{who:?}");
            let twin = place
                .outside(*who, target(&place))
                .args(["nonblock", "0"])
                .stdin(end.try_clone().unwrap())
                .status()
                .unwrap();
            assert!(twin.success() && flags(&end) != before, "{who:?}");
        }
    }
}
