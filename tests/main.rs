//! All tests of the whole program, one module for each file of this directory:
//! `cargo test --test all`, or `cargo test --test all walls::` for one of them. One program links
//! once, and its tests share what they build.
//!
//! Tests of several modules run side by side in one process, so none may change what a process has
//! once (its working directory, its environment, its signals), and what a test finds on the machine
//! may be another's: `support` says how to look at one's own.

#![allow(missing_docs, unreachable_pub, reason = "a test binary")]

// What they share: the launcher as root and as an ordinary user, and what may not be left behind.
mod support;

// Programs of Debian do their work in a sandbox. Tests begin in the order of their names, and this
// one takes long and waits much: as the last it would have the processors idle.
mod at_work;
// Attacks that once succeeded fail.
mod attacks;
// A profile in what its target may write stays what it is.
mod beside;
// The target's capability sets are those of capabilities(7).
mod capabilities;
// What a target changed in a kept upper is listed, exported and thrown away, whatever lies there.
mod changes;
// The profile `landlock` works in a container that lets no namespace be made.
mod containers;
// `ps`, `freeze`, `thaw`, `stop` and `kill` do what they say to a sandbox with a name.
mod control;
// What `missing = "create"` makes is made where it was looked for, and whose it should be.
mod creation;
// A denied call is reported, and that weakens nothing.
mod denials;
// The README and the pages of `docs` are true, and their commands run.
mod docs;
// `doctor` says what `run` does.
mod doctor;
mod drivers;
// Acts that must fail in the sandbox fail, and succeed outside.
mod escape;
// Every example works.
mod examples;
// Every code is explained, and each explanation's example gives it.
mod explain;
// The exposure reads the real machine's sockets, links, keys and repositories.
mod exposure;
// A program that uses the library's face alone runs a sandbox.
mod face;
// No single failure of a system call weakens.
mod faults;
// No text makes the loader panic, hang or grow without a bound.
mod fuzz;
// Short flags are lines of `--config`, whatever is in their words.
mod flags;
// Layers are shown by fuse-overlayfs, which is in a sandbox of its own.
mod fuse;
// Patterns in the keys of `[mounts]` hide and grant what they match.
mod globs;
// Control groups come, go, and belong to the right user.
mod groups;
// Every helper keeps what all of them promise.
mod helpers;
// The rooms of `src` import what they may.
mod house;
// Files and texts that no profile should be are refused in words.
mod input;
// Landlock holds as the profile words it.
mod landlock;
// The language's rules give what they say.
mod language;
// `plan --layers` says which layer sets what.
mod layers;
// Nothing is left behind.
mod leftovers;
// `profiles` and `new` list and make what runs.
mod library;
// Files are standard streams, and give no more than was asked.
mod states;
mod streams;
// Every limit holds and every account is right.
mod limits;
// Each warning comes where it must, and nowhere else.
mod lints;
// Layers are merged as overlayfs merges them, and stay as they are.
mod merged;
// Messages can be pasted, and a hostile text forges none.
mod messages;
// Every key does in every mode what docs/modes.md says.
mod modes;
// Names are looked up as the profile's network has it.
mod names;
// Layers, and the host's tree, are the root.
mod on_success;
mod overlay_root;
// The help of a problem, pasted, fixes it and grants no more.
mod pasting;
// Plans are their goldens, and every plan is in its order.
mod plans;
// Mistakes are explained as their goldens have it.
mod problems;
// A run starts, is signalled and ends as `[process]` says.
mod process;
// The built-in profiles run real programs.
mod profiles;
// `programs` shows a program every file that it needs.
mod programs;
// No mount gets out of a sandbox, and none gets in.
mod propagation;
// A Debian tree is a layer, and packages are installed on it.
mod real_trees;
// The record of a run reports what happened.
mod record;
// The schema, the reference, the manual and the completions agree with the language.
mod roots;
mod schema;
// The filter answers every call as the plan says.
mod seccomp;
// libseccomp's simulator reads the filters as the plan does.
mod simulator;
// Every test is here, and none skips in silence.
mod skips;
// A plan is read back as it was written, but for what is private.
mod stored;
// Job control works on a real terminal.
mod terminal;
// The walker through the file tree goes where the kernel goes.
mod tree;
// What is written on top of layers is kept, or gone with the sandbox.
mod uppers;
// The plan for people is its golden, and no grant lowers the exposure.
mod view;
// The restrictions hold as the target sees them.
mod walls;
// `why` says what a probe in the sandbox gets.
mod why;
// What is changed in a tree of layers is what a model of it says.
mod union;
// What users read is in plain words.
mod words;
