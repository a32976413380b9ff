//! A plan is read back as it was written, but for what is private; and bytes that are no plan are
//! none.

use crate::plans::machine;
use crate::support::Place;
use std::path::{Path, PathBuf};
use stockade::internals::host::Host;
use stockade::internals::host::caller::Caller;
use stockade::internals::plan::stored::{restore, store};
use stockade::internals::plan::{Plan, plan};
use stockade::internals::profile::{BUILTIN, Request, load};
use stockade::internals::step::{Content, Op, TreeOp};
use stockade::internals::text::source::{Sources, Span};

fn profiles(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            profiles(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
    }
}

/// The plan of a profile for each caller, on machines that are invented.
fn plans(profile: &str) -> Vec<Plan> {
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    let mut sources = Sources::default();
    let args = vec!["true".to_owned()];
    let request = Request { profile: profile.to_owned(), args, ..Request::default() };
    let Ok(profile) = load(&request, &caller, &mut sources) else { return vec![] };
    let hosts = [machine::for_user(&profile), machine::for_root(&profile)];
    let private = |host| Host { private: sources.private(), ..host };
    hosts.into_iter().filter_map(|host| plan(&profile, &private(host)).ok()).collect()
}

/// Every profile of this repository that can be copied to a place of its own.
fn of_the_tree(place: &Place) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![];
    ["examples", "profiles", "tests"]
        .iter()
        .for_each(|name| profiles(&root.join(name), &mut found));
    let copied = found.iter().map(|path| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let folder = place.path.join(name);
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        std::fs::write(&folder, text).unwrap();
        folder.to_str().unwrap().to_owned()
    });
    copied.chain(BUILTIN.iter().map(|(name, ..)| (*name).to_owned())).collect()
}

/// As it is read back: without what the caller's environment brought.
fn without_private(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let private = plan.private.clone();
    let is_private =
        |at: Span| private.iter().any(|text| text.start < at.end && at.start < text.end);
    let withhold = |content: &mut Content, at| {
        let is_text = matches!(content, Content::Text(_)) && is_private(at);
        if is_text || matches!(content, Content::Secret(_)) {
            *content = Content::Withheld;
        }
    };
    for step in &mut plan.steps {
        let at = step.at;
        if let Op::Tree(op) = &mut step.op
            && let Some(content) = TreeOp::content_mut(op)
        {
            withhold(content, at);
        }
    }
    for setting in &mut plan.exec.env {
        let at = setting.at;
        withhold(&mut setting.value, at);
    }
    plan
}

/// Gives how many bytes the plan takes.
pub fn is_read_back(plan: &Plan, name: &str) -> usize {
    let bytes = store(plan);
    let back = restore(&bytes).unwrap_or_else(|| panic!("{name}: it is not read back"));
    let wanted = without_private(plan);
    assert_eq!(back, wanted, "{name}");
    // Equality passes over lines and the places of words.
    assert_eq!(format!("{back:#?}"), format!("{wanted:#?}"), "{name}");
    assert_eq!(store(&back), bytes, "{name}");
    bytes.len()
}

#[test]
fn every_profile_is_read_back_as_it_was_written() {
    let place = Place::new();
    let (mut count, mut largest) = (0, 0);
    for profile in of_the_tree(&place) {
        for plan in plans(&profile) {
            let size = is_read_back(&plan, &profile);
            (count, largest) = (count + 1, size.max(largest));
        }
    }
    assert!(count > 80, "only {count} plans");
    // The registry keeps at most a megabyte.
    assert!(largest < 32 << 10, "{largest} bytes");
    println!("{count} plans, the largest of {largest} bytes");
}

const PRIVATE: &str = r#"
    format = 1
    extends = ["default"]
    [env]
    TOKEN = true
    MADE = "a${env:TOKEN}b"
    PLAIN = "plain"
    [mounts]
    "/etc/made" = { text = "${env:TOKEN}" }
    "/etc/passed" = { env = "TOKEN" }
    "/etc/plain" = { text = "plain" }
"#;

/// What the profile itself says stays, and is found again: else the test above could compare
/// nothing with nothing.
#[test]
fn what_the_environment_brought_is_not_written() {
    let place = Place::new();
    let path = place.file("private.toml", PRIVATE);
    let token = "s3cr3t-0f-th3-c4ll3r";
    let mut caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    caller.env.insert("TOKEN".into(), token.into());
    let mut sources = Sources::default();
    let request = Request {
        profile: path.to_str().unwrap().to_owned(),
        args: vec!["true".into()],
        ..Request::default()
    };
    let profile = load(&request, &caller, &mut sources)
        .unwrap_or_else(|problems| panic!("{}", problems.json(&sources)));
    let mut host = machine::for_user(&profile);
    host.caller.env = caller.env;
    host.private = sources.private();
    let plan =
        plan(&profile, &host).unwrap_or_else(|problems| panic!("{}", problems.json(&sources)));
    let holds = |bytes: &[u8], text: &str| {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let bytes = store(&plan);
    assert!(holds(&bytes, "plain") && holds(&bytes, "MADE"), "the twin");
    assert!(!holds(&bytes, token));
    let back = restore(&bytes).unwrap();
    let withheld = |name: &str| {
        let setting = back.exec.env.iter().find(|setting| setting.name.text() == name).unwrap();
        setting.value == Content::Withheld
    };
    assert!(withheld("TOKEN") && withheld("MADE") && !withheld("PLAIN"));
    let files = back.tree().filter(|(op, _)| op.content() == Some(&Content::Withheld)).count();
    assert_eq!(files, 2);
    // Where nobody says what is private, it is written: the marks are what keeps it.
    let unmarked = Plan { private: vec![], ..plan };
    assert!(holds(&store(&unmarked), token), "the twin");
}

#[test]
fn what_is_no_plan_is_none() {
    let plan = plans("default").remove(0);
    let bytes = store(&plan);
    assert!(restore(&bytes).is_some(), "the twin");
    assert!(restore(&[]).is_none());
    for length in 0..bytes.len() {
        assert!(restore(&bytes[..length]).is_none(), "the first {length} bytes");
    }
    let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
    assert!(restore(&longer).is_none(), "a byte more");
    // Another version, or another form of the same.
    for index in 0..9 {
        let mut other = bytes.clone();
        other[index] ^= 1;
        assert!(restore(&other).is_none(), "byte {index} of the mark");
    }
    let judged = |plan: &Plan| {
        for number in 0..600 {
            plan.filter.native.judge(number, &[0; 6]);
        }
    };
    judged(&plan);
    // Whatever a byte is, it is read or refused, and what is read is judged without a panic.
    for index in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut other = bytes.clone();
            other[index] ^= flip;
            if let Some(back) = restore(&other) {
                // Most bytes are not of the filter, and that one was judged.
                if back.filter.native != plan.filter.native {
                    judged(&back);
                }
                assert!(back.shown().all(|step| step.op.to_string().len() < 1 << 16));
            }
        }
    }
    // A count that lies takes no memory.
    let mut counted = bytes[..bytes.len().min(10)].to_vec();
    counted.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    assert!(restore(&counted).is_none());
}
