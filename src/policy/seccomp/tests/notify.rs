//! What the kernel asks about, and how it is judged again outside.

use super::super::program::compile_refusals;
use super::*;

const ASKED: u32 = 0x7fc0_0000;

fn rules() -> Filter {
    let mut all: BTreeMap<u32, Rule> = BTreeMap::new();
    let low = |argument, value| Test::low(argument, Compare::one_of(&[value]));
    all.insert(1, Rule::always(Verdict::Allow));
    all.insert(2, Rule::always(Verdict::Errno(7)));
    all.insert(
        3,
        Rule::always(Verdict::KillProcess)
            .case([low(0, 5)], Verdict::Allow)
            .case([low(1, 6)], Verdict::Notify),
    );
    all.insert(4, Rule::always(Verdict::Trap));
    all.insert(5, Rule::always(Verdict::KillThread).case([low(0, 1)], Verdict::Errno(0)));
    all.insert(6, Rule::always(Verdict::Log));
    filter_of(all)
}

/// For every verdict: the program notifies of exactly the reported calls, and decides the others as
/// without notifications.
#[test]
fn what_is_told_is_asked_about_and_nothing_else() {
    let mut dice = Dice(7);
    for filter in NEEDS.iter().map(default).chain([rules()]) {
        for notifications in
            [Notifications::Nothing, Notifications::Notified, Notifications::Everything]
        {
            let program = compile_notifying(&filter, notifications);
            for number in (0..560).chain([Abi::X32_BIT | 3, u32::MAX]) {
                for arch in [ARCHITECTURE, I386, 0x1234] {
                    let arguments = [(); 6].map(|()| dice.argument(&[5, 6, 1]));
                    let verdict = filter.judge_seen(arch, number, &arguments);
                    let expected = if notifications.asks(verdict) { ASKED } else { verdict.word() };
                    assert_eq!(
                        interpret(&program, arch, number, &arguments),
                        expected,
                        "{notifications:?} {arch:#x} {number} {arguments:x?}"
                    );
                }
            }
        }
    }
}

/// The kernel takes the greatest of several: none of ours hides a question behind an errno, and the
/// second filter takes the exceptions back.
#[test]
fn exceptions_are_for_exactly_these_calls_and_are_taken_back() {
    let filter = rules();
    let call = |number| Exact { number, arguments: [9, 1 << 40 | 5, 3] };
    let exceptions = [call(2), call(3)];
    let first = compile_notifying(&filter.exempting(&exceptions), Notifications::Everything);
    let second = compile_refusals(&exceptions.map(|call| (call, call.judged_by(&filter))));
    let exact = [9, 1 << 40 | 5, 3, 77, 88, 99];
    assert_eq!(filter.judge(3, &exact), Verdict::KillProcess);
    for (number, after) in [(2, Verdict::Errno(7).word()), (3, Verdict::KillProcess.word())] {
        assert_eq!(interpret(&first, ARCHITECTURE, number, &exact), Verdict::Allow.word());
        assert_eq!(interpret(&second, ARCHITECTURE, number, &exact), after);
        for place in 0..3 {
            let mut other = exact;
            other[place] ^= 1 << 40;
            assert_eq!(
                interpret(&first, ARCHITECTURE, number, &other),
                ASKED,
                "{number} {other:x?}"
            );
            assert_eq!(interpret(&second, ARCHITECTURE, number, &other), Verdict::Allow.word());
        }
        for arch in [I386, 0x1234] {
            assert_eq!(interpret(&second, arch, number, &exact), Verdict::Allow.word());
        }
    }
    for number in [1, 4, 500, Abi::X32_BIT | 2] {
        assert_eq!(interpret(&second, ARCHITECTURE, number, &exact), Verdict::Allow.word());
    }
}

#[test]
fn numbers_mean_what_their_architecture_says() {
    let named =
        |arch, number| Filter::abi_of(arch, number).map(|(abi, number)| (abi, abi.name(number)));
    let mkdir = crate::kernel::syscalls::number("mkdirat").unwrap();
    assert_eq!(named(ARCHITECTURE, mkdir), Some((Abi::Native, Some("mkdirat"))));
    assert_eq!(named(0x1234, mkdir), None);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(named(I386, 39), Some((Abi::X86, Some("mkdir"))));
        assert_eq!(named(ARCHITECTURE, 520 | Abi::X32_BIT), Some((Abi::X32, Some("execve"))));
    }
}

#[test]
fn what_decides_is_as_much_as_the_rule_sees() {
    let filter = rules();
    let arguments = [1 << 40 | 5, 1 << 33 | 6, 7, 8, 9, 10];
    assert_eq!(filter.decisive(ARCHITECTURE, 3, &arguments), [5, 6, 0, 0, 0, 0]);
    assert_eq!(filter.decisive(ARCHITECTURE, 2, &arguments), [0; 6]);
    assert_eq!(filter.decisive(0x1234, 3, &arguments), [0; 6]);
}
