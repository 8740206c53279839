"""What is asked of a split."""

from dataclasses import InitVar, dataclass

from sightsmith.errors import InvalidArgumentError

DEFAULT_TEST_FRACTION = 0.2
_MAX_TEST_FRACTION = 0.5


@dataclass(frozen=True)
class AutoSplit:
    """How test images are set aside.

    Attributes:
        test_fraction: share of each label's images, above 0 and at most 0.5.
        seed: decides which ones.
    """

    test_fraction: float = DEFAULT_TEST_FRACTION
    seed: int = 0
    # The field of a request that the fraction stands in.
    field: InitVar[str] = "auto_split.test_fraction"

    def __post_init__(self, field: str) -> None:
        # Written so that NaN fails too.
        if not 0 < self.test_fraction <= _MAX_TEST_FRACTION:
            rule = f"must be above 0 and at most {_MAX_TEST_FRACTION}, not {self.test_fraction}"
            raise InvalidArgumentError.of_field(field, rule)
