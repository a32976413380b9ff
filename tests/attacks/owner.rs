//! Privilege on files: what a launch by root lets a target leave in a tree that others own.
