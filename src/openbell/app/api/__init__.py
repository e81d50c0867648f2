"""The HTTP service of the gate: what others' bots ask before they trade."""
