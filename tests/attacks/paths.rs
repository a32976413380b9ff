//! Links, races and sockets: paths that an earlier target or another user prepared.
