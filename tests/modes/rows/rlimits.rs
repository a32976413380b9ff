//! `[rlimits]`: each is read back by the target.

use crate::modes::table::{Cell, OTHER, Row, act, plain, row};

macro_rules! limits {
    ($( $name:literal = $value:literal, $number:literal => $held:literal; )+ below $( $low:literal, $below:literal; )+) => {
        pub const ROWS: &[Row] = &[$(
            row(concat!("rlimits.", $name), act(concat!("rlimits.", $name, " = ", $value), concat!("{P}/act limit ", $number), $held, OTHER))
        ,)+ $(
            plain(
                concat!("rlimits.", $low),
                concat!("rlimits.", $low, " = 0"),
                Cell::Below(
                    act(concat!("rlimits.", $low, " = 0"), concat!("{P}/act limit ", $below), "0 0", OTHER),
                    act(concat!("rlimits.", $low, " = 9"), concat!("{P}/act limit ", $below), "9 9", OTHER),
                    $below,
                ),
            )
        ),+];
    };
}

// The numbers are those of getrlimit(2) on x86-64 and aarch64.
limits! {
    "as" = "\"1G\"", "9" => "1073741824 1073741824";
    "core" = "0", "4" => "0 0";
    "cpu" = "\"100s\"", "0" => "100 100";
    "data" = "\"1G\"", "2" => "1073741824 1073741824";
    "fsize" = "\"1M\"", "1" => "1048576 1048576";
    "locks" = "77", "10" => "77 77";
    "memlock" = "\"64k\"", "8" => "65536 65536";
    "msgqueue" = "4096", "12" => "4096 4096";
    "nofile" = "77", "7" => "77 77";
    "nproc" = "777", "6" => "777 777";
    "rss" = "\"1G\"", "5" => "1073741824 1073741824";
    "rttime" = "\"1s\"", "15" => "1000000 1000000";
    "sigpending" = "77", "11" => "77 77";
    "stack" = "\"4M\"", "3" => "4194304 4194304";
    below
    "nice", 13;
    "rtprio", 14;
}
