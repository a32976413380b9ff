//! Names are looked up inside as the profile's network has it. The host's /etc is one that a test
//! made, in a mount namespace of its thread, and a server of names answers on the loopback of that
//! thread's network.

#![allow(unsafe_code, reason = "namespaces of a thread, and its loopback")]

use crate::support::{As, Place, USER, errors, is_root, said, skip, system, text};
use std::ffi::CString;
use std::net::UdpSocket;
use std::os::unix::fs::{lchown, symlink};

/// Does something where `place/etc` is /etc, and 127.0.0.1 has a server that knows every name as
/// 10.9.8.7.
fn on_a_machine(place: &Place, act: impl FnOnce() + Send) {
    let go = || {
        // Both are a thread's own.
        // SAFETY: it takes no pointer.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) }, 0);
        mount("none", "/", libc::MS_PRIVATE | libc::MS_REC);
        mount(place.path.join("etc").to_str().unwrap(), "/etc", libc::MS_BIND);
        raise_loopback();
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        let ended = socket.try_clone().unwrap();
        let server = std::thread::spawn(move || serve(&socket));
        act();
        ended.send_to(b"", ended.local_addr().unwrap()).unwrap();
        server.join().unwrap();
    };
    std::thread::scope(|scope| scope.spawn(go).join()).unwrap_or_else(|panic| {
        std::panic::resume_unwind(panic);
    });
}

fn mount(source: &str, target: &str, flags: libc::c_ulong) {
    let [source, target] = [source, target].map(|path| CString::new(path).unwrap());
    let none = std::ptr::null();
    // SAFETY: both are C strings that live until the call is done.
    let done = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), none, flags, none.cast()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// A new network namespace has a loopback that is down (netdevice(7)).
fn raise_loopback() {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // SAFETY: all zeroes is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    // SAFETY: the request is valid for reads.
    assert_eq!(unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS as _, &request) }, 0);
}

/// Answers until it gets a message without bytes (RFC 1035, section 4): the question again, and for
/// an address of version 4 one record that points at its name.
fn serve(socket: &UdpSocket) {
    let mut message = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut message).unwrap();
        if length == 0 {
            return;
        }
        let labels = message[12..length].iter().position(|byte| *byte == 0).unwrap();
        let end = 12 + labels + 5;
        let is_version_4 = message[end - 3] == 1;
        let mut answer = message[..end].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_version_4), 0, 0, 0, 0]);
        if is_version_4 {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 8, 7]);
        }
        socket.send_to(&answer, from).unwrap();
    }
}

/// A machine whose resolv.conf is a link, as systemd-resolved makes it.
fn machine() -> Place {
    let place = Place::new();
    for name in ["passwd", "group", "ld.so.cache"] {
        let text = std::fs::read(format!("/etc/{name}")).unwrap_or_default();
        let path = place.file(&format!("etc/{name}"), "");
        std::fs::write(path, text).unwrap();
    }
    place.file("etc/nsswitch.conf", "hosts: files dns\n");
    place.file("etc/hosts", "127.0.0.1 localhost\n10.1.1.1 corp # x\n");
    place.file("resolved/stub.conf", "nameserver 127.0.0.1\n");
    symlink("../resolved/stub.conf", place.path.join("etc/resolv.conf")).unwrap();
    place
}

fn base(more: &str) -> String {
    format!("format = 1\nextends = [\"base\"]\n{more}\n")
}

// getent's ahosts asks nobody where loopback is the only interface (AI_ADDRCONFIG).
const LOOK_UP: &str = "getent hosts some.test | cut -d' ' -f1";

