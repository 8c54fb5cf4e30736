"""What code is generated for: a processor and its vector registers, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.runtime.cpu.host import describe_caches, describe_host

#: Bytes of a line of the cache, on nearly every processor.
CACHE_LINE = 64
_LINUX_X86_64 = "x86_64-unknown-linux-gnu"


@dataclass(frozen=True)
class Caches:
    """The caches that a core has for itself, as far as the order of work depends on them.

    No result does: code for other caches computes the same bits. The defaults are the smallest that
    processors of the last ten years have.

    Attributes:
        first_bytes: of the first-level cache for data.
        second_bytes: of the second-level cache.
        second_ways: how many lines can stay in the second-level cache whose addresses differ by a
            multiple of `second_bytes / second_ways`.
    """

    first_bytes: int = 32 * 1024
    second_bytes: int = 512 * 1024
    second_ways: int = 8

    @staticmethod
    def host() -> Caches:
        """Those of this machine; the defaults where it does not say."""
        default, found = Caches(), describe_caches()
        first, _ = found.get(1, (default.first_bytes, 0))
        second, ways = found.get(2, (default.second_bytes, default.second_ways))
        if first <= 0 or second < first or ways <= 0:
            return default
        return Caches(first, second, ways)


@dataclass(frozen=True)
class Target:
    """A processor, as the code generator sees it.

    Attributes:
        triple: LLVM's target triple, such as `"x86_64-unknown-linux-gnu"`.
        cpu: LLVM's name of the processor, such as `"znver4"`; `""` is the triple's baseline.
        features: LLVM's feature string, such as `"+avx2,+fma"`.
        vector_bits: width of the vector registers that kernels should use.
        vector_registers: how many of them there are.
        has_fma: whether a fused multiply-add is an instruction (otherwise it is a slow call, and
            multiply-then-add is emitted).
        caches: what a core can keep near.
    """

    triple: str
    cpu: str
    features: str
    vector_bits: int
    vector_registers: int
    has_fma: bool
    caches: Caches = Caches()

    @staticmethod
    def host() -> Target:
        """The machine this process runs on."""
        return replace(Target.of(*describe_host()), caches=Caches.host())

    @staticmethod
    def of(triple: str, cpu: str, features: str) -> Target:
        """A target whose vector registers follow from its triple and feature string.

        Example:
            >>> Target.of("x86_64-unknown-linux-gnu", "", "+avx2,+fma").vector_bits
            256
        """
        has = {feature[1:] for feature in features.split(",") if feature.startswith("+")}
        if triple.startswith("x86_64"):
            # AVX-512 without its byte, double-word and 128/256-bit parts (Knights Landing) would
            # need its own instruction choices: it counts as AVX2.
            if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= has:
                return Target(triple, cpu, features, 512, 32, True)
            if "avx2" in has:
                return Target(triple, cpu, features, 256, 16, "fma" in has)
            return Target(triple, cpu, features, 128, 16, False)
        if triple.startswith(("aarch64", "arm64")):
            return Target(triple, cpu, features, 128, 32, True)
        return Target(triple, cpu, features, 128, 16, False)

    @staticmethod
    def x86_64_v3(triple: str = _LINUX_X86_64) -> Target:
        """AVX2 and FMA: what every x86-64 processor since about 2015 runs."""
        return Target.of(
            triple,
            "x86-64-v3",
            "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,+popcnt,+sse4.1,+sse4.2,+ssse3",
        )

    @staticmethod
    def x86_64_baseline(triple: str = _LINUX_X86_64) -> Target:
        """SSE2 only: what every x86-64 processor runs."""
        return Target.of(triple, "x86-64", "+sse,+sse2")

    @property
    def feature_set(self) -> frozenset[str]:
        """The names of the enabled features."""
        parts = self.features.split(",")
        return frozenset(part[1:] for part in parts if part.startswith("+"))

    def lanes(self, dtype: str) -> int:
        """How many elements of a dtype one vector register holds (bool counts as a byte).

        Example:
            >>> Target.x86_64_v3().lanes("float32")
            8
        """
        return self.vector_bits // 8 // ITEM_SIZES[dtype]


#: Bytes of one element in memory, by dtype; `index` is a 64-bit signed integer.
ITEM_SIZES = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "bfloat16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
    "index": 8,
    "pointer": 8,
}
