from collections.abc import Iterator
from typing import Any

class MarshalRtnl:
    def parse(self, data: bytes) -> Iterator[Any]: ...