#[test]
fn a_shared_network_has_the_names_of_the_host() {
    if !is_root() {
        return skip("only root can make a network and an /etc for the launcher");
    }
    let place = machine();
    let at = place.path.display().to_string();
    // The link leads out of /etc by its full path.
    std::fs::remove_file(place.path.join("etc/resolv.conf")).unwrap();
    let link = place.path.join("etc/resolv.conf");
    symlink(format!("{at}/resolved/stub.conf"), &link).unwrap();
    on_a_machine(&place, || {
        for who in As::all() {
            let sh = |profile: &str, line: &str| place.sh(*who, profile, line);
            let open = base("network.mode = \"host\"");
            assert_eq!(
                sh(&open, &format!("{LOOK_UP}; getent hosts corp stockade"))
                    .split('\n')
                    .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect::<Vec<_>>(),
                ["10.9.8.7", "10.1.1.1 corp", "127.0.0.1 stockade"]
            );
            // Without, and with others.
            let none = base("network.mode = \"host\"\nnetwork.dns = \"none\"");
            assert_eq!(sh(&none, &format!("{LOOK_UP}; ls /etc/resolv.conf || :")), "");
            let other = base(
                "network.mode = \"host\"\nnetwork.dns = [\"127.0.0.9\", \"::1\"]\n\
                 network.hosts = { corp = \"10.2.2.2\", two = [\"10.3.3.3\", \"fd09::3\"] }",
            );
            let line =
                "cat /etc/resolv.conf; getent hosts corp | cut -d' ' -f1; grep two /etc/hosts";
            let meant = "nameserver 127.0.0.9\nnameserver ::1\n10.2.2.2\n10.3.3.3 two\nfd09::3 two";
            assert_eq!(sh(&other, line), meant);
            // A bound /etc, where the name is a link: the mount is on the link itself.
            let bound = system("[network]\nmode = \"host\"");
            let line = format!("{LOOK_UP}; [ -L /etc/resolv.conf ] || cat /etc/resolv.conf");
            assert_eq!(sh(&bound, &line), "10.9.8.7\nnameserver 127.0.0.1");
            let none = system("[network]\nmode = \"host\"\ndns = \"none\"");
            assert!(!sh(&none, &format!("{LOOK_UP}; cat /etc/resolv.conf")).contains("127"));
            // What the profile puts there beats it.
            let entry = system("\"/run/x\" = \"dir\"\n[network]\nmode = \"host\"");
            let entry = entry.replace("\"/etc\" = \"ro\"", &format!("\"/etc\" = \"ro\"\n\"{at}/resolved/stub.conf\" = {{ text = \"nameserver 127.0.0.2\\n\" }}\n\"/etc/resolv.conf\" = \"ro\""));
            assert_eq!(
                sh(&entry, "[ -L /etc/resolv.conf ] && cat /etc/resolv.conf"),
                "nameserver 127.0.0.2"
            );
        }
        // Root follows another user's link only to a file of that user.
        lchown(&link, Some(USER), Some(USER)).unwrap();
        let open = base("network.mode = \"host\"");
        let copied = |who| {
            let line = "cat /etc/resolv.conf 2> /dev/null | cut -d' ' -f2";
            text(&place.run(who, &open, &["sh", "-c", line]).stdout).trim().to_owned()
        };
        assert_eq!((copied(As::Root).as_str(), copied(As::User).as_str()), ("", "127.0.0.1"));
        let profile = place.file("checked.toml", &open);
        let check = place.stockade(As::Root).arg("check").arg(profile).arg("true").output();
        let output = check.unwrap();
        assert!(
            errors(&output).contains("is a link of user")
                || said(&output).contains("is a link of user"),
            "{}",
            said(&output)
        );
        std::os::unix::fs::chown(place.path.join("resolved/stub.conf"), Some(USER), None).unwrap();
        assert_eq!(copied(As::Root), "127.0.0.1");
        // Without a resolver a run says so, unless it is to say nothing.
        std::fs::remove_file(place.path.join("resolved/stub.conf")).unwrap();
        let profile = place.file("open.toml", &open);
        let run = |loudness: &[&str]| {
            let mut command = place.stockade(As::User);
            command.arg("run").args(loudness).arg(&profile).arg("true").output().unwrap()
        };
        let words =
            "names cannot be looked up inside: /etc/resolv.conf is a link to what is not there";
        let (heard, quiet) = (run(&[]), run(&["-q"]));
        let said_of =
            |output: &std::process::Output| crate::support::unwrapped(&text(&output.stderr));
        assert!(heard.status.success() && said_of(&heard).contains(words), "{}", said(&heard));
        assert!(quiet.status.success() && quiet.stderr.is_empty(), "{}", said(&quiet));
    });
}

