use super::*;
use crate::step::{Content, Kernel};
use std::collections::BTreeMap;

/// A node that is nothing but its ground.
struct Plain(Ground);

impl HasGround for Plain {
    fn ground(&self) -> &Ground {
        &self.0
    }
}

/// A machine: what is at its paths, and which directories are opaque; and the links that were
/// followed at the end of a way.
#[derive(Default)]
struct Machine {
    files: BTreeMap<&'static str, Kind>,
    opaque: Vec<&'static str>,
    ends: Vec<String>,
}

impl Facts<Plain> for Machine {
    type File = ();
    type Stop = ();

    fn host(&mut self, _: Position<'_, Plain>, _: &Source, place: &str) -> Looked<(), ()> {
        self.files.get(place).map(|kind| (kind.clone(), ())).ok_or(Halt::Errno(libc::ENOENT))
    }

    fn is_opaque(&mut self, place: &str) -> Result<bool, Halt<()>> {
        Ok(self.opaque.contains(&place))
    }

    fn kernel(&mut self, _: Position<'_, Plain>, _: &Kernel) -> Looked<(), ()> {
        Ok((Kind::Unknown, ()))
    }

    fn own(&mut self, _: Position<'_, Plain>, _: &FileKind) {}

    fn follow(
        &mut self,
        _: &Step<'_, Plain, ()>,
        link: &Step<'_, Plain, ()>,
        at_end: bool,
    ) -> Result<(), Halt<()>> {
        self.ends.extend(at_end.then(|| link.path.clone()));
        Ok(())
    }
}

fn directory() -> Kind {
    Kind::File(FileKind::Directory)
}

fn file() -> Kind {
    Kind::File(FileKind::Regular)
}

fn link(text: &str) -> Kind {
    Kind::File(FileKind::Link(text.into()))
}

fn tree(nodes: &[(&str, Ground)]) -> Tree<Plain> {
    let mut tree = Tree::new(Plain(Ground::Own(Own::Root)));
    tree.extend(nodes.iter().map(|(path, ground)| ((*path).to_owned(), Plain(ground.clone()))));
    tree
}

fn stack(layers: &[&str]) -> Ground {
    let layers = layers.iter().map(|path| Source::new(*path)).collect();
    Ground::Host(Stack::lowest_first(layers).unwrap())
}

/// Where a path ends, with its place on the host; or the errno.
fn end(tree: &Tree<Plain>, machine: &mut Machine, path: &str) -> Result<(String, String), i32> {
    match walk(tree, machine, path, Last::Followed).end() {
        Ok(step) => {
            Ok((step.path, step.places.first().map_or(String::new(), |(_, place)| place.clone())))
        }
        Err(Halt::Errno(errno)) => Err(errno),
        Err(Halt::Stop(())) => unreachable!(),
    }
}

fn at(path: &str, place: &str) -> Result<(String, String), i32> {
    Ok((path.into(), place.into()))
}

#[test]
fn names_end_as_the_path_does() {
    let names = |path| {
        let mut names = names_of(path);
        names.reverse();
        names.join(" ")
    };
    assert_eq!(names("/"), "");
    assert_eq!(names("//a//b"), "a b");
    assert_eq!(names("a/../b/."), "a .. b .");
    assert_eq!(names("/a/b/"), "a b ");
    assert_eq!(names("./a/./b"), "a b");
    assert_eq!(names("."), "");
}

#[test]
fn the_text_of_a_link_means_a_place() {
    assert_eq!(meant("/", "usr/bin"), ("/usr/bin".into(), true));
    assert_eq!(meant("/a/b", "../c/./d"), ("/a/c/d".into(), true));
    assert_eq!(meant("/a", "/x//y/"), ("/x/y".into(), true));
    assert_eq!(meant("/a", "../../.."), ("/".into(), true));
    assert_eq!(meant("/a", "b/../c"), ("/a/c".into(), false));
}

#[test]
fn a_path_is_followed_through_own_ground_and_binds() {
    let mut machine = Machine::default();
    machine.files.extend([
        ("/usr", directory()),
        ("/usr/bin", directory()),
        ("/usr/bin/sh", link("dash")),
        ("/usr/bin/dash", file()),
        ("/usr/up", link("../../..//etc/x")),
        ("/usr/round", link("round")),
    ]);
    let text = Ground::Own(Own::File(Content::Text(vec![])));
    let tree = tree(&[
        ("/usr", stack(&["/usr"])),
        ("/bin", Ground::Own(Own::Link("usr/bin".into()))),
        ("/etc/x", text),
        ("/usr/bin", Ground::Same),
        ("/proc", Ground::Kernel(Kernel::Sysfs)),
    ]);
    assert_eq!(end(&tree, &mut machine, "/bin/sh"), at("/usr/bin/dash", "/usr/bin/dash"));
    assert_eq!(end(&tree, &mut machine, "/usr/up"), at("/etc/x", ""));
    assert_eq!(end(&tree, &mut machine, "/etc"), at("/etc", ""));
    assert_eq!(end(&tree, &mut machine, "/../etc/."), at("/etc", ""));
    assert_eq!(end(&tree, &mut machine, "/usr/up/"), Err(libc::ENOTDIR));
    assert_eq!(end(&tree, &mut machine, "/etc/x/.."), Err(libc::ENOTDIR));
    assert_eq!(end(&tree, &mut machine, "/etc/y"), Err(libc::ENOENT));
    assert_eq!(end(&tree, &mut machine, "/et"), Err(libc::ENOENT));
    assert_eq!(end(&tree, &mut machine, "/usr/round"), Err(libc::ELOOP));
    assert_eq!(end(&tree, &mut machine, ""), Err(libc::ENOENT));
    assert_eq!(end(&tree, &mut machine, &"/x".repeat(2048)), Err(libc::ENAMETOOLONG));
    let walk = walk(&tree, &mut machine, "/proc/self/exe", Last::Followed);
    assert_eq!((walk.rest.join("/"), walk.halt), ("self/exe".into(), None));
}

/// As fs.protected_symlinks has it on 6.12: the kernel asks at these links, and at no other.
#[test]
fn a_link_is_at_the_end_where_no_name_follows() {
    let tree = tree(&[
        ("/s/dir", Ground::Own(Own::Link("../t/".into()))),
        ("/s/file", Ground::Own(Own::Link("/t/f".into()))),
        ("/t/f", Ground::Own(Own::Directory)),
        ("/own", Ground::Own(Own::Link("s/dir".into()))),
        ("/ownf", Ground::Own(Own::Link("s/dir/f".into()))),
    ]);
    let ends = |path| {
        let mut machine = Machine::default();
        assert!(end(&tree, &mut machine, path).is_ok(), "{path}");
        machine.ends.join(" ")
    };
    assert_eq!(ends("/s/file"), "/s/file");
    assert_eq!(ends("/s/dir/f"), "");
    assert_eq!(ends("/own"), "/own /s/dir");
    assert_eq!(ends("/own/"), "/own /s/dir");
    assert_eq!(ends("/own/."), "");
    assert_eq!(ends("/own/f"), "");
    assert_eq!(ends("/ownf"), "/ownf");
}

#[test]
fn a_stack_is_merged_as_overlayfs_merges() {
    let mut machine = Machine { opaque: vec!["/b/o"], ..Machine::default() };
    machine.files.extend([
        ("/a", directory()),
        ("/a/d", directory()),
        ("/a/d/low", file()),
        ("/a/gone", file()),
        ("/a/o", directory()),
        ("/a/o/low", file()),
        ("/a/t", file()),
        ("/b", directory()),
        ("/b/d", directory()),
        ("/b/d/top", file()),
        ("/b/gone", Kind::Whiteout),
        ("/b/o", directory()),
        ("/b/t", directory()),
        ("/c", directory()),
        ("/c/t", directory()),
        ("/c/t/x", link("/m/d/low")),
    ]);
    let tree = tree(&[("/m", stack(&["/a", "/b", "/c"])), ("/n", stack(&["/b"]))]);
    assert_eq!(end(&tree, &mut machine, "/m/d/low"), at("/m/d/low", "/a/d/low"));
    assert_eq!(end(&tree, &mut machine, "/m/d/top"), at("/m/d/top", "/b/d/top"));
    assert_eq!(end(&tree, &mut machine, "/m/gone"), Err(libc::ENOENT));
    assert_eq!(end(&tree, &mut machine, "/m/o/low"), Err(libc::ENOENT));
    assert_eq!(end(&tree, &mut machine, "/m/t"), at("/m/t", "/c/t"));
    assert_eq!(end(&tree, &mut machine, "/m/t/x"), at("/m/d/low", "/a/d/low"));
    // Nothing is merged, and the same device is one.
    assert_eq!(end(&tree, &mut machine, "/n/gone"), at("/n/gone", "/b/gone"));
}
