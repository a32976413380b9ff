//! How the two versions of control groups count.

/// Version 1's scale of processor shares: 1024 is what version 2 calls 100.
pub(crate) fn shares_of(weight: u64) -> u64 {
    (weight * 1024 / 100).max(2)
}

/// Version 1's scale of the BFQ scheduler, 1 to 1000 with the same middle.
pub(crate) fn bfq_weight_of(weight: u64) -> u64 {
    if weight <= 100 { weight } else { 100 + (weight - 100) * 900 / 9_900 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_their_middle_and_their_ends() {
        assert_eq!((shares_of(100), shares_of(1)), (1024, 10));
        assert_eq!((bfq_weight_of(1), bfq_weight_of(100), bfq_weight_of(10_000)), (1, 100, 1000));
    }
}
