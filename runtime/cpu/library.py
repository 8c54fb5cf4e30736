"""Loaded object code, and the functions in it."""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any


class Library(ABC):
    """Loaded object code. Functions taken from it keep it alive."""

    @abstractmethod
    def address(self, name: str) -> int:
        """The address of a function or global; valid as long as this library lives.

        Raises:
            KeyError: the object defines no such symbol.
        """

    def function(
        self, name: str, argument_types: Sequence[Any] = (), result_type: Any = None
    ) -> Callable[..., Any]:
        """A ctypes function (which releases the interpreter lock while it runs).

        Args:
            name: the function's symbol.
            argument_types: ctypes types of its arguments.
            result_type: ctypes type of its result, or None.
        """
        function: Any = ctypes.CFUNCTYPE(result_type, *argument_types)(self.address(name))
        function.library = self
        return function
