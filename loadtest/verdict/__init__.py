"""From rows to verdicts: pure numbers, no I/O, no clock."""
