"""The honest load test for LLM serving: open-loop arrivals, goodput verdicts, reports; README.md has every measure."""
