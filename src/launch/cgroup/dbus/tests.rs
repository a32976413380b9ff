//! Against what sd-bus(3) sends for the same call (busctl of systemd 252), and against what a user
//! manager of systemd 252 answered.

use super::*;

const HELLO: &[u8] = b"l\x01\0\x01\0\0\0\0\x01\0\0\0m\0\0\0\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\x03\x01s\0\x05\0\0\0Hello\0\0\0\
\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0";
const START: &[u8] = b"l\x01\x04\x01\xb8\0\0\0\x02\0\0\0\xb6\0\0\0\x01\x01o\0\x19\0\0\0/org/freedesktop/systemd1\0\0\0\0\0\0\0\x03\x01s\0\x12\
\0\0\0StartTransientUnit\0\0\0\0\0\0\x02\x01s\0 \0\0\0org.freedesktop.systemd1.Manager\0\0\0\0\0\0\0\0\x06\x01s\0\x18\
\0\0\0org.freedesktop.systemd1\0\0\0\0\0\0\0\0\x08\x01g\0\x10ssa(sv)a(sa(sv))\0\0\0\x12\0\0\0stockade-7-9.scope\0\0\
\x04\0\0\0fail\0\0\0\0\x88\0\0\0\x0b\0\0\0Description\0\x01s\0\0\x08\0\0\0stockade\0\0\0\0\0\0\0\0\x08\0\0\0Delegate\0\
\x01b\0\x01\0\0\0\0\0\0\0\x0b\0\0\0CollectMode\0\x01s\0\0\x12\0\0\0inactive-or-failed\0\0\0\0\0\0\x04\0\0\0PIDs\0\x02a\
u\0\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const REPLY: &[u8] = b"l\x02\x01\x01%\0\0\0\x03\0\0\x007\0\0\0\x05\x01u\0\x01\0\0\0\x07\x01s\0\x18\0\0\0org.freedesktop.systemd1\0\0\0\0\0\0\0\
\0\x08\x01g\0\x01o\0\0 \0\0\0/org/freedesktop/systemd1/job/10\0";
const UNIT_NEW: &[u8] = b"l\x04\x01\x01[\0\0\0\x01\0\0\0\x98\0\0\0\x01\x01o\0\x19\0\0\0/org/freedesktop/systemd1\0\0\0\0\0\0\0\x02\x01s\0 \0\0\0\
org.freedesktop.systemd1.Manager\0\0\0\0\0\0\0\0\x03\x01s\0\x07\0\0\0UnitNew\0\x07\x01s\0\x18\0\0\0org.freedesktop.sys\
temd1\0\0\0\0\0\0\0\0\x08\x01g\0\x02so\0\x15\0\0\0stockade-155-77.scope\0\0\0:\0\0\0/org/freedesktop/systemd1/unit/sto\
ckade_2d155_2d77_2escope\0";
const JOB_REMOVED: &[u8] = b"l\x04\x01\x01Q\0\0\0\x0a\0\0\0\xa2\0\0\0\x01\x01o\0\x19\0\0\0/org/freedesktop/systemd1\0\0\0\0\0\0\0\x02\x01s\0 \0\0\0\
org.freedesktop.systemd1.Manager\0\0\0\0\0\0\0\0\x03\x01s\0\x0a\0\0\0JobRemoved\0\0\0\0\0\0\x07\x01s\0\x18\0\0\0org.fr\
eedesktop.systemd1\0\0\0\0\0\0\0\0\x08\x01g\0\x04uoss\0\0\0\0\0\0\0\x0a\0\0\0 \0\0\0/org/freedesktop/systemd1/job/10\0\
\0\0\0\x15\0\0\0stockade-155-77.scope\0\0\0\x04\0\0\0done\0";
const BUS_HELLO_REPLY: &[u8] =
    b"l\x02\x01\x01\x09\0\0\0\x01\0\0\0=\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x05\x01u\0\x01\0\0\0\x08\x01g\0\x01s\0\0\x07\
\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x04\0\0\0:1.0\0";
const BUS_REMOVED: &[u8] = b"l\x04\x01\x01Q\0\0\0\x0b\0\0\0\x8d\0\0\0\x01\x01o\0\x19\0\0\0/org/freedesktop/systemd1\0\0\0\0\0\0\0\x02\x01s\0 \0\0\0\
org.freedesktop.systemd1.Manager\0\0\0\0\0\0\0\0\x03\x01s\0\x0a\0\0\0JobRemoved\0\0\0\0\0\0\x08\x01g\0\x04uoss\0\0\0\0\
\0\0\0\x07\x01s\0\x04\0\0\0:1.1\0\0\0\0\x1c\0\0\0 \0\0\0/org/freedesktop/systemd1/job/28\0\0\0\0\x15\0\0\0stockade-173\
-77.scope\0\0\0\x04\0\0\0done\0";

