"""An example of each rule: the body of a graph before and after this rule alone was applied."""

from __future__ import annotations

from graphc.passes.rules_arithmetic import COMMUTATIVE

Example = tuple[str, str]


def number(value: float | bool, dtype: str = "float32") -> str:
    return f"Constant() {{value={dtype}[]({value})}}"


X = "input %x : float32[batch, 3] "
XY = X + "input %y : float32[3] "
N = "input %x : int32[batch, 3] "
P = "input %p : bool[4] "
PQ = P + "input %q : bool[4] "


def pool_gradient(more: str) -> str:
    """The gradient of a pool as ``%g``."""
    return (
        "input %x : float32[2, 4, 3] input %y : float32[2, 2, 3] input %dy : float32[2, 2, 3] "
        f"%g = MaxPoolGradient(%x, %y, %dy) {{strides=[2], padding=[[0, 0]], window=[2]{more}}} "
    )


def unary(before: str, after: str, inputs: str = X) -> Example:
    """``before`` and ``after`` are nested calls of ops without attributes: ``Neg(Neg(%x))``."""
    return inputs + flat(before), inputs + flat(after)


def flat(call: str) -> str:
    """Nested calls as one statement each; numbers and truth values are constants."""
    lines: list[str] = []

    def statement(text: str) -> str:
        name = f"%t{len(lines)}"
        lines.append(f"{name} = {text}")
        return name

    def visit(text: str) -> str:
        text = text.strip()
        if text.startswith("%"):
            return text
        if text in ("True", "False"):
            return statement(number(text == "True", "bool"))
        if "(" not in text:
            return statement(number(float(text)) if "." in text else number(int(text), "int32"))
        name, rest = text.split("(", 1)
        parts, depth, start = [], 0, 0
        for place, character in enumerate(rest):
            if character == "," and depth == 0:
                parts.append(rest[start:place])
                start = place + 1
            depth += {"(": 1, ")": -1}.get(character, 0)
        parts.append(rest[start:-1])
        return statement(f"{name}({', '.join([visit(part) for part in parts])})")

    result = visit(call)
    return " ".join(lines) + f" output out = {result}"


def _operand(op: str) -> tuple[str, str]:
    if op in ("And", "Or", "Xor"):
        return "input %x : bool[3]", number(True, "bool")
    if op.startswith("Bitwise"):
        return "input %x : int32[3]", number(6, "int32")
    return "input %x : float32[3]", number(2.5)


EXAMPLES: dict[str, Example] = {}

