//! Device nodes.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Node {
    /// Whether it is a block device.
    pub block: bool,
    /// The driver.
    pub major: u32,
    /// The device; none is every one of the driver's.
    pub minor: Option<u32>,
}