/// The target cannot take the names away from above what it writes.
#[test]
fn a_name_in_a_writable_tree_stays() {
    for who in As::all() {
        let place = Place::new();
        let etc = place.folder("etc", *who);
        symlink("/run/nothing", etc.join("resolv.conf")).unwrap();
        std::fs::write(etc.join("hosts"), "1.2.3.4 own\n").unwrap();
        if is_root() && *who == As::User {
            std::os::unix::fs::chown(etc.join("hosts"), Some(USER), Some(USER)).unwrap();
            lchown(etc.join("resolv.conf"), Some(USER), Some(USER)).unwrap();
        }
        let mount = format!(
            "\"/etc\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" }}\n[network]\ndns = \
             [\"127.0.0.1\"]",
            etc.display()
        );
        let profile = system(&mount).replace("\"/etc\" = \"ro\"\n", "");
        let line = "rm /etc/resolv.conf; mv /etc/hosts /etc/x; ln -sf x /etc/resolv.conf; echo > \
                    /etc/hosts; cat /etc/resolv.conf; tail -n 1 /etc/hosts; touch /etc/new";
        let output = place.run(*who, &profile, &["sh", "-c", line]);
        assert_eq!(
            text(&output.stdout),
            "nameserver 127.0.0.1\n127.0.0.1 stockade\n",
            "{}",
            said(&output)
        );
        assert_eq!(text(&output.stderr).matches("busy").count(), 3, "{}", said(&output));
        // Nothing of it is on the host.
        assert_eq!(std::fs::read_to_string(etc.join("hosts")).unwrap(), "1.2.3.4 own\n");
        assert_eq!(
            std::fs::read_link(etc.join("resolv.conf")).unwrap().to_str(),
            Some("/run/nothing")
        );
        assert!(etc.join("new").exists());
    }
}

#[test]
fn the_target_knows_its_own_name() {
    let python = std::path::Path::new("/usr/bin/python3").exists();
    for who in As::all() {
        let place = Place::new();
        let twin = "\n[mounts]\n\"/etc/hosts\" = { text = \"\" }";
        for more in [
            "",
            "namespaces.hostname = \"inner.box\"",
            "network.mode = \"host\"",
            "namespaces.uts = \"host\"",
        ] {
            let line =
                "getent hosts \"$(hostname)\" > /dev/null && hostname -f > /dev/null && echo known";
            assert_eq!(place.sh(*who, &base(more), line), "known", "{more}");
            if python {
                let line =
                    "python3 -c 'import socket as s; print(s.gethostbyname(s.gethostname()))'";
                let address = place.sh(*who, &base(more), line);
                assert!(!address.is_empty(), "{more}: {address}");
            }
        }
        let output = place.run(*who, &base(twin), &["sh", "-c", "getent hosts \"$(hostname)\""]);
        assert_eq!(text(&output.stdout), "", "{}", said(&output));
        let bound = place.sh(*who, &system(""), "getent hosts stockade | cut -d' ' -f1");
        assert_eq!(bound, "127.0.0.1");
        // The strictest sandbox has a file of its own, and no server.
        let empty = "format = 1\nprograms = [\"/bin/sh\", \"cat\", \"ls\"]";
        let line = "cat /etc/hosts; ls /etc";
        let own = "127.0.0.1 localhost\n::1 localhost\n127.0.0.1 stockade\n";
        let inside = place.sh(*who, empty, line);
        assert!(inside.starts_with(own) && !inside.contains("resolv.conf"), "{inside}");
    }
}