for _op in (*COMMUTATIVE, "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
    _input, _number = _operand(_op)
    _mirror = {
        "Less": "Greater",
        "LessOrEqual": "GreaterOrEqual",
        "Greater": "Less",
        "GreaterOrEqual": "LessOrEqual",
    }.get(_op, _op)
    EXAMPLES[f"constant to the right of {_op}"] = (
        f"{_input} %c = {_number} %y = {_op}(%c, %x) output out = %y",
        f"{_input} %c = {_number} %y = {_mirror}(%x, %c) output out = %y",
    )

for _op in ("Abs", "Sign", "Relu", "Floor", "Ceil", "Round"):
    EXAMPLES[f"{_op} of {_op}"] = unary(f"{_op}({_op}(%x))", f"{_op}(%x)")

for _op, _opposite in (
    ("Less", "GreaterOrEqual"),
    ("LessOrEqual", "Greater"),
    ("Greater", "LessOrEqual"),
    ("GreaterOrEqual", "Less"),
):
    EXAMPLES[f"not {_op}"] = unary(
        f"Not({_op}(%x, %y))", f"{_opposite}(%x, %y)", N + "input %y : int32[3] "
    )

EXAMPLES |= {
    "constant folding": (
        X + "%c = Constant() {value=float32[3](1.0, 4.0, 9.0)} %r = Sqrt(%c) %z = Mul(%x, %r)"
        " output out = %z",
        X + "%c = Constant() {value=float32[3](1.0, 2.0, 3.0)} %z = Mul(%x, %c) output out = %z",
    ),
    "no Expand before elementwise ops": (
        XY + "%w = Reshape(%y) {shape=[1, 3]} %s = Add(%x, %w) input %u : float32[1]"
        " %v = Expand(%u) {shape=[7, batch, 3]} %t = Mul(%s, %v) output out = %t",
        XY + "input %u : float32[1] %s = Add(%x, %y) %t = Mul(%s, %u)"
        " %v = Expand(%t) {shape=[7, batch, 3]} output out = %v",
    ),
    # Sums.
    "x + 0": unary("Add(%x, 0.0)", "%x"),
    "x - constant": unary("Sub(%x, 2.5)", "Add(%x, -2.5)"),
    "x - -y": unary("Sub(%x, Neg(%y))", "Add(%x, %y)", XY),
    "x + -y": unary("Add(%x, Neg(%y))", "Sub(%x, %y)", XY),
    "-x + y": unary("Add(Neg(%x), %y)", "Sub(%y, %x)", XY),
    "-(x - y)": unary("Neg(Sub(%x, %y))", "Sub(%y, %x)", XY),
    "(x + a) + b": unary("Add(Add(%x, 3), 4)", "Add(%x, Add(3, 4))", N),
    # Products.
    "x * 1": unary("Mul(%x, 1.0)", "%x"),
    "x * -1": unary("Mul(%x, -1.0)", "Neg(%x)"),
    "x * 0": (N + flat("Mul(%x, 0)"), N + f"%z = {number(0, 'int32')}"
              " %e = Expand(%z) {shape=[batch, 3]} output out = %e"),
    "(x * a) * b": unary("Mul(Mul(%x, 3), 4)", "Mul(%x, Mul(3, 4))", N),
    "x / 1": unary("Div(%x, 1)", "%x", N),
    "x / -1": unary("Div(%x, -1.0)", "Neg(%x)"),
    "1 / x": unary("Div(1.0, %x)", "Reciprocal(%x)"),
    "x / power of two": unary("Div(%x, -8.0)", "Mul(%x, -0.125)"),
    "-x * constant": unary("Mul(Neg(%x), 3.0)", "Mul(%x, -3.0)"),
    "-(x * constant)": unary("Neg(Mul(%x, 3.0))", "Mul(%x, -3.0)"),
    "-x * y": unary("Mul(Neg(%x), %y)", "Neg(Mul(%x, %y))", XY),
    "x * -y": unary("Mul(%x, Neg(%y))", "Neg(Mul(%x, %y))", XY),
    "-x / y": unary("Div(Neg(%x), %y)", "Neg(Div(%x, %y))", XY),
    "x / -y": unary("Div(%x, Neg(%y))", "Neg(Div(%x, %y))", XY),
    "x ** 0": (X + flat("Pow(%x, 0.0)"), X + f"%o = {number(1.0)}"
               " %e = Expand(%o) {shape=[batch, 3]} output out = %e"),
    "x ** 1": unary("Pow(%x, 1.0)", "%x"),
    "x ** 2": unary("Pow(%x, 2.0)", "Mul(%x, %x)"),
    "x ** -1": unary("Pow(%x, -1.0)", "Reciprocal(%x)"),
    # Functions.
    "-(-x)": unary("Neg(Neg(%x))", "%x"),
    "absolute value of -x": unary("Abs(Neg(%x))", "Abs(%x)"),
    "cosine of -x": unary("Cos(Neg(%x))", "Cos(%x)"),
    "maximum of x and x": unary("Max(%x, %x)", "%x"),
    "minimum of x and x": unary("Min(%x, %x)", "%x"),
    # Logic.
    "not not x": unary("Not(Not(%p))", "%p", P),
    "not equal": unary("Not(Equal(%x, %y))", "NotEqual(%x, %y)", XY),
    "not different": unary("Not(NotEqual(%x, %y))", "Equal(%x, %y)", XY),
    "x == true": unary("Equal(%p, True)", "%p", P),
    "x == false": unary("Equal(%p, False)", "Not(%p)", P),
    "x != true": unary("NotEqual(%p, True)", "Not(%p)", P),
    "x != false": unary("NotEqual(%p, False)", "%p", P),
    "x and true": unary("And(%p, True)", "%p", P),
    "x and false": (P + flat("And(%p, False)"), P + f"%f = {number(False, 'bool')}"
                    " %e = Expand(%f) {shape=[4]} output out = %e"),
    "x and x": unary("And(%p, %p)", "%p", P),
    "x or true": (P + flat("Or(%p, True)"), P + f"%f = {number(True, 'bool')}"
                  " %e = Expand(%f) {shape=[4]} output out = %e"),
    "x or false": unary("Or(%p, False)", "%p", P),
    "x or x": unary("Or(%p, %p)", "%p", P),
    "x xor true": unary("Xor(%p, True)", "Not(%p)", P),
    "x xor false": unary("Xor(%p, False)", "%p", P),
    # Choices.
    "where true": unary("Where(True, %x, %y)", "%x", XY),
    "where false": (XY + flat("Where(False, %x, %y)"),
                    XY + "%e = Expand(%y) {shape=[batch, 3]} output out = %e"),
    "either way x": unary("Where(%q, %p, %p)", "%p", PQ),
    "gradient of a pool's positive maxima": (
        pool_gradient("") + "%c = Constant() {value=float32[](0.0)} %p = Greater(%x, %c)"
        " %z = Where(%p, %g, %c) output out = %z",
        pool_gradient(", positive=True") + "output out = %g"),
    "where not": unary("Where(Not(%p), %x, %y)", "Where(%p, %y, %x)", P.replace("4", "3") + XY),
    "true where c": unary("Where(%p, True, False)", "%p", P),
    "false where c": unary("Where(%p, False, True)", "Not(%p)", P),
    # Casts.
    "stop gradient": unary("StopGradient(%x)", "%x"),
    "cast to its own type": (X + '%z = Cast(%x) {dtype="float32"} output out = %z',
                             X + "output out = %x"),
    "cast of a cast": (X + '%w = Cast(%x) {dtype="float64"} %z = Cast(%w) {dtype="float16"}'
                       " output out = %z",
                       X + '%z = Cast(%x) {dtype="float16"} output out = %z'),
}  # fmt: skip

S = "input %s : float32[] "
R3 = "input %x : float32[2, 1, 3] "

EXAMPLES |= {
    "constant of equal elements": (
        "%c = Constant() {value=float32[2, 2](nan, nan, nan, nan)} output out = %c",
        f"%c = {number(float('nan'))} %e = Expand(%c) {{shape=[2, 2]}} output out = %e",
    ),
    "expand to its own shape": (X + "%z = Expand(%x) {shape=[batch, 3]} output out = %z",
                                X + "output out = %x"),
    "expand that repeats nothing": (X + "%z = Expand(%x) {shape=[1, batch, 3]} output out = %z",
                                    X + "%z = Reshape(%x) {shape=[1, batch, 3]} output out = %z"),
    "expand of an expand": (
        "input %y : float32[3] %a = Expand(%y) {shape=[2, 3]} %b = Expand(%a) {shape=[4, 2, 3]}"
        " output out = %b",
        "input %y : float32[3] %b = Expand(%y) {shape=[4, 2, 3]} output out = %b",
    ),
    "expand of new axes": (
        "input %y : float32[3] %a = Reshape(%y) {shape=[1, 1, 3]}"
        " %b = Expand(%a) {shape=[4, 2, 3]} output out = %b",
        "input %y : float32[3] %b = Expand(%y) {shape=[4, 2, 3]} output out = %b",
    ),
    "reshape to its own shape": (X + "%z = Reshape(%x) {shape=[batch, 3]} output out = %z",
                                 X + "output out = %x"),
    "reshape of a reshape": (
        X + "%a = Reshape(%x) {shape=[3*batch]} %b = Reshape(%a) {shape=[3, batch]}"
        " output out = %b",
        X + "%b = Reshape(%x) {shape=[3, batch]} output out = %b",
    ),
    "reshape of one repeated": (
        "input %y : float32[1] %a = Expand(%y) {shape=[2, 3]} %b = Reshape(%a) {shape=[6]}"
        " output out = %b",
        "input %y : float32[1] %a = Reshape(%y) {shape=[]} %b = Expand(%a) {shape=[6]}"
        " output out = %b",
    ),
    "transpose of nothing": (X + "%z = Transpose(%x) {permutation=[0, 1]} output out = %z",
                             X + "output out = %x"),
    "transpose of axes of size 1": (
        R3 + "%z = Transpose(%x) {permutation=[1, 0, 2]} output out = %z",
        R3 + "%z = Reshape(%x) {shape=[1, 2, 3]} output out = %z",
    ),
    "transpose of a transpose": (
        "input %x : float32[2, 3, 4] %a = Transpose(%x) {permutation=[1, 2, 0]}"
        " %b = Transpose(%a) {permutation=[0, 2, 1]} output out = %b",
        "input %x : float32[2, 3, 4] %b = Transpose(%x) {permutation=[1, 0, 2]} output out = %b",
    ),
    "transpose before expand": (
        "input %x : float32[3, 4] %a = Expand(%x) {shape=[2, 3, 4]}"
        " %b = Transpose(%a) {permutation=[2, 0, 1]} output out = %b",
        "input %x : float32[3, 4] %r = Reshape(%x) {shape=[1, 3, 4]}"
        " %a = Transpose(%r) {permutation=[2, 0, 1]} %b = Expand(%a) {shape=[4, 2, 3]}"
        " output out = %b",
    ),
    "slice of everything": (
        X + "%z = Slice(%x) {starts=[0, 0], stops=[batch, 3], steps=[1, 1]} output out = %z",
        X + "output out = %x",
    ),
    "slice of a slice": (
        "input %x : float32[20, 9] %a = Slice(%x) {starts=[3, 1], stops=[20, 6], steps=[2, 1]}"
        " %b = Slice(%a) {starts=[1, 2], stops=[8, 2], steps=[3, 1]} output out = %b",
        "input %x : float32[20, 9]"
        " %b = Slice(%x) {starts=[5, 3], stops=[18, 3], steps=[6, 1]} output out = %b",
    ),
    "slice of one part": (
        X + "input %y : float32[batch, 4] %c = Concat(%x, %y) {axis=1}"
        " %z = Slice(%c) {starts=[1, 4], stops=[batch, 6], steps=[1, 1]} output out = %z",
        X + "input %y : float32[batch, 4]"
        " %z = Slice(%y) {starts=[1, 1], stops=[batch, 3], steps=[1, 1]} output out = %z",
    ),
    "pad by nothing": (X + "%z = Pad(%x) {before=[0, 0], after=[0, 0], value=7.0} output out = %z",
                       X + "output out = %x"),
    "concat of one": (X + "%z = Concat(%x) {axis=1} output out = %z", X + "output out = %x"),
    "concat of parts": (
        X + "input %e : float32[batch, 0] %a = Concat(%x, %x) {axis=1}"
        " %b = Concat(%x, %e, %a) {axis=1} output out = %b",
        X + "input %e : float32[batch, 0] %b = Concat(%x, %x, %x) {axis=1} output out = %b",
    ),
    "reverse nothing": (X + "%z = Reverse(%x) {axes=[]} output out = %z", X + "output out = %x"),
    "reverse of axes of size 1": (R3 + "%z = Reverse(%x) {axes=[2, 1]} output out = %z",
                                  R3 + "%z = Reverse(%x) {axes=[2]} output out = %z"),
    "reverse of a reverse": (
        "input %x : float32[2, 4, 3] %a = Reverse(%x) {axes=[0, 1]} %b = Reverse(%a) {axes=[1, 2]}"
        " output out = %b",
        "input %x : float32[2, 4, 3] %b = Reverse(%x) {axes=[0, 2]} output out = %b",
    ),
    "size that is known": (X + '%z = Size(%x) {axes=[1], dtype="int64"} output out = %z',
                           X + f"%z = {number(3, 'int64')} output out = %z"),
    "reduce axes of size 1": (
        R3 + "%z = ReduceMax(%x) {axes=[1, 2]} output out = %z",
        R3 + "%a = Reshape(%x) {shape=[2, 3]} %z = ReduceMax(%a) {axes=[1]} output out = %z",
    ),
    "sum of one repeated": (
        "input %x : float32[3] %a = Expand(%x) {shape=[5, 2, 3]}"
        " %z = ReduceSum(%a) {axes=[0], keep=True} output out = %z",
        "input %x : float32[3] %a = Expand(%x) {shape=[1, 2, 3]}"
        f" %n = {number(5.0)} %z = Mul(%a, %n) output out = %z",
    ),
    "reduce one repeated": (
        "input %x : float32[3] %a = Expand(%x) {shape=[5, 2, 3]}"
        " %z = ReduceMean(%a) {axes=[0, 1]} output out = %z",
        "input %x : float32[3] %a = Expand(%x) {shape=[1, 1, 3]}"
        " %z = Reshape(%a) {shape=[3]} output out = %z",
    ),
    "transpose into first operand": (
        'input %a : float32[4, batch] input %b : float32[4, 5] '
        '%t = Transpose(%a) {permutation=[1, 0]} %z = Einsum(%t, %b) {equation="bi,io->bo"}'
        " output out = %z",
        'input %a : float32[4, batch] input %b : float32[4, 5] '
        '%z = Einsum(%a, %b) {equation="ib,io->bo"} output out = %z',
    ),
    "transpose into second operand": (
        'input %a : float32[batch, 4] input %b : float32[6, 4, 5] '
        '%t = Transpose(%b) {permutation=[1, 2, 0]} %z = Einsum(%a, %t) {equation="bi,iop->bop"}'
        " output out = %z",
        'input %a : float32[batch, 4] input %b : float32[6, 4, 5] '
        '%z = Einsum(%a, %b) {equation="bi,pio->bop"} output out = %z',
    ),
    "transpose into result": (
        'input %a : float32[batch, 4] input %b : float32[4, 5, 6] '
        '%t = Einsum(%a, %b) {equation="bi,iop->bop"} %z = Transpose(%t) {permutation=[1, 2, 0]}'
        " output out = %z",
        'input %a : float32[batch, 4] input %b : float32[4, 5, 6] '
        '%z = Einsum(%a, %b) {equation="bi,iop->opb"} output out = %z',
    ),
    "einsum of one repeated": (
        "input %a : float32[1, 4] input %b : float32[2, batch, 4, 5]"
        " %e = Expand(%a) {shape=[2, batch, 4]}"
        ' %z = Einsum(%e, %b) {equation="hbi,hbio->bo"} output out = %z',
        "input %a : float32[1, 4] input %b : float32[2, batch, 4, 5]"
        " %e = Expand(%a) {shape=[2, 4]}"
        ' %z = Einsum(%e, %b) {equation="hi,hbio->bo"} output out = %z',
    ),
    "einsum over axes of size 1": (
        "input %a : float32[batch, 1, 4] input %b : float32[1, 4, 5]"
        ' %z = Einsum(%a, %b) {equation="bij,ijo->bo"} output out = %z',
        "input %a : float32[batch, 1, 4] input %b : float32[1, 4, 5]"
        " %c = Reshape(%a) {shape=[batch, 4]} %d = Reshape(%b) {shape=[4, 5]}"
        ' %z = Einsum(%c, %d) {equation="bj,jo->bo"} output out = %z',
    ),
    "einsum without a sum": (
        "input %a : float32[3, batch] input %b : float32[5, 3]"
        ' %z = Einsum(%a, %b) {equation="hb,oh->bho"} output out = %z',
        "input %a : float32[3, batch] input %b : float32[5, 3]"
        " %c = Transpose(%a) {permutation=[1, 0]} %d = Reshape(%c) {shape=[batch, 3, 1]}"
        " %e = Transpose(%b) {permutation=[1, 0]} %f = Reshape(%e) {shape=[1, 3, 5]}"
        " %z = Mul(%d, %f) output out = %z",
    ),
}  # fmt: skip

#: Where a rule that has reasons to refuse does so, and a part of the reason.
REFUSALS: dict[str, Example] = {
    "constant folding": (
        "%a = Constant() {value=float32[1](1.5)} %z = Pad(%a) {before=[2000], after=[0]}"
        " output out = %z",
        "2001 elements",
    ),
    "(x + a) + b": (X + flat("Add(Add(%x, 3.0), 4.0)"), "rounded differently"),
    "(x * a) * b": (X + flat("Mul(Mul(%x, 3.0), 4.0)"), "rounded differently"),
    "x * 0": (X + flat("Mul(%x, 0.0)"), "NaN"),
    "gradient of a pool's positive maxima": (
        pool_gradient("") + "%c = Constant() {value=float32[](0.0)} %p = Greater(%x, %c)"
        " %z = Where(%p, %g, %c) %n = Neg(%g) output out = %z output other = %n",
        "others read it",
    ),
    **{
        f"not {op}": (XY + flat(f"Not({op}(%x, %y))"), "NaN")
        for op in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual")
    },
    "cast of a cast": (
        X + '%w = Cast(%x) {dtype="float16"} %z = Cast(%w) {dtype="float32"} output out = %z',
        "does not hold every",
    ),
    "sum of one repeated": (
        S + "%a = Expand(%s) {shape=[batch]} %z = ReduceSum(%a) {axes=[0]}"
        " input %x : float32[batch] output out = %z",
        "not known",
    ),
    "reduce one repeated": (
        S + "%a = Expand(%s) {shape=[batch]} %z = ReduceMean(%a) {axes=[0]}"
        " input %x : float32[batch] output out = %z",
        "not known",
    ),
    "transpose into result": (
        "input %a : float32[batch, 4] input %b : float32[4, 5]"
        ' %t = Einsum(%a, %b) {equation="bi,io->bo"} %z = Transpose(%t) {permutation=[1, 0]}'
        " output out = %z output other = %t",
        "used elsewhere",
    ),
}
