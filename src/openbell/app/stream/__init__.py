"""The signals desk while the market is open: bars in, features, a vote, signals out, and what is kept for a restart."""
