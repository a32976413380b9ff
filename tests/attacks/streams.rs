//! What is shared with the caller by descriptor: sockets, pipes, files.
