//! D-Bus messages, as far as one call of systemd's takes (D-Bus specification, "Message Protocol"):
//! little-endian, strings and numbers.
//!
//! Pure. The bytes come from the other end: every length is checked against the buffer, and
//! anything else is no message.

/// The longest message that is looked at; longer ones are of no use here.
pub(super) const MOST: usize = 64 << 10;
/// The longest that the specification allows.
const LONGEST: usize = 128 << 20;
/// The part of a header with a length of its own.
pub(super) const FIXED: usize = 16;

const CALL: u8 = 1;
pub(super) const RETURN: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;

/// Header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Bytes being written.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array of structures, which begin at multiples of 8; its length does not count what is
    /// before the first.
    fn structures(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u32);
        self.align(8);
        self.0.extend(bytes);
    }

    /// A name and its value.
    fn property(&mut self, name: &str, signature: &str, value: impl FnOnce(&mut Writer)) {
        self.align(8);
        self.string(name);
        self.signature(signature);
        value(self);
    }
}

/// A call of a method.
pub(super) struct Call<'a> {
    pub destination: Option<&'a str>,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub signature: &'a str,
    pub body: Vec<u8>,
}

impl Call<'_> {
    /// The message; `serial` is what its reply names.
    pub(super) fn bytes(&self, serial: u32) -> Vec<u8> {
        let mut fields = Writer::default();
        let all = [
            (PATH, "o", Some(self.path)),
            (MEMBER, "s", Some(self.member)),
            (INTERFACE, "s", Some(self.interface)),
            (DESTINATION, "s", self.destination),
            (SIGNATURE, "g", Some(self.signature).filter(|text| !text.is_empty())),
        ];
        for (code, signature, text) in all {
            let Some(text) = text else { continue };
            fields.align(8);
            fields.0.push(code);
            fields.signature(signature);
            if code == SIGNATURE { fields.signature(text) } else { fields.string(text) }
        }
        let mut message = Writer(vec![b'l', CALL, 0, 1]);
        message.number(self.body.len() as u32);
        message.number(serial);
        message.number(fields.0.len() as u32);
        message.0.extend(fields.0);
        message.align(8);
        message.0.extend(&self.body);
        message.0
    }
}

/// A body that is one string.
pub(super) fn one_string(text: &str) -> Vec<u8> {
    let mut body = Writer::default();
    body.string(text);
    body.0
}

/// The signature of [`scope`].
pub(super) const SCOPE: &str = "ssa(sv)a(sa(sv))";

/// The body of StartTransientUnit for a scope (org.freedesktop.systemd1(5)): delegated, forgotten
/// when it ends, and with the caller in it. systemd identifies the caller by the socket's
/// credentials: a pid could mean another process in the manager's pid namespace.
pub(super) fn scope(unit: &str) -> Vec<u8> {
    let mut properties = Writer::default();
    properties.property("Description", "s", |value| value.string("stockade"));
    properties.property("Delegate", "b", |value| value.number(1));
    properties.property("CollectMode", "s", |value| value.string("inactive-or-failed"));
    properties.property("PIDs", "au", |value| {
        value.number(4);
        value.number(0);
    });
    let mut body = Writer::default();
    body.string(unit);
    body.string("fail");
    body.structures(&properties.0);
    body.structures(&[]);
    body.0
}

/// The lengths of a message, by its first bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    kind: u8,
    fields: usize,
    body: usize,
}

impl Head {
    /// None where it is no message.
    pub(super) fn read(bytes: &[u8; FIXED]) -> Option<Head> {
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
        };
        let head = Head { kind: bytes[1], fields: number(12), body: number(4) };
        let fits = head.fields <= LONGEST && head.body <= LONGEST && head.rest() <= LONGEST;
        (bytes[0] == b'l' && bytes[3] == 1 && fits).then_some(head)
    }

    /// How many bytes follow.
    pub(super) fn rest(&self) -> usize {
        self.fields.next_multiple_of(8) + self.body
    }
}

/// What a message says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub kind: u8,
    pub member: &'a str,
    pub error: &'a str,
    pub reply_to: Option<u32>,
    signature: &'a str,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// None where it is not well made.
    pub(super) fn read(head: &Head, rest: &'a [u8]) -> Option<Message<'a>> {
        let mut fields = Reader { bytes: rest.get(..head.fields)?, at: 0 };
        let body = rest.get(head.fields.next_multiple_of(8)..)?;
        let mut message =
            Message { kind: head.kind, body: body.get(..head.body)?, ..Message::default() };
        while fields.at < fields.bytes.len() {
            fields.align(8);
            let code = fields.take(1)?[0];
            let text = match fields.signature()? {
                "u" => {
                    let number = fields.number()?;
                    message.reply_to =
                        if code == REPLY_SERIAL { Some(number) } else { message.reply_to };
                    continue;
                }
                "s" | "o" => fields.string()?,
                "g" => fields.signature()?,
                _ => return None,
            };
            match code {
                MEMBER => message.member = text,
                ERROR_NAME => message.error = text,
                SIGNATURE => message.signature = text,
                _ => {}
            }
        }
        Some(message)
    }

    /// The strings of the body, as far as it is numbers and strings.
    pub(super) fn strings(&self) -> Vec<&'a str> {
        let mut body = Reader { bytes: self.body, at: 0 };
        let mut found = vec![];
        for kind in self.signature.bytes() {
            match kind {
                b'u' if body.number().is_some() => {}
                b's' | b'o' => match body.string() {
                    Some(text) => found.push(text),
                    None => break,
                },
                _ => break,
            }
        }
        found
    }
}

/// Bytes being read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<&'a str> {
        let length = self.number()? as usize;
        self.text(length)
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = self.take(1)?[0] as usize;
        self.text(length)
    }

    /// A text and the zero behind it.
    fn text(&mut self, length: usize) -> Option<&'a str> {
        let text = self.take(length)?;
        (self.take(1)? == [0]).then_some(())?;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests;
