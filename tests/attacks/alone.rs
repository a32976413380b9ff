//! Landlock alone: `namespaces.mount = "host"` beside lines that only a tree of the sandbox's own can enforce.
