//! The end of a sandbox, its time limits and its leftovers, attacked by way of pid 1 and the launcher.
