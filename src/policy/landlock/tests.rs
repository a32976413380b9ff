//! What kernels with different ABIs rule over.

use super::*;

#[test]
fn newer_kernels_handle_more() {
    assert_eq!(all(2).within(Rights::IOCTL), Rights(0));
    assert_eq!(all(7).within(Rights::IOCTL), Rights::IOCTL);
    assert!(all(99).0 >= all(10).0);
}