fn start() -> Vec<u8> {
    let call = Call {
        destination: Some("org.freedesktop.systemd1"),
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "StartTransientUnit",
        signature: SCOPE,
        body: scope("stockade-7-9.scope"),
    };
    call.bytes(2)
}

fn read(bytes: &[u8]) -> Option<(Head, Message<'_>)> {
    let head = Head::read(bytes.get(..FIXED)?.try_into().ok()?)?;
    let message = Message::read(&head, bytes.get(FIXED..)?)?;
    Some((head, message))
}

#[test]
fn a_call_is_what_sd_bus_sends() {
    let bus = "org.freedesktop.DBus";
    let hello = Call {
        destination: Some(bus),
        path: "/org/freedesktop/DBus",
        interface: bus,
        member: "Hello",
        signature: "",
        body: vec![],
    };
    assert_eq!(hello.bytes(1), HELLO);
    // The recorded call lets the manager ask the user for a password
    // (ALLOW_INTERACTIVE_AUTHORIZATION in its third byte); ours does not.
    let mut sent = START.to_vec();
    sent[2] = 0;
    assert_eq!(start(), sent);
}

#[test]
fn what_systemd_says_is_understood() {
    for bytes in [REPLY, UNIT_NEW, JOB_REMOVED, BUS_HELLO_REPLY, BUS_REMOVED] {
        assert_eq!(read(bytes).unwrap().0.rest(), bytes.len() - FIXED);
    }
    let reply = read(REPLY).unwrap().1;
    assert_eq!(
        (reply.kind, reply.reply_to, reply.strings()),
        (RETURN, Some(1), vec!["/org/freedesktop/systemd1/job/10"])
    );
    let unit = read(UNIT_NEW).unwrap().1;
    assert_eq!(
        (unit.kind, unit.member, unit.strings()[0]),
        (SIGNAL, "UnitNew", "stockade-155-77.scope")
    );
    for (bytes, job, unit) in
        [(JOB_REMOVED, 10, "stockade-155-77.scope"), (BUS_REMOVED, 28, "stockade-173-77.scope")]
    {
        let removed = read(bytes).unwrap().1;
        assert_eq!((removed.kind, removed.member, removed.error), (SIGNAL, "JobRemoved", ""));
        assert_eq!(
            removed.strings(),
            [&format!("/org/freedesktop/systemd1/job/{job}"), unit, "done"]
        );
    }
    assert_eq!(read(BUS_HELLO_REPLY).unwrap().1.strings(), [":1.0"]);
}

#[test]
fn what_is_cut_short_is_no_message() {
    for bytes in [REPLY, UNIT_NEW, JOB_REMOVED, BUS_HELLO_REPLY] {
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), None, "{length}");
        }
    }
}

#[test]
fn what_is_changed_does_no_harm() {
    for bytes in [REPLY, JOB_REMOVED] {
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1] {
                let mut changed = bytes.to_vec();
                changed[at] = value;
                if let Some((head, message)) = read(&changed) {
                    assert!(head.rest() <= LONGEST && message.strings().len() <= 255);
                }
            }
        }
    }
}

#[test]
fn lengths_beyond_reason_are_refused() {
    let with = |at: usize, number: u32| {
        let mut bytes: [u8; FIXED] = REPLY[..FIXED].try_into().unwrap();
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        Head::read(&bytes).map(|head| head.rest())
    };
    for number in [u32::MAX, u32::MAX - 7, 1 << 31, (128 << 20) + 1, 128 << 20] {
        assert_eq!((with(4, number), with(12, number)), (None, None), "{number}");
    }
    assert_eq!(with(4, 1000), Some(1056));
    // Big-endian, and another version of the protocol.
    let mut bytes: [u8; FIXED] = REPLY[..FIXED].try_into().unwrap();
    bytes[0] = b'B';
    assert_eq!(Head::read(&bytes), None);
    (bytes[0], bytes[3]) = (b'l', 2);
    assert_eq!(Head::read(&bytes), None);
}
