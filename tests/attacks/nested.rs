//! `namespaces.nested`: what a target does with namespaces of its own.
