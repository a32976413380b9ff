//! The BPF program that says which devices a group of version 2 may use, assembled by hand (bpf(2),
//! BPF_PROG_TYPE_CGROUP_DEVICE).

use crate::kernel::device::Node;

/// `BPF_DEVCG_ACC_MKNOD`, in the upper half of `access_type`; making nodes stays denied.
const MKNOD: u32 = 1;
/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`, in the lower half.
const BLOCK: u32 = 1;
const CHAR: u32 = 2;

/// One instruction: operation, registers, jump, number (linux/bpf.h, `struct bpf_insn`).
fn instruction(operation: u8, to: u8, from: u8, jump: i16, number: u32) -> u64 {
    let bytes = [operation, from << 4 | to];
    u64::from(u16::from_le_bytes(bytes)) | u64::from(jump as u16) << 16 | u64::from(number) << 32
}

/// A program that allows reading and writing of these nodes, and nothing else.
///
/// r1 is the context: `access_type`, `major`, `minor`, 32 bits each.
pub(super) fn program(nodes: &[Node]) -> Vec<u64> {
    const LOAD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
    const COPY: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
    const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
    const SHIFT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
    const UNLESS: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
    const IF_SET: u8 = 0x46; // BPF_JMP32 | BPF_JSET | BPF_K
    const SET: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
    const EXIT: u8 = 0x95;
    let verdict =
        |allowed: u32| [instruction(SET, 0, 0, 0, allowed), instruction(EXIT, 0, 0, 0, 0)];
    let mut program = vec![
        instruction(LOAD, 2, 1, 0, 0),
        instruction(LOAD, 4, 1, 4, 0),
        instruction(LOAD, 5, 1, 8, 0),
        instruction(COPY, 3, 2, 0, 0),
        instruction(AND, 2, 0, 0, 0xffff),
        instruction(SHIFT, 3, 0, 0, 16),
        // Making a node is refused before any of them is looked at.
        instruction(IF_SET, 3, 0, 1, MKNOD),
        instruction(0x05, 0, 0, 2, 0), // BPF_JMP | BPF_JA
    ];
    program.extend(verdict(0));
    for node in nodes {
        let mut tests = vec![(2, if node.block { BLOCK } else { CHAR }), (4, node.major)];
        tests.extend(node.minor.map(|minor| (5, minor)));
        let length = tests.len();
        for (index, (register, number)) in tests.into_iter().enumerate() {
            // To behind the verdict of this node, which has two instructions.
            program.push(instruction(UNLESS, register, 0, (length - index + 1) as i16, number));
        }
        program.extend(verdict(1));
    }
    program.extend(verdict(0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, for one access.
    fn run(program: &[u64], context: [u32; 3]) -> u32 {
        let mut registers = [0u32; 11];
        let mut at = 0;
        loop {
            let word = program[at];
            let (operation, to, from) =
                (word as u8, (word >> 8) as usize & 0xf, (word >> 12) as usize & 0xf);
            let (jump, number) = ((word >> 16) as i16, (word >> 32) as u32);
            at += 1;
            let jumps = match operation {
                0x61 => {
                    registers[to] = context[jump as usize / 4];
                    false
                }
                0xbc => {
                    registers[to] = registers[from];
                    false
                }
                0x54 => {
                    registers[to] &= number;
                    false
                }
                0x74 => {
                    registers[to] >>= number;
                    false
                }
                0xb7 => {
                    registers[to] = number;
                    false
                }
                0x56 => registers[to] != number,
                0x46 => registers[to] & number != 0,
                0x05 => true,
                0x95 => return registers[0],
                _ => panic!("{operation:#x}"),
            };
            at += if jumps { jump as usize } else { 0 };
        }
    }

    #[test]
    fn only_the_nodes_are_allowed_and_no_making() {
        let nodes = [
            Node { block: false, major: 1, minor: Some(3) },
            Node { block: false, major: 136, minor: None },
            Node { block: true, major: 8, minor: Some(0) },
        ];
        let program = program(&nodes);
        let access = |access: u32, kind: u32, major: u32, minor: u32| {
            run(&program, [access << 16 | kind, major, minor])
        };
        for access_type in [2, 4, 6] {
            assert_eq!(access(access_type, CHAR, 1, 3), 1);
            assert_eq!(access(access_type, CHAR, 136, 99), 1);
            assert_eq!(access(access_type, BLOCK, 8, 0), 1);
            assert_eq!(access(access_type, CHAR, 1, 5), 0);
            assert_eq!(access(access_type, BLOCK, 1, 3), 0);
        }
        assert_eq!(access(MKNOD, CHAR, 1, 3), 0);
    }
}
