//! The record of a run, with and without limits: `--report`, `--report-fd`, `--stats`.

mod support;

use serde_json::Value;
use support::{As, Place, limits_hit, system, text};

#[test]
fn without_limits_the_report_tells_what_wait_tells() {
    for who in As::all() {
        let place = Place::new();
        let (output, record) = place.report(*who, &system(""), "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; kill -TERM $$");
        assert_eq!(output.status.code(), Some(143), "{record}");
        assert_eq!((record["cause"].as_str(), record["signal"].as_u64()), (Some("signal"), Some(15)), "{record}");
        assert!(record["used"]["user-us"].as_u64() > Some(1_000) && record["used"]["max-rss"].as_u64() > Some(100_000), "{record}");
        assert!(record["wall-us"].as_u64() > Some(1_000) && record["memory"].is_null(), "{record}");
        let profile = system("") + "[process]\ntimeout = \"100ms\"\n";
        assert_eq!(place.report(*who, &profile, "sleep 5").1["cause"], "timeout");
        let (output, record) = place.report(*who, "format = 1\n[mounts]\n\"/x\" = 1\n", "");
        assert_eq!((output.status.code(), record["cause"].as_str()), (Some(125), Some("launcher")), "{record}");
        assert!(!record["problems"].as_array().unwrap().is_empty(), "{record}");
        let (output, record) = place.report(*who, &system(""), "exit 0; #");
        assert_eq!((output.status.code(), record["cause"].as_str(), limits_hit(&record).len()), (Some(0), Some("exit"), 0), "{record}");
    }
}

#[test]
fn the_report_goes_to_a_descriptor_which_the_target_never_has() {
    for who in As::all() {
        let place = Place::new();
        let path = place.file("profile.toml", &system(""));
        let script =
            format!("exec {} run --report-fd 3 {} /bin/sh -c 'ls /proc/self/fd' 3>&1 >&2", place.path.join("stockade").display(), path.display());
        let output = place.outside(*who, "/bin/sh").arg("-c").arg(script).output().unwrap();
        assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok_and(|record| record["cause"] == "exit"), "{}", text(&output.stdout));
        assert_eq!(text(&output.stderr).split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"], "{who:?}");
        let closed = place.stockade(*who).args(["run", "--report-fd", "77"]).arg(&path).arg("true").output().unwrap();
        assert!(closed.status.code() == Some(125) && text(&closed.stderr).contains("descriptor 77"), "{}", text(&closed.stderr));
        let stats = place.stockade(*who).args(["run", "--stats"]).arg(&path).arg("true").output().unwrap();
        assert!(text(&stats.stderr).contains("ended by exit with status 0"), "{}", text(&stats.stderr));
    }
}
