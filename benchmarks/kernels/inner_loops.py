#!/usr/bin/env python3
"""Cycles a multiply-add of the Arm inner loops, by llvm-mca's models: the table of docs/kernels.md.

    benchmarks/kernels/inner_loops.py [--clang /path/to/clang]

The loops are taken from the compiler's output; memory is assumed to be the first-level cache.
"""
import argparse
import collections
import re
import subprocess

KERNELS = "Sources/AlulaKernels"
# File, function, an instruction of the inner loop and how many it has at least, multiply-adds of one iteration, cpu models.
LOOPS = [
    ("conv_neon", "alula_gemm_u8s8_2x16_neon", "sadalp", 16, 256, ["cortex-a53", "cortex-a55", "cortex-a76"]),
    ("conv_neondot", "alula_gemm_u8s8_6x16_neondot", "sdot", 96, 1536, ["cortex-a55", "cortex-a76"]),
    ("conv_i8mm", "alula_gemm_u8s8_6x16_i8mm", "usmmla", 24, 768, ["cortex-a76"]),
    ("depthwise_neon", "alula_depthwise_u8s8_neon", "smlal", 8, 64, ["cortex-a53", "cortex-a55", "cortex-a76"]),
    ("conv_f32_neon", "alula_gemm_f32_6x16_neon", "fmla", 96, 384, ["cortex-a53", "cortex-a55", "cortex-a76"]),
]


def inner_loop(assembly: str, function: str, opcode: str, count: int) -> list[str]:
    """The shortest loop of the function that has the opcode that often, without its branches."""
    lines, current, labels, found = assembly.split("\n"), None, {}, None
    for i, line in enumerate(lines):
        if name := re.match(r"^(\w+):", line):
            current, labels = name[1], {}
        if label := re.match(r"^(\.LBB\w+):", line):
            labels[label[1]] = i
        branch = re.match(r"^\s+(?:b|b\.\w+|cbnz|cbz|tbnz|tbz)\s+.*?(\.LBB\w+)$", line)
        if current == function and branch and branch[1] in labels:
            body = [text.split("//")[0].strip() for text in lines[labels[branch[1]] + 1 : i + 1]]
            body = [text for text in body if text and not text.startswith(".")]
            if collections.Counter(text.split()[0] for text in body)[opcode] >= count and (not found or len(body) < len(found)):
                found = body
    assert found, f"no loop with {opcode} in {function}"
    return [text for text in found if not re.match(r"^(b|b\.\w+|cbn?z|tbn?z)\s", text)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clang", default="clang")
    clang = parser.parse_args().clang
    print("| inner loop | multiply-adds | instructions | on the stack | model | cycles | multiply-adds a cycle |")
    print("|---|--:|--:|--:|---|--:|--:|")
    for file, function, opcode, count, work, models in LOOPS:
        assembly = subprocess.run(
            [clang, "--target=aarch64-linux-gnu", "-ffreestanding", "-O2", "-std=c11", f"-I{KERNELS}/include", "-S",
             f"{KERNELS}/{file}.c", "-o", "-"], check=True, capture_output=True, text=True).stdout
        body = inner_loop(assembly, function, opcode, count)
        stack = sum(bool(re.search(r"\[(sp|x29)", text)) for text in body)
        for model in models:
            report = subprocess.run(
                ["llvm-mca", "-mtriple=aarch64", f"-mcpu={model}", "-mattr=+dotprod,+i8mm", "-iterations=100"],
                input="\n".join(body), check=True, capture_output=True, text=True).stdout
            cycles = int(re.search(r"Total Cycles:\s+(\d+)", report)[1]) / 100
            print(f"| `{function}` | {work} | {len(body)} | {stack} | {model} | {cycles:.1f} | {work / cycles:.2f} |")


if __name__ == "__main__":
    main()
