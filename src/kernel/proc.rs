//! Options of proc (proc(5)).

use crate::language::value::words;

words! {
    /// What /proc shows of other users' processes (proc(5), `hidepid`).
    HidePid {
        /// All of it.
        Off = "off",
        /// Their directories, not what is in them.
        NoAccess = "noaccess",
        /// Nothing.
        Invisible = "invisible",
    }
}
