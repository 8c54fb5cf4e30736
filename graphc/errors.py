"""The exceptions graphc raises.

Every one is a `GraphcError`; each also is the built-in exception that Keras users expect in that
place, so that existing ``except ValueError`` code keeps working.
"""

from __future__ import annotations

from collections.abc import Iterable


class GraphcError(Exception):
    """Base of all errors that graphc raises on purpose."""


class InvalidArgumentError(GraphcError):
    """Operands that do not fit, or of which what was claimed does not hold."""


class ShapeError(InvalidArgumentError, ValueError):
    """Shapes that do not fit together."""


class DimensionMismatchError(ShapeError):
    """Two different symbolic dimensions met where they have to be equal.

    Attributes:
        first: One dimension.
        second: The other one.
    """

    def __init__(self, message: str, first: object, second: object):
        super().__init__(message)
        self.first = first
        self.second = second


class DTypeError(InvalidArgumentError, TypeError):
    """Element types that an operation does not take."""


class GraphError(GraphcError, ValueError):
    """A graph that breaks an invariant of the intermediate representation."""


class ParseError(GraphcError, ValueError):
    """Text that is not the text form of a graph."""


class FileFormatError(GraphcError, ValueError):
    """A file that is damaged, incomplete or not of the format it claims."""


class UnsupportedError(GraphcError, NotImplementedError):
    """Something valid that this backend or format cannot express."""


class DataDependentControlFlowError(GraphcError, TypeError):
    """Python control flow that asks for the value of a tensor that has none yet."""


class NotFoundError(GraphcError, FileNotFoundError):
    """A file that is not there, or a part of one."""


class OutOfRangeError(InvalidArgumentError, IndexError):
    """A number beyond the end of what is counted."""


# TensorFlow's names of errors that mean the same.
DataLossError = FileFormatError
OpError = GraphcError
OperatorNotAllowedInGraphError = DataDependentControlFlowError
UnimplementedError = UnsupportedError


def similar(name: str, known: Iterable[str], most: int = 3, cutoff: float = 0.6) -> list[str]:
    """The names that somebody may have meant, the nearest first: for the hints of errors.

    Args:
        name: What was written.
        known: What there is.
        most: How many names at most.
        cutoff: How much of a name has to agree, between 0 and 1.

    Example:
        >>> similar("reul", ["relu", "selu", "tanh"], most=1)
        ['relu']
    """
    import difflib  # only those who mistype wait for it

    return difflib.get_close_matches(name, list(known), most, cutoff)
