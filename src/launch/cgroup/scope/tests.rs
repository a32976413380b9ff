//! A manager that lies, at the other end of a pair of sockets. One that does not is in the virtual
//! machines of tests/vm.

use super::*;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

/// What the launcher makes of a manager that says these bytes once it is spoken to, and then ends,
/// or waits.
fn told_by(says: Vec<u8>, ends: bool) -> Result<String> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let manager = thread::spawn(move || {
        let mut byte = [0; 1];
        theirs.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [0]);
        // The client closes the socket once it has its answer.
        drop(theirs.write_all(&says));
        if ends { None } else { Some(theirs) }
    });
    let mut talk =
        Talk { fd: ours.into(), read: vec![], until: sys::now_ms().unwrap() + 300, serial: 0 };
    let outcome = talk.ask(Route::Private, 1000, "stockade-1-2");
    drop(talk);
    drop(manager.join().unwrap());
    outcome
}

fn says(outcome: Result<String>) -> String {
    match outcome {
        Err(Wrong::Says(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// A message with these fields (code, signature, text) and strings in its body.
fn message(kind: u8, serial: Option<u32>, fields: &[(u8, &str)], strings: &[&str]) -> Vec<u8> {
    let string = |bytes: &mut Vec<u8>, text: &str| {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.push(0);
    };
    let mut head = vec![];
    for (code, text) in fields {
        head.resize(head.len().next_multiple_of(8), 0);
        head.extend([*code, 1, b's', 0]);
        string(&mut head, text);
    }
    if let Some(serial) = serial {
        head.resize(head.len().next_multiple_of(8), 0);
        head.extend([5, 1, b'u', 0]);
        head.extend(serial.to_le_bytes());
    }
    head.resize(head.len().next_multiple_of(8), 0);
    head.extend([8, 1, b'g', 0, strings.len() as u8]);
    head.extend(strings.iter().map(|_| b's'));
    head.push(0);
    let mut body = vec![];
    strings.iter().for_each(|text| string(&mut body, text));
    let mut bytes = vec![b'l', kind, 1, 1];
    for number in [body.len(), 1, head.len()] {
        bytes.extend((number as u32).to_le_bytes());
    }
    bytes.extend(head);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(body);
    bytes
}

fn removed(unit: &str, result: &str) -> Vec<u8> {
    message(SIGNAL, None, &[(3, "JobRemoved")], &["/job/1", unit, result])
}

fn after_ok(parts: &[Vec<u8>]) -> Vec<u8> {
    [b"OK 0123456789abcdef\r\n".to_vec(), parts.concat()].concat()
}

const UNIT: &str = "stockade-1-2.scope";

#[test]
fn a_job_that_is_done_is_a_scope() {
    let reply = message(RETURN, Some(1), &[], &["/job/1"]);
    let other = removed("other.scope", "failed");
    assert_eq!(told_by(after_ok(&[reply, other, removed(UNIT, "done")]), false), Ok(UNIT.into()));
}

#[test]
fn a_job_that_failed_is_told() {
    assert_eq!(
        says(told_by(after_ok(&[removed(UNIT, "failed")]), false)),
        "its job ended as `failed`"
    );
    let refused = message(
        ERROR,
        Some(1),
        &[(4, "org.freedesktop.DBus.Error.AccessDenied")],
        &["no\u{1b}[31m way"],
    );
    assert_eq!(says(told_by(after_ok(&[refused]), false)), "it says `no\\u{1b}[31m way`");
    let wordless = message(ERROR, Some(1), &[(4, "org.freedesktop.DBus.Error.AccessDenied")], &[]);
    assert_eq!(
        says(told_by(after_ok(&[wordless]), false)),
        "it says `org.freedesktop.DBus.Error.AccessDenied`"
    );
    let long = message(ERROR, Some(1), &[(4, "x.y")], &[&"a".repeat(9000)]);
    assert_eq!(says(told_by(after_ok(&[long]), false)).len(), LONGEST_REASON + "it says ``".len());
}

#[test]
fn another_name_is_tried_where_one_is_taken() {
    let taken = |serial| {
        message(ERROR, Some(serial), &[(4, "org.freedesktop.systemd1.UnitExists")], &["it exists"])
    };
    let second = removed("stockade-1-2-1.scope", "done");
    assert_eq!(told_by(after_ok(&[taken(1), second]), false), Ok("stockade-1-2-1.scope".into()));
    let all: Vec<Vec<u8>> = (1..=NAMES).map(taken).collect();
    assert_eq!(told_by(after_ok(&all), false), Err(Errno(libc::EEXIST).into()));
}

#[test]
fn a_handshake_that_is_none_ends_it() {
    assert_eq!(
        says(told_by(b"REJECTED EXTERNAL\r\n".to_vec(), false)),
        "it answers `REJECTED EXTERNAL`"
    );
    assert_eq!(told_by(b"OK".repeat(4000), false), Err(Errno(libc::EBADMSG).into()));
    assert!(matches!(
        told_by(b"OK 12".to_vec(), true),
        Err(Wrong::Errno(Errno(libc::ECONNRESET | libc::EPIPE)))
    ));
}

#[test]
fn whoever_says_nothing_is_not_waited_for() {
    let late = Err(Errno(libc::ETIMEDOUT).into());
    assert_eq!(told_by(vec![], false), late);
    assert_eq!(told_by(after_ok(&[]), false), late);
    let mut half = removed(UNIT, "done");
    half.truncate(40);
    assert_eq!(told_by(after_ok(&[half]), false), late);
    // A length that never comes is waited for, and not made room for.
    let mut endless = removed(UNIT, "done");
    endless[4..8].copy_from_slice(&(100u32 << 20).to_le_bytes());
    assert_eq!(told_by(after_ok(&[endless]), false), late);
}

#[test]
fn nonsense_is_refused() {
    let bad = Err(Errno(libc::EBADMSG).into());
    assert_eq!(told_by(after_ok(&[b"GARBAGE GARBAGE GARBAGE".to_vec()]), false), bad);
    let mut lengths = removed(UNIT, "done");
    lengths[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(told_by(after_ok(&[lengths]), false), bad);
    // A call is no answer, and a field of an unknown type has no known length.
    assert_eq!(told_by(after_ok(&[message(1, None, &[], &[])]), false), bad);
    let mut field = removed(UNIT, "done");
    field[FIXED + 2] = b'v';
    assert_eq!(told_by(after_ok(&[field]), false), bad);
}

#[test]
fn a_message_that_is_too_long_is_passed_over() {
    let long = message(SIGNAL, None, &[(3, "PropertiesChanged")], &[&"x".repeat(2 * MOST)]);
    assert_eq!(
        told_by(after_ok(&[long.clone(), long, removed(UNIT, "done")]), false),
        Ok(UNIT.into())
    );
}
