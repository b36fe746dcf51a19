"""Doing once what rows share: thousands of rows are made of few different components."""

import pickle
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ByContent(Generic[T]):
    """``function`` of configuration values, computed once for all that are equal."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        # Objects are kept beside the result, so that their ids stay their own.
        self._by_id: dict[int, tuple[Any, T]] = {}
        self._by_content: dict[bytes, T] = {}

    def __call__(self, value: Any) -> T:
        """The function's value."""
        known = self._by_id.get(id(value))
        if known is not None:
            return known[1]
        # Equal bytes mean equal values; equal values mostly have equal bytes, and cost a call if not.
        content = pickle.dumps(value, protocol=5)
        if content not in self._by_content:
            self._by_content[content] = self._function(value)
        self._by_id[id(value)] = value, self._by_content[content]
        return self._by_content[content]
