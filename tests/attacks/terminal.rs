//! The caller's terminal: its input, its settings and its job control.
