"""Pages of ours in a real Chromium."""
