"""How many tokens a model makes of what we estimate as one, learned from engines' counts; it knows no session."""

from __future__ import annotations

# Short prompts are mostly chat template.
_TELLING_TOKENS = 64
_WEIGHT = 0.2
_LARGEST = 8.0


class TokenRatio:
    """Owns one ratio per model, 1 until something was learned."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def counted(self, model: str, estimate: int) -> int:
        """The estimate in the model's own tokens."""
        return int(estimate * self._ratios.get(model, 1.0)) + 1

    def learn(self, model: str, estimate: int, counted: int) -> None:
        """A whole prompt that was estimated was counted."""
        if estimate >= _TELLING_TOKENS and counted:
            before = self._ratios.get(model)
            seen = min(counted / estimate, _LARGEST)
            self._ratios[model] = seen if before is None else before + _WEIGHT * (seen - before)

    def exceeded(self, model: str) -> None:
        """A prompt that should have fitted did not."""
        self._ratios[model] = min(self._ratios.get(model, 1.0) * 1.5, _LARGEST)
